//! What can go wrong between a model file and its logits.

use llavaguard_backend::{Cancelled, DeviceError};

use crate::gguf::GgufError;

/// A model that cannot be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file's structure is not that of a GGUF, or it is damaged.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// Settings that contradict each other.
    #[error("the model's configuration is not usable: {0}; convert the checkpoint again")]
    Config(String),
    /// The tokeniser in the file cannot be used.
    #[error("the model's tokeniser is not usable: {0}")]
    Tokenizer(String),
    /// The prompt and the answer do not fit the context.
    #[error(
        "the prompt needs {needed} positions, the model has room for {capacity}; use a lower detail or a shorter policy"
    )]
    ContextFull {
        /// Positions asked for.
        needed: usize,
        /// Positions there are.
        capacity: usize,
    },
    /// Inputs that do not fit the model; a fault of the calling code.
    #[error("the network was given {0}")]
    Input(String),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The caller stopped it.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ModelError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            ModelError::Gguf(error) => error.code(),
            ModelError::Config(_) => "model.bad_config",
            ModelError::Tokenizer(_) => "model.bad_tokenizer",
            ModelError::ContextFull { .. } => "engine.context_full",
            ModelError::Input(_) => "engine.bad_input",
            ModelError::Device(error) => error.code(),
            ModelError::Cancelled(_) => "engine.cancelled",
        }
    }
}
