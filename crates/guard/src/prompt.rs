//! From a prompt's segments to tokens.

use llavaguard_model::{ModelError, Tokenizer};
use llavaguard_policy::Segment;

/// A prompt in tokens, cut where the image stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTokens {
    /// Before the image: the same for every policy.
    pub before_image: Vec<u32>,
    /// Behind the image: the policy and the opening of the answer.
    pub after_image: Vec<u32>,
}

/// Tokenises a prompt. Control tokens come from [`Segment::Special`] alone; text stays text.
pub fn tokenize(segments: &[Segment], tokenizer: &Tokenizer) -> Result<PromptTokens, ModelError> {
    let mut parts = vec![Vec::new()];
    for segment in segments {
        let ids = match segment {
            Segment::Special(name) => vec![tokenizer.special(name)?],
            Segment::Text(text) => tokenizer.encode(text)?,
            Segment::Image => {
                parts.push(Vec::new());
                continue;
            }
        };
        if let Some(part) = parts.last_mut() {
            part.extend(ids);
        }
    }
    match <[Vec<u32>; 2]>::try_from(parts) {
        Ok([before_image, after_image]) => Ok(PromptTokens {
            before_image,
            after_image,
        }),
        Err(parts) => Err(ModelError::Input(format!(
            "a prompt with {} places for an image instead of one",
            parts.len() - 1
        ))),
    }
}
