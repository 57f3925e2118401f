//! The CPU, with the instructions that are fastest here.

use std::cell::OnceCell;

use llavaguard_backend::{
    AttentionShape, CacheShape, Control, DType, Device, DeviceError, Epilogue, Product, quant,
};
use llavaguard_cpu::{CpuDevice, Isa, Threads};
use llavaguard_guard::{Engine, Error};
use llavaguard_model::gguf::ByteSource;

use crate::rate::now;

/// The CPU.
pub type EngineDevice = CpuDevice;

/// The product that instruction sets are compared by: small enough to stay near the core.
const SHAPE: (usize, usize, usize) = (64, 512, 64);
/// Rounds of the comparison, the best of which counts, and milliseconds of a round: shorter than a
/// busy machine's time slices, so that some are not interrupted. Engines compile code anew while it
/// runs, so the first rounds are not the last word.
const ROUNDS: usize = 24;
const ROUND_MS: f64 = 2.0;
/// Rounds of what is run before a model is loaded: some 50 milliseconds.
const WARM_ROUNDS: usize = 6;

thread_local! {
    static BEST: OnceCell<Isa> = const { OnceCell::new() };
}

/// The pool of workers, where the worker has started one, with the instructions that are fastest
/// here. Which those are is measured once: a module is not told what processor it runs on.
pub async fn open() -> Result<EngineDevice, DeviceError> {
    let isa = match BEST.with(|best| best.get().copied()) {
        Some(isa) => isa,
        None => {
            let isa = fastest(&candidates()).await?;
            BEST.with(|best| *best.get_or_init(|| isa))
        }
    };
    CpuDevice::with(isa, Threads::Global)
}

/// Loads a model file.
pub async fn load(
    source: &mut dyn ByteSource,
    control: &dyn Control,
) -> Result<Engine<EngineDevice>, Error> {
    let device = open().await?;
    warm_up(&device).await?;
    Engine::load(device, source, control).await
}

/// Runs what an image runs, on small matrices. Engines compile a function for speed once it has been
/// busy for a while, on a thread of their own: so they do it while the weights are read, and not beside
/// the first image.
async fn warm_up(device: &EngineDevice) -> Result<(), DeviceError> {
    const ROWS: usize = 96;
    const COLS: usize = 4 * 64;
    let shape = AttentionShape {
        heads: 4,
        kv_heads: 4,
        head_dim: 64,
    };
    let cache_shape = CacheShape {
        layers: 1,
        width: COLS,
        capacity: ROWS,
    };
    let values: Vec<f32> = (0..COLS * COLS).map(|at| (at as f32).sin()).collect();
    let mut x = device.upload(ROWS, COLS, &values[..ROWS * COLS])?;
    let row = device.upload(1, COLS, &values[..COLS])?;
    let mut cache = device.new_cache(cache_shape)?;
    for format in [DType::Q8_0, DType::Q4_0] {
        let mut bytes = Vec::new();
        for row in values.chunks(COLS) {
            quant::encode_row(format, row, &mut bytes)
                .map_err(|error| DeviceError::Lost(error.to_string()))?;
        }
        let w = device.load_weight(COLS, COLS, format, bytes)?;
        for _ in 0..WARM_ROUNDS {
            let h = device.layer_norm(&x, &row, &row, 1e-6)?;
            let h = device.linear(&h, &w, Some(&row), Epilogue::GeluTanh)?;
            device.linear(&h, &w, Some(&row), Epilogue::Add(&x))?;
            let h = device.rms_norm(&x, &row, 1e-6)?;
            device.gated(&h, &w, &w)?;
            device.attention(&h, &h, &h, shape)?;
            device.rotary(&mut x, shape.head_dim, 0, 1e6)?;
            device.cache_write(&mut cache, 0, 0, &h, &h)?;
            device.cached_attention(&h, &cache, 0, 0, shape)?;
            device.gated(&row, &w, &w)?;
        }
    }
    Ok(())
}

/// The instruction sets worth a comparison.
fn candidates() -> Vec<Isa> {
    let mut isas = Isa::available();
    isas.retain(|isa| *isa != Isa::Scalar);
    isas
}

async fn fastest(candidates: &[Isa]) -> Result<Isa, DeviceError> {
    let mut best = (Isa::best(), 0.0);
    if candidates.len() < 2 {
        return Ok(best.0);
    }
    let mut products = Vec::new();
    for isa in candidates {
        let device = CpuDevice::with(*isa, Threads::Caller)?;
        let product = Product::new(&device, SHAPE, DType::Q4_0).await?;
        products.push((*isa, device, product));
    }
    for _ in 0..ROUNDS {
        for (isa, device, product) in &products {
            let rate = product.rate(device, ROUND_MS, now).await?;
            if rate > best.1 {
                best = (*isa, rate);
            }
        }
    }
    Ok(best.0)
}
