//! GGUF, the one file that holds a model: sizes and settings, tokeniser, weights.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. A header (magic, version,
//! counts), typed key/value metadata, a table of tensors, padding, then the tensors' bytes. Version 3
//! is written; 2 and 3 are read, little endian only.
//!
//! The file comes from anywhere, so the reader believes nothing in it: see [`reader`].

mod cursor;
mod error;
mod metadata;
pub mod reader;
mod source;
mod value;
#[cfg(not(target_arch = "wasm32"))]
pub mod writer;

pub use error::GgufError;
pub use metadata::{FromValue, Metadata};
pub use reader::{Gguf, TensorInfo};
#[cfg(not(target_arch = "wasm32"))]
pub use source::FileSource;
pub use source::{ByteSource, SourceError};
pub use value::{Array, Value, ValueType};
#[cfg(not(target_arch = "wasm32"))]
pub use writer::{TensorSpec, WriteError, Writer};

/// First four bytes of every file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// Alignment of tensor data where the file does not say otherwise, in bytes.
pub const DEFAULT_ALIGNMENT: u64 = 32;

/// Metadata key of the alignment.
pub const KEY_ALIGNMENT: &str = "general.alignment";

/// Metadata key of the SHA-256 (64 hex digits) of everything from the start of the tensor data to
/// the end of the file.
pub const KEY_CONTENT_SHA256: &str = "llavaguard.content_sha256";

/// `position` rounded up to a multiple of `alignment`, or `None` where that overflows.
fn align_up(position: u64, alignment: u64) -> Option<u64> {
    position.checked_next_multiple_of(alignment)
}
