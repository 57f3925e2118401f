//! How fast this machine multiplies, and with which instructions it does best.

use std::cell::OnceCell;

use llavaguard_backend::{DType, DeviceError, Product};
use llavaguard_cpu::{CpuDevice, Isa, Threads};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::JsError;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    pub fn now() -> f64;
}

/// The product that instruction sets are compared by: small enough to stay near the core.
const SHAPE: (usize, usize, usize) = (64, 512, 64);
/// Rounds of the comparison, and milliseconds of a round. Engines compile code anew while it runs, so
/// the first rounds are not the last word.
const ROUNDS: usize = 4;
const ROUND_MS: f64 = 12.0;

thread_local! {
    static BEST: OnceCell<Isa> = const { OnceCell::new() };
}

/// A device on the pool of workers, where the worker has started one, with the instructions that are
/// fastest here. Which those are is measured once: a module is not told what processor it runs on.
pub async fn device() -> Result<CpuDevice, DeviceError> {
    let isa = match BEST.with(|best| best.get().copied()) {
        Some(isa) => isa,
        None => {
            let isa = fastest(&candidates()).await?;
            BEST.with(|best| *best.get_or_init(|| isa))
        }
    };
    CpuDevice::with(isa, Threads::Global)
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

/// Giga-operations a second of `rows` by `inputs` activations with an `outputs` by `inputs` weight in
/// `format` (`f32`, `f16`, `q8_0`, `q4_0`), from at least `leastMs` milliseconds of them. A
/// multiplication and an addition are two operations.
#[wasm_bindgen(js_name = productRate)]
pub async fn product_rate(
    rows: usize,
    inputs: usize,
    outputs: usize,
    format: &str,
    least_ms: f64,
) -> Result<f64, JsError> {
    let format: DType = format
        .parse()
        .map_err(|error: String| JsError::new("engine.bad_option", error))?;
    let measured = async {
        let device = device().await?;
        let product = Product::new(&device, (rows, inputs, outputs), format).await?;
        product.rate(&device, least_ms, now).await
    };
    Ok(measured.await.map_err(llavaguard_guard::Error::from)?)
}
