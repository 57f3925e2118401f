//! Who does the work of one operation.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use llavaguard_backend::DeviceError;

use crate::pool::Pool;

/// How many threads a device uses, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone.
    Caller,
    /// The calling thread and, of the device's own, so many less one.
    Own(usize),
    /// The calling thread and those that have entered the process's pool by [`enter_pool`]: in a
    /// browser the workers that `llavaguard-web` makes threads of.
    Global,
}

static GLOBAL: Pool = Pool::new();
static GLOBAL_COUNT: AtomicUsize = AtomicUsize::new(1);

/// Makes the calling thread one of the process's pool, which all devices of [`Threads::Global`] use.
/// Never returns: that thread ends with the process, in a browser with its worker.
pub fn enter_pool() {
    GLOBAL.serve();
}

/// Says how many threads the process's pool is to have, the one that calls operations among them.
/// Operations are cut for so many, and are done right with fewer too.
pub fn size_pool(threads: usize) {
    GLOBAL_COUNT.store(threads.max(1), Ordering::Relaxed);
}

/// Threads that share the tasks of one operation at a time.
#[derive(Debug)]
pub enum Workers {
    /// See [`Threads::Caller`].
    Caller,
    /// See [`Threads::Own`].
    Own(OwnPool),
    /// See [`Threads::Global`].
    Global,
}

/// A pool and its threads, which end with it.
pub struct OwnPool {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

impl OwnPool {
    fn new(count: usize) -> Result<Self, DeviceError> {
        let mut own = OwnPool {
            pool: Arc::new(Pool::new()),
            threads: Vec::new(),
        };
        for index in 1..count {
            let pool = Arc::clone(&own.pool);
            let thread = Builder::new()
                .name(format!("llavaguard-{index}"))
                .spawn(move || pool.serve())
                .map_err(|error| {
                    DeviceError::Lost(format!("no thread {index} of {count}: {error}"))
                })?;
            own.threads.push(thread);
        }
        Ok(own)
    }
}

impl Drop for OwnPool {
    fn drop(&mut self) {
        self.pool.close();
        for thread in self.threads.drain(..) {
            // Panics of tasks have gone to those who asked for them; a thread has none of its own.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for OwnPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} threads", self.threads.len() + 1)
    }
}

impl Workers {
    /// Starts the threads, where they are not there yet.
    pub fn new(threads: Threads) -> Result<Self, DeviceError> {
        Ok(match threads {
            Threads::Caller | Threads::Own(0 | 1) => Workers::Caller,
            Threads::Own(count) => Workers::Own(OwnPool::new(count)?),
            Threads::Global => Workers::Global,
        })
    }

    /// How many threads work, the calling one among them.
    pub fn count(&self) -> usize {
        match self {
            Workers::Caller => 1,
            Workers::Own(own) => own.threads.len() + 1,
            Workers::Global => GLOBAL_COUNT.load(Ordering::Relaxed),
        }
    }

    /// Runs `work` on `0..tasks`, each once; the order is anyone's guess. A call made while another is
    /// going on (out of a task, or by another thread) is done by the calling thread alone. A task's
    /// panic goes on in the caller when all tasks are done.
    pub fn each(&self, tasks: usize, work: impl Fn(usize) + Sync) {
        let pool = match self {
            Workers::Own(own) => &own.pool,
            Workers::Global if self.count() > 1 => &GLOBAL,
            Workers::Caller | Workers::Global => return (0..tasks).for_each(work),
        };
        pool.run(tasks, &work);
    }

    /// Runs `work` on every task, like [`Workers::each`].
    pub fn run<T: Send>(&self, tasks: Vec<T>, work: impl Fn(T) + Sync) {
        if tasks.len() < 2 || self.count() == 1 {
            return tasks.into_iter().for_each(work);
        }
        let tasks = Tasks::new(tasks);
        self.each(tasks.count, |index| {
            // SAFETY: `each` hands out every index below the count once.
            work(unsafe { tasks.take(index) });
        });
    }

