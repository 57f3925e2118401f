//! What is in the store, written beside it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::target::Target;

/// Which chunks were stored, and what they were.
///
/// It is rewritten after every chunk. A crash in between loses the last chunk at most; one that
/// damages the journal loses nothing where a manifest says what the chunks should be, since then the
/// store itself is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Journal {
    version: u32,
    pub bytes: u64,
    chunk_bytes: u64,
    /// Which version of the server's file this is; for models without a manifest.
    pub validator: Option<String>,
    /// Digest of each chunk that was stored.
    pub chunks: Vec<Option<Digest>>,
}

impl Journal {
    pub fn new(target: &Target, validator: Option<String>) -> Journal {
        Journal {
            version: 1,
            bytes: target.bytes,
            chunk_bytes: target.chunk_bytes,
            validator,
            chunks: vec![None; target.chunks()],
        }
    }

    /// Reads a journal; none where it is damaged.
    pub fn read(text: &str) -> Option<Journal> {
        let journal: Journal = serde_json::from_str(text).ok()?;
        let chunks = journal.bytes.div_ceil(journal.chunk_bytes.max(1));
        (journal.version == 1 && journal.chunks.len() as u64 == chunks).then_some(journal)
    }

    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it is about a file of these sizes.
    pub fn fits(&self, target: &Target) -> bool {
        (self.bytes, self.chunk_bytes) == (target.bytes, target.chunk_bytes)
    }

    /// The model it is about, where the bytes came from `url`.
    pub fn target(&self, url: &str) -> Target {
        Target {
            bytes: self.bytes,
            chunk_bytes: self.chunk_bytes,
            digests: None,
            parts: vec![self.bytes],
            urls: vec![url.to_owned()],
        }
    }

    pub fn complete(&self) -> bool {
        self.chunks.iter().all(Option::is_some)
    }
}
