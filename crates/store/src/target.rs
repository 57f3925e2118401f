//! Chunks and the files they lie in.

use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::outside::Range;

/// What is to be in the store in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Size of the model.
    pub bytes: u64,
    /// Size of every chunk but the last.
    pub chunk_bytes: u64,
    /// SHA-256 of each chunk; none where nothing says what they should be.
    pub digests: Option<Vec<Digest>>,
    /// Sizes of the files the chunks are fetched from, in order.
    pub parts: Vec<u64>,
    /// Where the files are, for messages: their addresses.
    pub urls: Vec<String>,
}

impl Target {
    /// What a manifest describes. `url` gives the address of a file beside the manifest.
    pub fn of(manifest: &Manifest, mut url: impl FnMut(&str) -> String) -> Target {
        let file = &manifest.file;
        let parts: Vec<(&str, u64)> = if file.parts.is_empty() {
            vec![(&file.name, file.bytes)]
        } else {
            file.parts
                .iter()
                .map(|part| (part.name.as_str(), part.bytes))
                .collect()
        };
        Target {
            bytes: file.bytes,
            chunk_bytes: file.chunk_bytes,
            digests: Some(file.chunks.clone()),
            urls: parts.iter().map(|(name, _)| url(name)).collect(),
            parts: parts.iter().map(|(_, bytes)| *bytes).collect(),
        }
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        self.bytes.div_ceil(self.chunk_bytes) as usize
    }

    /// The bytes of the model that are chunk `index`.
    pub(crate) fn range(&self, index: usize) -> Range {
        let start = index as u64 * self.chunk_bytes;
        Range {
            start,
            end: (start + self.chunk_bytes).min(self.bytes),
        }
    }

    /// The file chunk `index` lies in, and the file's first byte in the model.
    pub(crate) fn part_of(&self, index: usize) -> (usize, u64) {
        let start = self.range(index).start;
        let mut first = 0;
        for (part, bytes) in self.parts.iter().enumerate() {
            if start < first + bytes {
                return (part, first);
            }
            first += bytes;
        }
        // Chunks lie inside the model and the parts add up to it.
        (self.parts.len().saturating_sub(1), first)
    }

    /// The chunks of a file.
    pub(crate) fn chunks_of(&self, part: usize) -> std::ops::Range<usize> {
        let first: u64 = self.parts.iter().take(part).sum();
        let bytes = self.parts.get(part).copied().unwrap_or_default();
        let chunk = |at: u64| at.div_ceil(self.chunk_bytes) as usize;
        chunk(first)..chunk(first + bytes)
    }

    /// What chunk `index` should be.
    pub(crate) fn digest(&self, index: usize) -> Option<Digest> {
        self.digests.as_ref()?.get(index).copied()
    }

    /// The address of a file.
    pub(crate) fn url(&self, part: usize) -> String {
        self.urls.get(part).cloned().unwrap_or_default()
    }
}
