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
/// Share of the measured rate a whole model reaches: attention, norms and rounding take the rest. How
/// it was found: docs/reliability.md.
const EFFICIENCY: f64 = 0.8;

/// Measures matrix products for about a second and estimates from them how long the model of a
/// manifest takes to a verdict on one image at detail `low`. Gives JSON: `operations_per_second` and
/// `seconds_to_verdict`.
#[wasm_bindgen(js_name = measureSpeed)]
pub async fn measure_speed(manifest: &str) -> Result<String, JsError> {
    let manifest = Manifest::from_json(manifest)?;
    let quantization = &manifest.quantization;
    let formats = [&quantization.vision, &quantization.language].map(|formats| format_of(formats));
    let [vision_operations, language_operations] = operations(&manifest);
    // In products of the shape most of the work has, in the formats that are multiplied with.
    let [vision, language] = match formats {
        [vision, language] if vision == language => [measure(vision, LEAST_MS).await?; 2],
        [vision, language] => [
            measure(vision, LEAST_MS / 2.0).await?,
            measure(language, LEAST_MS / 2.0).await?,
        ],
    };
    let seconds = vision_operations / vision + language_operations / language;
    Ok(json!({
        "operations_per_second": (vision_operations + language_operations) / seconds,
        "seconds_to_verdict": seconds / EFFICIENCY,
    })
    .to_string())
}

/// Operations a second with weights in a format.
async fn measure(format: DType, least_ms: f64) -> Result<f64, JsError> {
    let measured = rate::rate((ROWS, SIDE, SIDE), format, least_ms).await;
    Ok(1e9 * measured.map_err(llavaguard_guard::Error::from)?)
}

/// A format that a part's weights are in, as a manifest names them; the default one where this version
/// knows none of them.
fn format_of(formats: &str) -> DType {
    let known = formats.split('+').find_map(|format| format.parse().ok());
    known.unwrap_or(DType::Q8_0)
}

/// Multiplications and additions until the verdict on one tile: of tower and projector, and of the
/// language model.
fn operations(manifest: &Manifest) -> [f64; 2] {
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
    [2.0 * (tower + projector), 2.0 * decoder]
}
