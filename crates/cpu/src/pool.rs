//! A pool of threads for operations of twenty microseconds to thirty milliseconds.
//!
//! One operation runs at a time, its tasks are claimed from a counter, and the thread that asked for
//! it (the leader) works on it too. Nothing is locked on the way: a claim is one atomic subtraction,
//! and a thread reports its finished tasks in one addition when none is left. Between operations a
//! thread looks at the counter for a bounded time, since a network's operations follow one another
//! within microseconds; then it sleeps until it is woken.
//!
//! What keeps it sound: only who has claimed a task looks at the job, the leader does not return
//! before all claimed tasks are reported, and the job is set anew only after that. A thread that
//! comes late claims nothing and looks at nothing, so no one has to wait for threads that slept
//! through an operation.

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How long a thread looks out before it sleeps: longer than the gaps between a network's operations
/// and than waking a thread takes, too short to matter as processor time.
#[cfg(not(target_arch = "wasm32"))]
const PATIENCE: std::time::Duration = std::time::Duration::from_micros(60);
/// The same as a number of rounds of [`LOOKS`], since WebAssembly has no clock of its own.
#[cfg(target_arch = "wasm32")]
const PATIENCE: usize = 600;
/// How often it looks between two looks at the clock.
const LOOKS: usize = if cfg!(miri) { 1 } else { 64 };

/// A value with a cache line of its own (two, since processors fetch them in pairs).
#[repr(align(128))]
struct Line<T>(T);

/// What an operation's tasks are: `call(work, index)` does one of them.
#[derive(Clone, Copy)]
struct Job {
    work: *const (),
    call: unsafe fn(*const (), usize),
    tasks: usize,
}

impl Job {
    const NONE: Job = Job::new(0, &|_| ());

    const fn new<F: Fn(usize) + Sync>(tasks: usize, work: &F) -> Self {
        /// `work` points to a living `F`.
        unsafe fn call<F: Fn(usize) + Sync>(work: *const (), index: usize) {
            // SAFETY: By this function's contract.
            let work = unsafe { &*work.cast::<F>() };
            work(index);
        }
        Job {
            work: std::ptr::from_ref(work).cast(),
            call: call::<F>,
            tasks,
        }
    }
}

/// Who sleeps.
struct Beds {
    sleeping: usize,
    /// Threads that were woken and have not noticed yet.
    called: usize,
}

/// What the threads of a pool share.
pub(crate) struct Pool {
    /// Tasks nobody has claimed; below zero when threads came too late.
    unclaimed: Line<AtomicIsize>,
    /// Tasks reported as done by others than the leader.
    done: Line<AtomicUsize>,
    job: UnsafeCell<Job>,
    /// Whether an operation is on.
    led: AtomicBool,
    closed: AtomicBool,
    /// The first panic of a task, and whether there is one.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    panicked: AtomicBool,
    beds: Mutex<Beds>,
    /// `beds.sleeping`, to be read without the lock.
    sleeping: AtomicUsize,
    wake: Condvar,
    /// Whether the leader sleeps until all tasks are done.
    leader_sleeps: AtomicBool,
    wake_leader: Condvar,
}

// SAFETY: `job` is written by the leader alone, of which there is one (`led`), while no task is
// claimed or to be had, and read by threads that hold a claim alone; claiming acquires what the
// leader released. What it points to is `Sync`.
unsafe impl Sync for Pool {}
// SAFETY: As above; the pointers in `job` belong to no thread.
unsafe impl Send for Pool {}

impl Pool {
    pub const fn new() -> Self {
        Pool {
            unclaimed: Line(AtomicIsize::new(0)),
            done: Line(AtomicUsize::new(0)),
            job: UnsafeCell::new(Job::NONE),
            led: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            panic: Mutex::new(None),
            panicked: AtomicBool::new(false),
            beds: Mutex::new(Beds {
                sleeping: 0,
                called: 0,
            }),
            sleeping: AtomicUsize::new(0),
            wake: Condvar::new(),
            leader_sleeps: AtomicBool::new(false),
            wake_leader: Condvar::new(),
        }
    }

