//! A model into a store: how to ask for it.

use crate::chunk::Failed;
use crate::error::StoreError;
use crate::journal::Journal;
use crate::manifest::STANDARD_CHUNK_BYTES;
use crate::outside::Outside;
use crate::target::Target;
use crate::transfer::Transfer;

/// How to go about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Range requests at once; each holds one chunk in memory.
    pub connections: usize,
    /// Milliseconds without a byte after which a connection is given up.
    pub stall_ms: f64,
    /// Chunk size of models without a manifest, in bytes.
    pub chunk_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections: 4,
            stall_ms: 20_000.0,
            chunk_bytes: STANDARD_CHUNK_BYTES,
        }
    }
}

/// What it took to have the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Size of the model.
    pub bytes: u64,
    /// Whether every byte is what a manifest says.
    pub verified: bool,
    /// Bytes that were in the store already.
    pub reused: u64,
    /// Bytes that were fetched.
    pub fetched: u64,
    /// Chunks that were found damaged in the store and fetched again.
    pub repaired: usize,
}

/// Brings a model that a manifest describes into the store. When this returns, every chunk there was
/// compared with its digest.
///
/// What is in the store already is verified and kept. Chunks are written only once they are verified,
/// and each is there for good when the next begins, so an interruption of any kind costs what was in
/// flight: one chunk a connection. Dropping the future ends all transfers.
///
/// # Errors
/// See [`StoreError`]. What was stored stays, and the next call goes on from there.
pub async fn download<O: Outside>(
    outside: &O,
    target: &Target,
    options: Options,
) -> Result<Outcome, StoreError> {
    let storage = |error| StoreError::storage(error, target.bytes);
    let saved = outside.journal().await.map_err(storage)?;
    let journal = saved.as_deref().and_then(Journal::read);
    let (journal, look_at_all) = match journal.filter(|journal| journal.fits(target)) {
        Some(journal) => (journal, false),
        // Nothing was stored, or a crash damaged the journal: then the store itself tells.
        None => (Journal::new(target, None), saved.is_some()),
    };
    let transfer = Transfer::new(outside, target, options, journal);
    match transfer.run(look_at_all).await {
        Ok(outcome) => Ok(outcome),
        Err(Failed::Fatal(error)) => Err(error),
        Err(Failed::Transient { reason, .. }) => Err(StoreError::Network {
            url: target.url(0),
            reason,
        }),
        Err(Failed::Changed | Failed::NoRanges) => Err(StoreError::Changed { url: target.url(0) }),
    }
}
