//! What a conversion is asked, and what it answers.

use std::path::PathBuf;

use llavaguard_backend::DType;

use super::dialect::Dialect;
use crate::config::{ModelConfig, Rounding, Wrapping};

/// How to convert. What is `None` and is said by a model file that is converted stays as it is there.
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// Format of the language model's matrices, and of all others unless told otherwise.
    pub quant: DType,
    /// Format of the tower's and the projector's matrices; as `quant` where `None`.
    pub vision_quant: Option<DType>,
    /// Format of token embedding and output head; as `quant` where `None`, but q8_0 for q4_0.
    pub embedding_quant: Option<DType>,
    /// How the model is to be asked; as in training where `None`.
    pub wrapping: Option<Wrapping>,
    /// Arithmetic of un-padding; that of the code the checkpoint was written by where `None`.
    pub rounding: Option<Rounding>,
    /// Version of the prompt the model was trained on: `v1.2` (where `None`), `v1.1` or `v1.0`.
    pub prompt_template: Option<String>,
    /// Name of the model; that of the folder where `None`.
    pub name: Option<String>,
    /// Licence of the weights (an SPDX expression or a plain word), where known.
    pub license: Option<String>,
    /// The tower's own `config.json`, for checkpoints of the original code whose tower is not
    /// google/siglip-so400m-patch14-384.
    pub vision_config: Option<PathBuf>,
}

impl ConvertOptions {
    /// Everything in `quant`, the rest by default.
    pub fn new(quant: DType) -> Self {
        ConvertOptions {
            quant,
            vision_quant: None,
            embedding_quant: None,
            wrapping: None,
            rounding: None,
            prompt_template: None,
            name: None,
            license: None,
            vision_config: None,
        }
    }
}

/// What a conversion did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose naming the checkpoint follows; `None` where it was a model file.
    pub dialect: Option<Dialect>,
    /// Sizes and settings as written.
    pub config: ModelConfig,
    /// Tensors written.
    pub tensors: usize,
    /// Bytes of tensor data written.
    pub bytes: u64,
    /// Tensors of the checkpoint that were left out, and why.
    pub skipped: Vec<(String, &'static str)>,
    /// What was assumed or changed on the way, in sentences.
    pub notes: Vec<String>,
}
