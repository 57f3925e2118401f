//! Giga-operations a second of `linear` at the network's shapes, beside a naive loop.
//!
//! `cargo run --release -p llavaguard-cpu --example gemm [THREADS [ROWS]]`
//!
//! On one thread, and where Linux tells it, what counts is the time that thread was on a processor:
//! so the figures mean something on a busy machine too. With ROWS only the shapes of so many rows
//! are measured.

use std::time::{Duration, Instant};

use llavaguard_backend::{DType, Device, DeviceError, Epilogue, quant};
use llavaguard_cpu::{CpuDevice, Isa, Threads};

/// Rows, inputs, outputs: the tower's MLP, the decoder's in prefill, the decoder's in decoding.
const SHAPES: [(usize, usize, usize); 4] = [
    (728, 1152, 4304),
    (1858, 896, 4864),
    (1858, 4864, 896),
    (1, 896, 4864),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = match std::env::args().nth(1) {
        Some(count) if count != "1" => Threads::Own(count.parse()?),
        _ => Threads::Caller,
    };
    let only: Option<usize> = std::env::args()
        .nth(2)
        .map(|rows| rows.parse())
        .transpose()?;
    println!(
        "{:<16} {:>5} {:<8} {:>8} {:>8} {:>6}",
        "m x k x n", "dtype", "isa", "GFLOP/s", "spread", "ratio"
    );
    for shape @ (m, k, n) in SHAPES
        .into_iter()
        .filter(|shape| only.is_none_or(|m| m == shape.0))
    {
        let mut noise = noise();
        let x: Vec<f32> = (0..m * k).map(|_| noise()).collect();
        let w: Vec<f32> = (0..n * k).map(|_| noise() / 32.0).collect();
        // The naive loop is timed on a few rows of the same operands.
        let few = m.min(16);
        let naive = fastest(Threads::Caller, few * k * n, || {
            std::hint::black_box(naive(&x[..few * k], &w, k));
            Ok(())
        })?;
        println!(
            "{:<16} {:>5} {:<8} {:>8.2}",
            format!("{m}x{k}x{n}"),
            "f32",
            "naive",
            naive.0
        );
        for dtype in DType::ALL {
            let mut bytes = Vec::new();
            for row in w.chunks(k) {
                quant::encode_row(dtype, row, &mut bytes)?;
            }
            for isa in Isa::available() {
                let device = CpuDevice::with(isa, threads)?;
                let w = device.load_weight(n, k, dtype, bytes.clone())?;
                let x = device.upload(m, k, &x)?;
                let (best, spread) = fastest(threads, m * k * n, || {
                    std::hint::black_box(device.linear(&x, &w, None, Epilogue::None)?);
                    Ok(())
                })?;
                let name = format!("{}x{}x{}", shape.0, shape.1, shape.2);
                println!(
                    "{name:<16} {:>5} {:<8} {best:>8.2} {spread:>7.0}% {:>6.1}",
                    dtype.name(),
                    isa.name(),
                    best / naive.0
                );
            }
        }
    }
    Ok(())
}

/// What a measurement reads before and after.
struct Clock {
    start: Instant,
    on_processor: Option<Duration>,
}

impl Clock {
    fn start(threads: Threads) -> Self {
        let alone = threads == Threads::Caller;
        Self {
            start: Instant::now(),
            on_processor: alone.then(on_processor).flatten(),
        }
    }

    fn elapsed(&self) -> Duration {
        match (self.on_processor, on_processor()) {
            (Some(start), Some(now)) => now.saturating_sub(start),
            _ => self.start.elapsed(),
        }
    }
}

/// How long this thread has been on a processor.
fn on_processor() -> Option<Duration> {
    let fields = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    fields
        .split(' ')
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

/// Giga-operations a second of the fastest of some measurements, and how much slower the slowest
/// was in per cent.
fn fastest(
    threads: Threads,
    multiply_adds: usize,
    mut work: impl FnMut() -> Result<(), DeviceError>,
) -> Result<(f64, f64), DeviceError> {
    work()?;
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for _ in 0..5 {
        let clock = Clock::start(threads);
        let mut rounds = 0;
        while rounds == 0 || clock.elapsed() < Duration::from_millis(60) {
            work()?;
            rounds += 1;
        }
        let taken = clock.elapsed() / rounds;
        shortest = shortest.min(taken);
        longest = longest.max(taken);
    }
    let rate = 2.0 * multiply_adds as f64 / shortest.as_secs_f64() / 1e9;
    Ok((
        rate,
        100.0 * (longest.as_secs_f64() / shortest.as_secs_f64() - 1.0),
    ))
}

fn naive(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    x.chunks(k)
        .flat_map(|x| w.chunks(k).map(move |w| dot(x, w)))
        .collect()
}

/// Uniform noise in -1..1 (a linear congruential generator is random enough to time with).
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}
