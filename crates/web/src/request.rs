//! What a page asks for, as JSON.

use llavaguard_guard::{DEFAULT_RATIONALE_TOKENS, Rationale, Request, Sampling};
use llavaguard_policy::{Detail, Policy};
use serde::Deserialize;

use crate::error::JsError;

/// Options of one judgement; made by `www/sdk/src/guard.ts`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    /// A policy document; the default policy where absent.
    policy: Option<String>,
    #[serde(default)]
    detail: Detail,
    /// Absent: none is written.
    rationale: Option<RationaleOptions>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RationaleOptions {
    max_tokens: Option<usize>,
    /// Absent: greedy decoding.
    sampling: Option<Nucleus>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Nucleus {
    temperature: f32,
    top_p: f32,
    seed: u64,
}

/// Reads the options of a judgement.
pub fn read(options: &str) -> Result<Request, JsError> {
    let options: Options = serde_json::from_str(options).map_err(|error| {
        JsError::new(
            "engine.bad_option",
            format!("The options of this call were not understood: {error}. See the types of the package."),
        )
    })?;
    let policy = match options.policy {
        Some(document) => Policy::from_json(&document)?,
        None => Policy::default(),
    };
    let rationale = options
        .rationale
        .map_or(Rationale::None, |rationale| Rationale::Write {
            max_tokens: rationale.max_tokens.unwrap_or(DEFAULT_RATIONALE_TOKENS),
            sampling: rationale
                .sampling
                .map_or(Sampling::Greedy, |nucleus| Sampling::Nucleus {
                    temperature: nucleus.temperature,
                    top_p: nucleus.top_p,
                    seed: nucleus.seed,
                }),
        });
    Ok(Request {
        policy,
        detail: options.detail,
        rationale,
    })
}

/// Reads a level of detail.
pub fn detail(name: &str) -> Result<Detail, JsError> {
    Detail::from_name(name).ok_or_else(|| {
        JsError::new(
            "engine.bad_option",
            format!("There is no detail \"{name}\". Use low, auto or high."),
        )
    })
}