    /// Runs `work(first row, rows)` on bands of a row-major matrix; `cost` is about how many
    /// elementary operations an element takes, and decides whether sharing is worth it.
    pub fn bands(
        &self,
        data: &mut [f32],
        cols: usize,
        cost: usize,
        work: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        if cols == 0 || data.is_empty() {
            return;
        }
        let rows = data.len() / cols;
        // Under about 5 microseconds of work a task is not worth handing out.
        let grain = (12_000 / (cols * cost.max(1))).max(1);
        let band = rows.div_ceil(4 * self.count()).max(grain);
        let tasks: Vec<_> = data.chunks_mut(band * cols).enumerate().collect();
        self.run(tasks, |(index, rows)| work(index * band, rows));
    }
}

/// Values to be taken out one by one, by any thread. Those not taken are leaked.
struct Tasks<T> {
    /// Of length 0, so that dropping it frees the room alone; the values stand in that room.
    room: Vec<T>,
    count: usize,
}

// SAFETY: All a shared reference can do is `take`, which moves a value to the calling thread.
unsafe impl<T: Send> Sync for Tasks<T> {}

impl<T> Tasks<T> {
    fn new(mut room: Vec<T>) -> Self {
        let count = room.len();
        // SAFETY: Shorter than it was.
        unsafe { room.set_len(0) };
        Tasks { room, count }
    }

    /// # Safety
    ///
    /// `index` is below the count, and no other call has it.
    unsafe fn take(&self, index: usize) -> T {
        debug_assert!(index < self.count);
        // SAFETY: Within the room by the contract.
        let value = unsafe { self.room.as_ptr().add(index) };
        // SAFETY: A value stands there, and this call alone moves it out.
        unsafe { value.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn every_value_is_handed_over_and_dropped_once() {
        struct Value<'a>(usize, &'a AtomicUsize);
        impl Drop for Value<'_> {
            fn drop(&mut self) {
                self.1.fetch_add(1, Relaxed);
            }
        }
        for threads in [Threads::Caller, Threads::Own(2), Threads::Own(4)] {
            let workers = Workers::new(threads).unwrap();
            for count in [0, 1, 2, 3, 50] {
                let (sum, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let values = (0..count).map(|index| Value(index, &dropped)).collect();
                workers.run(values, |value: Value<'_>| {
                    sum.fetch_add(value.0 + 1, Relaxed);
                });
                assert_eq!(sum.into_inner(), count * (count + 1) / 2);
                assert_eq!(dropped.into_inner(), count);
            }
        }
    }

    #[test]
    fn bands_cover_every_row_once() {
        let workers = Workers::new(Threads::Own(3)).unwrap();
        for (rows, cols, cost) in [(0, 3, 1), (5, 0, 1), (1, 7, 9), (100, 3, 1), (333, 100, 50)] {
            let mut data = vec![0.0; rows * cols];
            workers.bands(&mut data, cols, cost, |first, band| {
                for (row, values) in band.chunks_mut(cols).enumerate() {
                    values
                        .iter_mut()
                        .for_each(|value| *value += (first + row) as f32);
                }
            });
            for (row, values) in data.chunks(cols.max(1)).enumerate() {
                assert!(values.iter().all(|value| *value == row as f32));
            }
        }
    }

    #[test]
    fn threads_end_with_their_workers_and_pools_are_apart() {
        let (one, two) = (
            OwnPool::new(3).unwrap(),
            Workers::new(Threads::Own(2)).unwrap(),
        );
        let pool = Arc::downgrade(&one.pool);
        // An operation on one inside an operation on the other.
        let calls = AtomicUsize::new(0);
        one.pool.run(4, &|_| {
            two.each(5, |_| {
                calls.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(calls.into_inner(), 20);
        drop(one);
        assert_eq!(pool.strong_count(), 0, "a thread still holds the pool");
        two.each(2, |_| ());
    }

    #[test]
    fn the_process_pool_takes_threads_that_enter_it() {
        let workers = Workers::new(Threads::Global).unwrap();
        assert_eq!(workers.count(), 1);
        size_pool(3);
        assert_eq!(workers.count(), 3);
        for _ in 0..2 {
            std::thread::spawn(enter_pool);
        }
        // Each task waits for the other two, so three threads have to be there.
        let barrier = std::sync::Barrier::new(3);
        workers.each(3, |_| {
            barrier.wait();
        });
        // With fewer threads than promised all is done all the same.
        size_pool(16);
        let sum = AtomicUsize::new(0);
        workers.run((0..100).collect(), |index: usize| {
            sum.fetch_add(index, Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}
