//! A byte-level tokeniser out of nothing, or out of one text.

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{TokenizerBuilder, TokenizerImpl};

use crate::config::ChatSettings;

/// Most entries besides the control tokens.
const VOCABULARY: usize = 2048;

/// The text of a `tokenizer.json` with the 256 bytes, the words of `text`, and the control tokens of
/// LLaVA-OneVision around the image token's number.
pub fn byte_level(chat: &ChatSettings, vocab: usize, text: Option<&str>) -> Result<String, String> {
    let mut tokenizer: TokenizerImpl<BPE, NFC, ByteLevel, ByteLevel, ByteLevel> =
        TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(Some(NFC))
            .with_pre_tokenizer(Some(ByteLevel::new(false, false, true)))
            .with_post_processor(Some(ByteLevel::new(false, false, true)))
            .with_decoder(Some(ByteLevel::default()))
            .build()
            .map_err(|error| error.to_string())?;
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(VOCABULARY.min(vocab.saturating_sub(16)))
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer
        .train(&mut trainer, text.into_iter())
        .map_err(|error| error.to_string())?;

    let json = tokenizer
        .to_string(false)
        .map_err(|error| error.to_string())?;
    let mut json: Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    let image = chat.image_token;
    let controls = [
        ("<|endoftext|>", chat.end_token.saturating_sub(2)),
        ("<|im_start|>", chat.end_token.saturating_sub(1)),
        ("<|im_end|>", chat.end_token),
        ("<image>", image),
        ("<video>", image + 1),
    ];
    for (content, id) in controls {
        json["model"]["vocab"][content] = json!(id);
    }
    json["added_tokens"] = controls
        .iter()
        .map(|(content, id)| {
            json!({
                "id": id, "content": content, "special": true, "normalized": false,
                "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    Ok(json.to_string())
}
