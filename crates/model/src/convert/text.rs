//! The tokeniser and the chat template of a checkpoint.

use std::path::Path;

use serde_json::Value;

use super::error::ConvertError;
use super::{read_json, read_limited};
use crate::Tokenizer;

/// Longest `tokenizer.json` taken, in bytes (Qwen2's has 7 MB).
const MAX_TOKENIZER_BYTES: u64 = 48 << 20;

/// Longest chat template taken, in bytes.
const MAX_TEMPLATE_BYTES: u64 = 1 << 20;

/// A checked `tokenizer.json`.
pub struct TokenizerFile {
    /// Its text.
    pub json: String,
    tokenizer: Tokenizer,
}

impl TokenizerFile {
    /// Reads the file and checks that the engine can use it with an embedding of `vocab` rows.
    pub fn read(path: &Path, vocab: usize) -> Result<TokenizerFile, ConvertError> {
        let unusable = |detail: String| ConvertError::Tokenizer {
            path: path.to_owned(),
            detail,
        };
        let bytes = read_limited(path, MAX_TOKENIZER_BYTES)?;
        let tokenizer =
            Tokenizer::from_json(&bytes, vocab).map_err(|error| unusable(error.to_string()))?;
        let json = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8".into()))?;
        Ok(TokenizerFile { json, tokenizer })
    }

    /// The number of a control token, where there is one of that name.
    pub fn control(&self, name: &str) -> Option<u32> {
        self.tokenizer.special(name).ok()
    }
}

/// The chat template, from whichever file this generation of transformers keeps it in.
pub fn chat_template(folder: &Path) -> Result<Option<String>, ConvertError> {
    let jinja = folder.join("chat_template.jinja");
    if jinja.is_file() {
        let bytes = read_limited(&jinja, MAX_TEMPLATE_BYTES)?;
        return String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| ConvertError::Damaged {
                path: jinja,
                detail: "it is not UTF-8".to_owned(),
            });
    }
    for name in [
        "chat_template.json",
        "processor_config.json",
        "tokenizer_config.json",
    ] {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        match read_json(&path)?.get("chat_template") {
            Some(Value::String(template)) => return Ok(Some(template.clone())),
            Some(Value::Array(templates)) => {
                // Several named ones: the one called "default".
                let default = templates.iter().find(|t| t["name"] == "default");
                if let Some(template) = default.and_then(|t| t["template"].as_str()) {
                    return Ok(Some(template.to_owned()));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}
