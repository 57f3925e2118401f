//! Model files that arrive, stay and can be trusted.
//!
//! A [`Manifest`] says what a model is and what its bytes are: their number, and the SHA-256 of every
//! chunk. [`download()`] brings the bytes into a store, several chunks at a time; nothing is written
//! that was not verified, what was written survives any interruption, and what is found damaged later
//! is fetched again. A model without a manifest is fetched the same way, only that nothing says what
//! its bytes should be.
//!
//! Network, storage and clock are behind one trait, [`Outside`]: a worker's `fetch` and file system in
//! a page, a simulated network with every fault there is in the tests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod canonical;
mod chunk;
mod digest;
mod download;
mod error;
mod journal;
mod manifest;
mod outside;
mod progress;
mod retry;
mod signature;
mod target;
mod transfer;
mod unverified;
mod whole;

pub use digest::{Digest, Hasher};
pub use download::{Options, Outcome, download};
pub use error::StoreError;
pub use manifest::{
    Architecture, FORMAT_VERSION, FileInfo, FormatVersion, Formats, LanguageShape, License,
    MANIFEST_SCHEMA, MAX_CHUNK_BYTES, MAX_MANIFEST_BYTES, MIN_CHUNK_BYTES, Manifest, Part,
    STANDARD_CHUNK_BYTES, VisionShape,
};
pub use outside::{Body, NetworkError, Outside, Range, Request, Response, StorageError};
pub use progress::{Activity, Progress};
pub use signature::{PublicKey, SecretKey, Signature};
pub use target::Target;
pub use unverified::download_unverified;
