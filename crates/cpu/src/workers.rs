//! Who does the work of one operation.

use llavaguard_backend::DeviceError;
use rayon::prelude::*;

/// How many threads a device uses, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone.
    Caller,
    /// A pool of the device's own with so many threads.
    Own(usize),
    /// rayon's global pool: in a browser the one `llavaguard-web` fills with workers. Its set-up has
    /// to come before the device's first operation, which would otherwise set up a pool of one.
    Global,
}

#[derive(Debug)]
pub(crate) enum Workers {
    Caller,
    Own(rayon::ThreadPool),
    Global,
}

impl Workers {
    pub fn new(threads: Threads) -> Result<Self, DeviceError> {
        match threads {
            Threads::Caller | Threads::Own(0 | 1) => Ok(Workers::Caller),
            Threads::Global => Ok(Workers::Global),
            Threads::Own(count) => rayon::ThreadPoolBuilder::new()
                .num_threads(count)
                .thread_name(|index| format!("llavaguard-cpu-{index}"))
                .build()
                .map(Workers::Own)
                .map_err(|error| DeviceError::Lost(format!("no pool of {count} threads: {error}"))),
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Workers::Caller => 1,
            Workers::Own(pool) => pool.current_num_threads(),
            Workers::Global => rayon::current_num_threads(),
        }
    }

    /// Runs `work` on every task; the order is anyone's guess.
    pub fn run<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) + Send + Sync) {
        if tasks.len() < 2 || self.count() == 1 {
            return tasks.into_iter().for_each(work);
        }
        let parallel = || tasks.into_par_iter().for_each(&work);
        match self {
            Workers::Own(pool) => pool.install(parallel),
            Workers::Caller | Workers::Global => parallel(),
        }
    }

    /// Runs `work(first row, rows)` on bands of a row-major matrix; `cost` is about how many
    /// elementary operations an element takes, and decides whether waking threads is worth it.
    pub fn bands(
        &self,
        data: &mut [f32],
        cols: usize,
        cost: usize,
        work: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) {
        if cols == 0 || data.is_empty() {
            return;
        }
        let rows = data.len() / cols;
        // Under about 20 microseconds of work a thread is not worth waking.
        let grain = (50_000 / (cols * cost.max(1))).max(1);
        let band = rows.div_ceil(4 * self.count()).max(grain);
        let tasks: Vec<_> = data.chunks_mut(band * cols).enumerate().collect();
        self.run(tasks, |(index, rows)| work(index * band, rows));
    }
}
