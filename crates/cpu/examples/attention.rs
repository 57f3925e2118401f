//! Giga-operations a second of attention at the network's shapes, and nanoseconds an element of the
//! operations row by row.
//!
//! `cargo run --release -p llavaguard-cpu --example attention [THREADS [ISA]]`
//!
//! Operations are those that count: two for every number of a key or value that a query sees.

use std::time::{Duration, Instant};

use llavaguard_backend::{AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue};
use llavaguard_cpu::{CpuDevice, Isa, Matrix, Threads};

/// The tower's heads, and the decoder's.
const TOWER: AttentionShape = AttentionShape {
    heads: 16,
    kv_heads: 16,
    head_dim: 72,
};
const DECODER: AttentionShape = AttentionShape {
    heads: 14,
    kv_heads: 2,
    head_dim: 64,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = match std::env::args().nth(1) {
        Some(count) if count != "1" => Threads::Own(count.parse()?),
        _ => Threads::Caller,
    };
    let only = std::env::args().nth(2);
    for isa in Isa::available() {
        if only.as_deref().is_some_and(|name| name != isa.name()) {
            continue;
        }
        let device = CpuDevice::with(isa, threads)?;
        println!("{}", device.name());
        let mut noise = noise();
        attention(&device, &mut noise)?;
        for (rows, first) in [(512, 0), (512, 1346), (1, 1899)] {
            cached_attention(&device, &mut noise, rows, first)?;
        }
        elements(&device, &mut noise)?;
    }
    Ok(())
}

fn matrix(
    device: &CpuDevice,
    noise: &mut impl FnMut() -> f32,
    rows: usize,
    cols: usize,
) -> Result<Matrix, DeviceError> {
    let values: Vec<f32> = (0..rows * cols).map(|_| noise()).collect();
    device.upload(rows, cols, &values)
}

fn report(name: &str, rate: f64, unit: &str, spread: f64) {
    println!("  {name:<28} {rate:>8.2} {unit:<12} +{spread:.0}%");
}

/// One layer of the tower on a tile.
fn attention(device: &CpuDevice, noise: &mut impl FnMut() -> f32) -> Result<(), DeviceError> {
    let (rows, width) = (729, TOWER.heads * TOWER.head_dim);
    let q = matrix(device, noise, rows, width)?;
    let k = matrix(device, noise, rows, width)?;
    let v = matrix(device, noise, rows, width)?;
    let (seconds, spread) = fastest(|| device.attention(&q, &k, &v, TOWER).map(drop))?;
    let operations = 4.0 * (rows * rows * width) as f64;
    report(
        "729 x 729, 16 heads of 72",
        operations / seconds / 1e9,
        "GFLOP/s",
        spread,
    );
    Ok(())
}

/// One layer of the decoder: `rows` positions from `first` on, their keys and values just written.
fn cached_attention(
    device: &CpuDevice,
    noise: &mut impl FnMut() -> f32,
    rows: usize,
    first: usize,
) -> Result<(), DeviceError> {
    let width = DECODER.kv_heads * DECODER.head_dim;
    let mut cache = device.new_cache(CacheShape {
        layers: 1,
        width,
        capacity: first + rows,
    })?;
    let k = matrix(device, noise, first + rows, width)?;
    let v = matrix(device, noise, first + rows, width)?;
    device.cache_write(&mut cache, 0, 0, &k, &v)?;
    let q = matrix(device, noise, rows, DECODER.heads * DECODER.head_dim)?;
    let (seconds, spread) = fastest(|| {
        device
            .cached_attention(&q, &cache, 0, first, DECODER)
            .map(drop)
    })?;
    let seen: usize = (first + 1..=first + rows).sum();
    let operations = 4.0 * (seen * DECODER.heads * DECODER.head_dim) as f64;
    report(
        &format!("{rows} at {first}, 14/2 heads of 64"),
        operations / seconds / 1e9,
        "GFLOP/s",
        spread,
    );
    Ok(())
}

fn elements(device: &CpuDevice, noise: &mut impl FnMut() -> f32) -> Result<(), DeviceError> {
    let (rows, cols) = (256, 1152);
    let count = (rows * cols) as f64;
    let x = matrix(device, noise, rows, cols)?;
    let gain = matrix(device, noise, 1, cols)?;
    let bias = matrix(device, noise, 1, cols)?;
    let each = |name: &str, work: &mut dyn FnMut() -> Result<(), DeviceError>| {
        let (seconds, spread) = fastest(work)?;
        report(name, seconds / count * 1e9, "ns/element", spread);
        Ok(())
    };
    // A product with one input and nothing to add up is a copy: what is left is the activation.
    let mut bytes = Vec::new();
    for value in &vec![1.0f32; cols] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    let ones = device.load_weight(cols, 1, DType::F32, bytes)?;
    let column = matrix(device, &mut || 0.7, rows, 1)?;
    type Make = fn() -> Epilogue<'static, Matrix>;
    let epilogues: [(&str, Make); 3] = [
        ("linear of one input", || Epilogue::None),
        ("  and gelu_tanh", || Epilogue::GeluTanh),
        ("  and gelu_erf", || Epilogue::GeluErf),
    ];
    for (name, epilogue) in epilogues {
        each(name, &mut || {
            device
                .linear(&column, &ones, Some(&bias), epilogue())
                .map(drop)
        })?;
    }
    each("gated of one input", &mut || {
        device.gated(&column, &ones, &ones).map(drop)
    })?;
    each("layer_norm", &mut || {
        device.layer_norm(&x, &gain, &bias, 1e-6).map(drop)
    })?;
    each("rms_norm", &mut || {
        device.rms_norm(&x, &gain, 1e-6).map(drop)
    })?;
    let mut turned = matrix(device, noise, rows, cols)?;
    each("rotary", &mut || device.rotary(&mut turned, 64, 1346, 1e6))
}

/// How long this thread has been on a processor where Linux tells, else the time of day: on one
/// thread the figures mean something on a busy machine too.
fn now(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|fields| fields.split(' ').next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// Seconds the fastest of some measurements took, and how much slower the slowest was in per cent.
fn fastest(mut work: impl FnMut() -> Result<(), DeviceError>) -> Result<(f64, f64), DeviceError> {
    work()?;
    let (mut shortest, mut longest) = (f64::INFINITY, 0.0f64);
    let clock = Instant::now();
    for _ in 0..5 {
        let start = now(clock);
        let mut rounds = 0;
        while rounds == 0 || now(clock) - start < Duration::from_millis(60) {
            work()?;
            rounds += 1;
        }
        let taken = (now(clock) - start).as_secs_f64() / f64::from(rounds);
        shortest = shortest.min(taken);
        longest = longest.max(taken);
    }
    Ok((shortest, 100.0 * (longest / shortest - 1.0)))
}

/// Uniform noise in -2..2 (a linear congruential generator is random enough to time with).
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    }
}
