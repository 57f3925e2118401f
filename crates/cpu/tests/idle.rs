//! Threads that have nothing to do take no processor time. A test of its own process, so that no
//! other test's threads are counted.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use llavaguard_cpu::{Threads, Workers};

#[test]
fn idle_threads_sleep() {
    let workers = Workers::new(Threads::Own(4)).unwrap();
    for _ in 0..100 {
        workers.each(8, |_| {});
    }
    // They look out for more for less than a millisecond, however busy the machine is.
    std::thread::sleep(Duration::from_millis(200));
    let before = processor_time();
    std::thread::sleep(Duration::from_millis(500));
    let taken = processor_time() - before;
    drop(workers);
    assert!(taken < Duration::from_millis(10), "{taken:?} of 500 ms");
}

/// What the threads of this process have spent on processors.
fn processor_time() -> Duration {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
        })
        .sum()
}