    /// Does `work(0)` to `work(tasks - 1)`, each once, and returns when all are done. While another
    /// operation is on, which may be the one this call is made from, the calling thread does all of
    /// it. If tasks panic, the others are done all the same, and one panic goes on in the caller.
    pub fn run(&self, tasks: usize, work: &(impl Fn(usize) + Sync)) {
        if tasks < 2 || self.led.load(Relaxed) || self.led.swap(true, Acquire) {
            return (0..tasks).for_each(work);
        }
        // SAFETY: This thread leads, and the operation before has ended: none of its tasks is
        // claimed, and none can be before the store below.
        unsafe { *self.job.get() = Job::new(tasks, work) };
        self.done.0.store(0, Relaxed);
        // A count of tasks fits: they are values in memory or bands of them.
        self.unclaimed.0.store(tasks as isize, SeqCst);
        if self.sleeping.load(SeqCst) > 0 {
            self.wake(tasks - 1);
        }
        let own = self.help();
        self.wait_for(tasks - own);
        // Nobody holds a claim now, so nobody looks at `work` again.
        let panic = if self.panicked.swap(false, Relaxed) {
            unpoisoned(&self.panic).take()
        } else {
            None
        };
        self.led.store(false, Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Works on operations until the pool is closed.
    pub fn serve(&self) {
        while !self.closed.load(Relaxed) {
            let done = self.help();
            if done > 0 {
                self.done.0.fetch_add(done, SeqCst);
                if self.leader_sleeps.load(SeqCst) {
                    // The leader holds the lock from looking to sleeping.
                    drop(unpoisoned(&self.beds));
                    self.wake_leader.notify_one();
                }
            }
            let called = || self.unclaimed.0.load(Relaxed) > 0 || self.closed.load(Relaxed);
            if !patiently(called) {
                self.sleep();
            }
        }
    }

    /// Ends the threads that serve.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake(usize::MAX);
    }

    /// Claims tasks and does them until none is left; gives how many.
    fn help(&self) -> usize {
        let mut done = 0;
        while self.unclaimed.0.load(Relaxed) > 0 {
            // Acquires the job, and what the tasks work on.
            let left = self.unclaimed.0.fetch_sub(1, Acquire);
            if left <= 0 {
                break;
            }
            // SAFETY: This thread holds a claim.
            let job = unsafe { *self.job.get() };
            let index = job.tasks - left as usize;
            // SAFETY: The leader waits for this task's report, so what `work` points to lives.
            let task = || unsafe { (job.call)(job.work, index) };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(task)) {
                unpoisoned(&self.panic).get_or_insert(panic);
                self.panicked.store(true, Relaxed);
            }
            done += 1;
        }
        done
    }

