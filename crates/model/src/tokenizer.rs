//! The byte-level BPE tokeniser that comes with a model.

use std::collections::HashMap;
use std::collections::HashSet;

use tokenizers::Tokenizer as HfTokenizer;

use crate::error::ModelError;

/// Turns text into tokens and tokens into bytes.
///
/// Text never becomes a control token here, whatever it contains: control tokens are asked for by
/// name ([`Tokenizer::special`]) and text is encoded with them switched off.
pub struct Tokenizer {
    inner: HfTokenizer,
    /// Bytes behind each token; empty for control tokens.
    bytes: Vec<Vec<u8>>,
    control: HashSet<u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. `vocab` is the number of rows of the embedding.
    pub fn from_json(json: &[u8], vocab: usize) -> Result<Self, ModelError> {
        let mut inner = HfTokenizer::from_bytes(json)
            .map_err(|error| ModelError::Tokenizer(error.to_string()))?;
        inner.set_encode_special_tokens(true);
        let byte_of = byte_level_alphabet();
        let control: HashSet<u32> = inner.get_added_tokens_decoder().keys().copied().collect();
        let entries = inner.get_vocab(true);
        let mut bytes = vec![Vec::new(); vocab];
        for (token, id) in entries {
            let slot = bytes.get_mut(id as usize).ok_or_else(|| {
                ModelError::Tokenizer(format!(
                    "token {token:?} has the number {id}, but the model has {vocab} embeddings"
                ))
            })?;
            if !control.contains(&id) {
                *slot = token
                    .chars()
                    .map(|c| byte_of.get(&c).copied())
                    .collect::<Option<Vec<u8>>>()
                    .ok_or_else(|| {
                        ModelError::Tokenizer(format!(
                            "token {token:?} is not made of byte-level characters; only byte-level BPE is supported"
                        ))
                    })?;
            }
        }
        Ok(Tokenizer {
            inner,
            bytes,
            control,
        })
    }

    /// Tokens of a text, none of them a control token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|error| ModelError::Tokenizer(error.to_string()))?;
        let ids = encoding.get_ids().to_vec();
        match ids.iter().find(|id| self.control.contains(id)) {
            None => Ok(ids),
            Some(id) => Err(ModelError::Tokenizer(format!(
                "a text became control token {id}; the tokeniser does not keep text and control apart"
            ))),
        }
    }

    /// The number of a control token such as `<|im_end|>`.
    pub fn special(&self, name: &str) -> Result<u32, ModelError> {
        self.inner
            .token_to_id(name)
            .filter(|id| self.control.contains(id))
            .ok_or_else(|| ModelError::Tokenizer(format!("it has no control token {name}")))
    }

    /// The bytes of a token: part of a character, perhaps; empty for control tokens and for rows of
    /// the embedding that no token uses.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], Vec::as_slice)
    }

    /// Tokens that stand for no text (control tokens and unused rows), in order.
    pub fn without_text(&self) -> Vec<u32> {
        (0u32..)
            .zip(&self.bytes)
            .filter(|(_, bytes)| bytes.is_empty())
            .map(|(id, _)| id)
            .collect()
    }
}

/// GPT-2's reversible map between bytes and printable characters (Radford et al. 2019,
/// `bytes_to_unicode`): printable Latin-1 stands for itself, the other bytes follow from U+0100 on.
fn byte_level_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100u32;
    (0..=255u8)
        .filter_map(|byte| {
            let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
            let code = if printable {
                u32::from(byte)
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).map(|c| (c, byte))
        })
        .collect()
}
