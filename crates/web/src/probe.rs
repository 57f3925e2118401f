//! How fast this machine is, before a model is here.

use llavaguard_backend::DType;
use llavaguard_store::Manifest;
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::JsError;
use crate::rate;

/// Side of the weight that is multiplied with: about the width of the 0.5B's layers.
const SIDE: usize = 1024;
/// Rows at once, as in the vision tower and the prefill.
const ROWS: usize = 256;
/// Shortest the measurement may take, in milliseconds; it may take twice as long.
const LEAST_MS: f64 = 450.0;
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
pub async fn measure_speed(manifest: &str) -> Result<String, JsError> {
    let manifest = Manifest::from_json(manifest)?;
    // In products of the shape most of the work has.
    let measured = rate::rate((ROWS, SIDE, SIDE), DType::Q8_0, LEAST_MS).await;
    let rate = 1e9 * measured.map_err(llavaguard_guard::Error::from)?;
    let seconds = operations(&manifest) / (rate * EFFICIENCY);
    Ok(json!({
        "operations_per_second": rate,
        "seconds_to_verdict": seconds,
    })
    .to_string())
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