    /// Waits until the others have done so many tasks.
    fn wait_for(&self, tasks: usize) {
        if patiently(|| self.done.0.load(Acquire) == tasks) {
            return;
        }
        let mut beds = unpoisoned(&self.beds);
        self.leader_sleeps.store(true, SeqCst);
        while self.done.0.load(SeqCst) != tasks {
            beds = self
                .wake_leader
                .wait(beds)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.leader_sleeps.store(false, Relaxed);
    }

    /// Sleeps until called. There may be nothing to do by then, but more will follow soon.
    fn sleep(&self) {
        let mut beds = unpoisoned(&self.beds);
        beds.sleeping += 1;
        self.sleeping.store(beds.sleeping, SeqCst);
        // A leader that read `sleeping` before that store has set its tasks before this load.
        if self.unclaimed.0.load(SeqCst) > 0 || self.closed.load(SeqCst) {
            beds.sleeping -= 1;
            self.sleeping.store(beds.sleeping, SeqCst);
            return;
        }
        while beds.called == 0 {
            beds = self.wake.wait(beds).unwrap_or_else(PoisonError::into_inner);
        }
        beds.called -= 1;
    }

    /// Calls up to `count` sleeping threads.
    fn wake(&self, count: usize) {
        let mut beds = unpoisoned(&self.beds);
        let all = beds.sleeping <= count;
        let count = count.min(beds.sleeping);
        beds.sleeping -= count;
        beds.called += count;
        self.sleeping.store(beds.sleeping, SeqCst);
        drop(beds);
        if all {
            self.wake.notify_all();
        } else {
            (0..count).for_each(|_| self.wake.notify_one());
        }
    }
}

/// Waits for a condition, but not for long; tells whether it came true.
fn patiently(condition: impl Fn() -> bool) -> bool {
    let mut patience = Patience::new();
    loop {
        for _ in 0..LOOKS {
            if condition() {
                return true;
            }
            spin_loop();
        }
        if !patience.lasts() {
            return false;
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
struct Patience(std::time::Instant);

#[cfg(not(target_arch = "wasm32"))]
impl Patience {
    fn new() -> Self {
        Patience(std::time::Instant::now())
    }

    fn lasts(&mut self) -> bool {
        let waited = self.0.elapsed();
        if waited > PATIENCE / 2 {
            // There may be more threads than cores.
            std::thread::yield_now();
        }
        waited < PATIENCE
    }
}

#[cfg(target_arch = "wasm32")]
struct Patience(usize);

#[cfg(target_arch = "wasm32")]
impl Patience {
    fn new() -> Self {
        Patience(PATIENCE)
    }

    fn lasts(&mut self) -> bool {
        self.0 -= 1;
        self.0 > 0
    }
}

/// Nothing that could panic runs under these locks.
fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    /// Fewer rounds where every step is interpreted.
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 4_000 };

    /// A pool with threads that serve while `test` runs, and end behind it.
    fn with_threads(count: usize, test: impl Fn(&Pool)) {
        let pool = Arc::new(Pool::new());
        let threads: Vec<_> = (0..count)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || pool.serve())
            })
            .collect();
        test(&pool);
        pool.close();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// How often each task was done.
    fn counts(pool: &Pool, tasks: usize) -> Vec<usize> {
        let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, &|index| {
            counts[index].fetch_add(1, Relaxed);
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_of_thousands_of_operations_is_done_once() {
        for threads in [0, 1, 2, 5] {
            with_threads(threads, |pool| {
                for round in 0..ROUNDS {
                    let tasks = round % 19;
                    assert_eq!(counts(pool, tasks), vec![1; tasks]);
                }
            });
        }
    }

    #[test]
    fn what_tasks_write_is_there_afterwards() {
        with_threads(2, |pool| {
            for round in 0..ROUNDS {
                // Neither atomic nor locked: the pool alone orders writing and reading.
                let cells: Vec<_> = (0..7).map(|_| Cell(UnsafeCell::new(0))).collect();
                // SAFETY: Every index is handed out once.
                pool.run(7, &|index| unsafe { *cells[index].0.get() = round + index });
                for (index, cell) in cells.into_iter().enumerate() {
                    assert_eq!(cell.0.into_inner(), round + index);
                }
            }
        });

        struct Cell(UnsafeCell<usize>);
        // SAFETY: Used as said above.
        unsafe impl Sync for Cell {}
    }

    #[test]
    fn threads_that_sleep_are_woken() {
        with_threads(2, |pool| {
            for _ in 0..ROUNDS / 40 {
                thread::sleep(Duration::from_millis(1));
                // No task ends before another has begun, so one thread alone would hang.
                let begun = AtomicUsize::new(0);
                pool.run(2, &|_| {
                    begun.fetch_add(1, SeqCst);
                    while begun.load(SeqCst) < 2 {
                        thread::yield_now();
                    }
                });
            }
        });
    }

    #[test]
    fn the_leader_waits_for_a_slow_task() {
        with_threads(1, |pool| {
            for _ in 0..ROUNDS / 400 {
                let leader = thread::current().id();
                let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
                pool.run(2, &|_| {
                    begun.fetch_add(1, SeqCst);
                    while begun.load(SeqCst) < 2 {
                        thread::yield_now();
                    }
                    if thread::current().id() != leader {
                        // Long enough for the leader to sleep.
                        thread::sleep(Duration::from_millis(2));
                    }
                    done.fetch_add(1, SeqCst);
                });
                assert_eq!(done.into_inner(), 2);
            }
        });
    }

    #[test]
    fn several_threads_may_ask_at_once() {
        with_threads(2, |pool| {
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for round in 0..ROUNDS {
                            let tasks = round % 9;
                            assert_eq!(counts(pool, tasks), vec![1; tasks]);
                        }
                    });
                }
            });
        });
    }

    #[test]
    fn a_task_may_run_an_operation_of_its_own() {
        with_threads(2, |pool| {
            for _ in 0..ROUNDS / 20 {
                let total = AtomicUsize::new(0);
                pool.run(5, &|_| {
                    pool.run(7, &|index| {
                        total.fetch_add(index, Relaxed);
                    });
                });
                assert_eq!(total.into_inner(), 5 * 21);
            }
        });
    }

    #[test]
    fn a_panic_goes_on_in_the_caller_and_leaves_the_pool_whole() {
        with_threads(2, |pool| {
            for round in 0..ROUNDS / 100 {
                let done = AtomicUsize::new(0);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    pool.run(6, &|index| {
                        done.fetch_add(1, Relaxed);
                        // By resuming: without a message for each on standard error.
                        if index == round % 6 {
                            resume_unwind(Box::new(index));
                        }
                    });
                }));
                let payload = outcome.unwrap_err();
                assert_eq!(payload.downcast_ref::<usize>(), Some(&(round % 6)));
                assert_eq!(done.into_inner(), 6);
                assert_eq!(counts(pool, 9), vec![1; 9]);
            }
        });
    }
}
