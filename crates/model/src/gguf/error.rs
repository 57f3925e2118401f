//! What can be wrong with a file.

use super::SourceError;

/// Why a model file was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GgufError {
    /// The first bytes are not GGUF's.
    #[error(
        "this is not a GGUF model file ({found}); give a .gguf file made by `llavaguard convert`"
    )]
    NotGguf {
        /// What is there instead.
        found: String,
    },
    /// A version of GGUF that is not read.
    #[error(
        "the file is GGUF version {found}, only versions 2 and 3 are read; convert the model again"
    )]
    Version {
        /// The version it states.
        found: u32,
    },
    /// The file was written on, or for, a big-endian machine.
    #[error("the file is big-endian GGUF, only little-endian is read; convert the model again")]
    BigEndian,
    /// The file ends too early.
    #[error(
        "the model file is cut short: {what} needs {needed} bytes, the file has {available}; download or convert it again"
    )]
    Truncated {
        /// Which part reaches past the end.
        what: String,
        /// Bytes the file would need to have (at least).
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// The header or the tensor table contradicts itself or exceeds a limit.
    #[error("the model file is damaged: {detail}; download or convert it again")]
    Malformed {
        /// What was found where.
        detail: String,
    },
    /// A tensor in a number format that is not run.
    #[error(
        "tensor {tensor} is stored as {found}, the formats run are f32, f16, q8_0 and q4_0; convert the model again with --quant"
    )]
    UnsupportedType {
        /// The tensor.
        tensor: String,
        /// Name or number of its ggml type.
        found: String,
    },
    /// A metadata key that is needed is not there.
    #[error(
        "the model file has no key {key} ({expected} expected); it was not made for this program, convert the checkpoint with `llavaguard convert`"
    )]
    MissingKey {
        /// The key.
        key: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// A metadata value of another type, or a number out of its type's range.
    #[error(
        "key {key} of the model file should be {expected}, found {found}; convert the model again"
    )]
    WrongType {
        /// The key.
        key: String,
        /// The type it should have.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A metadata value that makes no sense for the model.
    #[error(
        "key {key} of the model file has the value {found}, but {expected}; convert the model again"
    )]
    BadValue {
        /// The key.
        key: String,
        /// What it is.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A tensor that is needed is not there.
    #[error("the model file has no tensor {tensor}; convert the model again")]
    MissingTensor {
        /// Its name.
        tensor: String,
    },
    /// A tensor of another shape than the sizes in the metadata ask for.
    #[error(
        "tensor {tensor} has shape {found:?}, the model's sizes ask for {expected:?}; convert the model again"
    )]
    WrongShape {
        /// Its name.
        tensor: String,
        /// The shape the sizes ask for, rows first.
        expected: Vec<usize>,
        /// The shape in the file, rows first.
        found: Vec<usize>,
    },
    /// The tensor data is not what was written.
    #[error(
        "the weights' SHA-256 is {found}, the file states {expected}; download or convert it again"
    )]
    Checksum {
        /// The digest the file states.
        expected: String,
        /// The digest of what is there.
        found: String,
    },
    /// No memory for a part of the file.
    #[error(
        "no memory for the {bytes} bytes of {what}; close other programs or take a smaller model"
    )]
    OutOfMemory {
        /// The part.
        what: String,
        /// Its size.
        bytes: u64,
    },
    /// The bytes could not be read.
    #[error("the model file could not be read: {0}")]
    Source(#[from] SourceError),
}

impl GgufError {
    /// Stable dotted code.
    pub fn code(&self) -> &'static str {
        match self {
            GgufError::NotGguf { .. } => "model.not_gguf",
            GgufError::Version { .. } | GgufError::BigEndian => "model.unsupported_version",
            GgufError::Truncated { .. } => "model.truncated",
            GgufError::Malformed { .. } => "model.damaged",
            GgufError::UnsupportedType { .. } => "model.unsupported_format",
            GgufError::MissingKey { .. } => "model.missing_key",
            GgufError::WrongType { .. } | GgufError::BadValue { .. } => "model.wrong_key",
            GgufError::MissingTensor { .. } => "model.missing_tensor",
            GgufError::WrongShape { .. } => "model.wrong_shape",
            GgufError::Checksum { .. } => "model.checksum",
            GgufError::OutOfMemory { .. } => "model.out_of_memory",
            GgufError::Source(error) => error.code(),
        }
    }
}
