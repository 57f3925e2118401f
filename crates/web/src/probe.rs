//! How fast this machine is, before a model is here.

use js_sys::Reflect;
use llavaguard_backend::{DType, Device, DeviceError, Epilogue};
use llavaguard_cpu::CpuDevice;
use llavaguard_store::Manifest;
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use crate::error::JsError;

/// Side of the weight that is multiplied with: about the width of the 0.5B's layers.
const SIDE: usize = 1024;
/// Rows at once, as in the vision tower and the prefill.
const ROWS: usize = 256;
/// Longest the measurement may take, in milliseconds.
const BUDGET_MS: f64 = 900.0;
/// Tokens of the default policy's prompt, in Qwen2's tokens.
const PROMPT_TOKENS: f64 = 1130.0;
/// Forward passes behind the prompt until rating and category stand.
const VERDICT_TOKENS: f64 = 4.0;
/// Share of the measured rate a whole model reaches: attention, norms and rounding take the rest.
const EFFICIENCY: f64 = 0.7;

/// Measures matrix products for about a second and estimates from them how long the model of a
/// manifest takes to a verdict on one image at detail `low`. Gives JSON: `operations_per_second` and
/// `seconds_to_verdict`.
#[wasm_bindgen(js_name = measureSpeed)]
pub fn measure_speed(manifest: &str) -> Result<String, JsError> {
    let manifest = Manifest::from_json(manifest)?;
    let rate = operations_per_second().map_err(llavaguard_guard::Error::from)?;
    let seconds = operations(&manifest) / (rate * EFFICIENCY);
    Ok(json!({
        "operations_per_second": rate,
        "seconds_to_verdict": seconds,
    })
    .to_string())
}

/// Multiplications and additions a second in products of the shape most of the work has.
fn operations_per_second() -> Result<f64, DeviceError> {
    let device = CpuDevice::new(None)?;
    let block = DType::Q8_0.block_bytes();
    let mut bytes: Vec<u8> = (0..SIDE * SIDE / 32 * block)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 9) as u8)
        .collect();
    // Each block begins with its scale, as f16: 2^-10.
    for scale in bytes.chunks_mut(block) {
        if let [low, high, ..] = scale {
            (*low, *high) = (0x00, 0x14);
        }
    }
    let weight = device.load_weight(SIDE, SIDE, DType::Q8_0, bytes)?;
    let values: Vec<f32> = (0..ROWS * SIDE).map(|at| (at % 17) as f32 - 8.0).collect();
    let x = device.upload(ROWS, SIDE, &values)?;
    // The first takes memory that the others use again.
    device.linear(&x, &weight, None, Epilogue::None)?;
    let start = now_ms();
    let mut products = 0;
    let elapsed = loop {
        device.linear(&x, &weight, None, Epilogue::None)?;
        products += 1;
        let elapsed = now_ms() - start;
        if elapsed >= BUDGET_MS {
            break elapsed;
        }
    };
    Ok(2.0 * f64::from(products) * (ROWS * SIDE * SIDE) as f64 / (elapsed / 1e3))
}

/// Multiplications and additions until the verdict on one tile.
fn operations(manifest: &Manifest) -> f64 {
    let (v, l) = (
        &manifest.architecture.vision,
        &manifest.architecture.language,
    );
    let patches = f64::from(v.image_size / v.patch_size.max(1)).powi(2);
    let hidden = f64::from(v.hidden);
    let tower = f64::from(v.layers)
        * (patches * (4.0 * hidden * hidden + 2.0 * hidden * f64::from(v.intermediate))
            + 2.0 * patches * patches * hidden);
    let width = f64::from(l.hidden);
    let projector = patches * (hidden + width) * width;
    let queries = f64::from(l.heads) * f64::from(l.head_dim);
    let keys = f64::from(l.kv_heads) * f64::from(l.head_dim);
    let tokens = patches + PROMPT_TOKENS + VERDICT_TOKENS;
    let decoder = f64::from(l.layers)
        * (tokens * (2.0 * width * (queries + keys) + 3.0 * width * f64::from(l.intermediate))
            // Each token looks at those before it.
            + tokens * tokens * queries);
    2.0 * (tower + projector + decoder)
}

/// Milliseconds of `performance.now()`.
fn now_ms() -> f64 {
    let global = js_sys::global();
    Reflect::get(&global, &"performance".into())
        .ok()
        .and_then(|performance| {
            let now = Reflect::get(&performance, &"now".into()).ok()?;
            now.dyn_ref::<js_sys::Function>()?.call0(&performance).ok()
        })
        .and_then(|now: JsValue| now.as_f64())
        .unwrap_or_else(js_sys::Date::now)
}
