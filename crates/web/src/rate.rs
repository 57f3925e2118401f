//! How fast what the engine runs on multiplies.

use llavaguard_backend::{DType, DeviceError, Product};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::device;
use crate::error::JsError;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    pub fn now() -> f64;
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
    let rate = rate((rows, inputs, outputs), format, least_ms).await;
    Ok(rate.map_err(llavaguard_guard::Error::from)?)
}

/// The same, the shape being rows, inputs and outputs.
pub async fn rate(
    shape: (usize, usize, usize),
    format: DType,
    least_ms: f64,
) -> Result<f64, DeviceError> {
    let device = device::open().await?;
    let product = Product::new(&device, shape, format).await?;
    product.rate(&device, least_ms, now).await
}
