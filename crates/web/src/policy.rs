//! Policies without a model.

use llavaguard_policy::{Mode, Policy};
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::JsError;

/// Checks a policy document and says what it amounts to: JSON with `id`, `name`, the canonical
/// `document` and the `categories` that remain, in the order of the prompt, each with its rules and
/// with the text that stands below its heading there.
#[wasm_bindgen(js_name = describePolicy)]
pub fn describe_policy(document: &str) -> Result<String, JsError> {
    let policy = Policy::from_json(document)?;
    let categories: Vec<_> = policy
        .categories()
        .iter()
        .filter(|category| category.mode != Mode::Removed)
        .map(|category| {
            json!({
                "id": category.id,
                "title": category.title,
                "mode": category.mode,
                "should_not": category.should_not,
                "can": category.can,
                "text": category.text,
            })
        })
        .collect();
    Ok(json!({
        "id": policy.policy_id(),
        "name": policy.name(),
        "document": policy.to_json(),
        "categories": categories,
    })
    .to_string())
}

/// The exact text a model reads for a policy document.
#[wasm_bindgen(js_name = promptText)]
pub fn prompt_text(document: &str) -> Result<String, JsError> {
    Ok(Policy::from_json(document)?.prompt_text().to_owned())
}
