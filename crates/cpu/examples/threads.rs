//! What sharing an operation among threads costs, and what it gains.
//!
//! `cargo run --release -p llavaguard-cpu --example threads [THREADS]...`
//!
//! For each count of threads (1, 2 and 4 if none are named): microseconds to hand out and join an
//! operation of so many empty tasks; how much faster 50 us, 500 us and 5 ms of work in sixteen tasks
//! are done than by one thread, and 500 us where every operation follows a millisecond of nothing, as
//! after a pause; and, on Linux, how much processor time an idle device takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use llavaguard_cpu::{Threads, Workers};

const TASKS: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut counts = std::env::args()
        .skip(1)
        .map(|count| count.parse())
        .collect::<Result<Vec<usize>, _>>()?;
    if counts.is_empty() {
        counts = vec![1, 2, 4];
    }
    let step = step();
    println!(
        "{:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>9}",
        "threads", "2 tasks", "16", "128", "50 us", "500 us", "5 ms", "500 paused", "idle"
    );
    for count in counts {
        let workers = Workers::new(Threads::Own(count))?;
        print!("{count:>7}");
        for tasks in [2, 16, 128] {
            let taken = median(|| workers.each(tasks, |_| {}), 2_000, Duration::ZERO);
            print!(" {:>5.2} us", taken.as_secs_f64() * 1e6);
        }
        for (micros, rounds, pause) in
            [(50, 2_000, 0), (500, 400, 0), (5_000, 60, 0), (500, 400, 1)]
        {
            let steps = (f64::from(micros) / 1e6 / TASKS as f64 / step).round() as usize;
            let pause = Duration::from_millis(pause);
            let one = median(|| (0..TASKS).for_each(|_| work(steps)), rounds, pause);
            let all = median(|| workers.each(TASKS, |_| work(steps)), rounds, pause);
            print!(" {:>7.2}x", one.as_secs_f64() / all.as_secs_f64());
        }
        println!(" {:>10}", idle());
    }
    Ok(())
}

/// Something that takes time and no memory.
fn work(steps: usize) {
    let mut value = 1.0f32;
    for _ in 0..steps {
        value = black_box(value * 0.99 + 0.01);
    }
}

/// Seconds a step of [`work`] takes.
fn step() -> f64 {
    const STEPS: usize = 100_000;
    median(|| work(STEPS), 51, Duration::ZERO).as_secs_f64() / STEPS as f64
}

/// The median of the times some calls take, after a tenth as many that do not count.
fn median(mut call: impl FnMut(), rounds: usize, pause: Duration) -> Duration {
    let mut taken = Vec::with_capacity(rounds);
    for round in 0..rounds + rounds / 10 {
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let start = Instant::now();
        call();
        if round >= rounds / 10 {
            taken.push(start.elapsed());
        }
    }
    taken.sort_unstable();
    taken[rounds / 2]
}

/// Processor time this process takes in two seconds without work.
fn idle() -> String {
    let Some(before) = processor_time() else {
        return "unknown".to_owned();
    };
    std::thread::sleep(Duration::from_secs(2));
    match processor_time() {
        Some(after) => format!("{:?}", after.saturating_sub(before)),
        None => "unknown".to_owned(),
    }
}

/// What all threads of this process have spent on processors.
fn processor_time() -> Option<Duration> {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += Duration::from_nanos(stat.split(' ').next()?.parse().ok()?);
    }
    Some(total)
}
