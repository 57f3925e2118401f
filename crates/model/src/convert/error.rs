//! Why a checkpoint could not be converted.

use std::io;
use std::path::PathBuf;

use llavaguard_backend::quant::QuantError;

use crate::gguf::{GgufError, WriteError};

/// Why a checkpoint could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A file of the checkpoint could not be read.
    #[error("{} could not be read: {error}; give a complete checkpoint folder", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There are no weights in the folder.
    #[error("{} holds no safetensors weights ({found}); save the checkpoint with safe_serialization=True", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A JSON file that is none, or is not what it should be.
    #[error("{} is damaged: {detail}; fetch the checkpoint again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A safetensors file that ends too early.
    #[error("{} is cut short: it needs {needed} bytes and has {available}; fetch the checkpoint again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes it needs.
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// A setting that is missing, wrong, or stands for something the engine does not run.
    #[error("{}: {key} is {found}, but {expected}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        key: String,
        /// What is there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// The tensor names follow none of the known conventions.
    #[error(
        "the tensors' names follow no known convention of LLaVA-OneVision (the first is {example:?}); is this a LLaVA-OneVision checkpoint?"
    )]
    UnknownDialect {
        /// One of the names.
        example: String,
    },
    /// A tensor the model needs is not in the checkpoint.
    #[error(
        "the checkpoint has no tensor {tensor}, needed for {slot}; fetch it again, all shards of it"
    )]
    MissingTensor {
        /// Its name in the checkpoint's convention.
        tensor: String,
        /// The tensor of the model file it would have become.
        slot: String,
    },
    /// A tensor of another shape than the configuration asks for.
    #[error(
        "tensor {tensor} has shape {found:?}, config.json asks for {expected:?}; configuration and weights do not belong together"
    )]
    WrongShape {
        /// Its name.
        tensor: String,
        /// The shape the configuration asks for.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// Tensors that belong to nothing the engine runs or knows to leave out.
    #[error(
        "the checkpoint has tensors of unknown purpose: {}; leaving them out could change the model, so nothing was written",
        list(tensors)
    )]
    Unexplained {
        /// Their names.
        tensors: Vec<String>,
    },
    /// A tensor in a number format that is not read.
    #[error("tensor {tensor} is stored as {found}; f32, f16 and bf16 are read")]
    SourceFormat {
        /// Its name.
        tensor: String,
        /// Its format.
        found: String,
    },
    /// A value that cannot be stored.
    #[error("tensor {tensor}, row {row}: {error}")]
    Value {
        /// The tensor's name: the checkpoint's where it comes from one.
        tensor: String,
        /// Its row.
        row: usize,
        /// What is wrong with the value.
        error: QuantError,
    },
    /// The tokeniser cannot be used.
    #[error("{} cannot be used: {detail}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A GGUF file that is not one of ours.
    #[error(
        "{} is a GGUF model file of another kind ({found}); a file made by `llavaguard convert` or a checkpoint folder is needed", path.display()
    )]
    ForeignModel {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// A model file that cannot be read, or is damaged.
    #[error("{}: {error}", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: GgufError,
    },
    /// The output could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The caller stopped it.
    #[error("stopped before the end; nothing was written")]
    Cancelled,
}

impl ConvertError {
    /// Stable dotted code.
    pub fn code(&self) -> &'static str {
        match self {
            ConvertError::Read { .. } => "checkpoint.unreadable",
            ConvertError::NoWeights { .. } => "checkpoint.no_weights",
            ConvertError::Damaged { .. } => "checkpoint.damaged",
            ConvertError::Truncated { .. } => "checkpoint.truncated",
            ConvertError::Config { .. } => "checkpoint.bad_config",
            ConvertError::UnknownDialect { .. } => "checkpoint.unknown_names",
            ConvertError::MissingTensor { .. } => "checkpoint.missing_tensor",
            ConvertError::WrongShape { .. } => "checkpoint.wrong_shape",
            ConvertError::Unexplained { .. } => "checkpoint.unexplained_tensors",
            ConvertError::SourceFormat { .. } => "checkpoint.unsupported_format",
            ConvertError::Value { .. } => "checkpoint.bad_value",
            ConvertError::Tokenizer { .. } => "checkpoint.bad_tokenizer",
            ConvertError::ForeignModel { .. } => "checkpoint.foreign_model",
            ConvertError::ModelFile { error, .. } => error.code(),
            ConvertError::Write(error) => error.code(),
            ConvertError::Cancelled => "engine.cancelled",
        }
    }
}

/// The first few of a list of names.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let rest = names.len().saturating_sub(SHOWN);
    if rest == 0 {
        shown.join(", ")
    } else {
        format!("{} and {rest} more", shown.join(", "))
    }
}
