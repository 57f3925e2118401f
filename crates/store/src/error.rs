//! Why a model's bytes are not here.

use crate::outside::{NetworkError, StorageError};

/// Why a manifest cannot be used, or a model's bytes are not in the store.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The document is not a manifest.
    #[error("this is not a manifest: {0}. Make one with `llavaguard manifest`.")]
    Manifest(String),
    /// The manifest is of a later format.
    #[error(
        "the manifest is of format {found}, this version reads format {known}. Use a newer version."
    )]
    Version {
        /// What the manifest says.
        found: String,
        /// What is read here.
        known: u32,
    },
    /// A key cannot be read.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// The signature is wrong.
    #[error(
        "the manifest's signature is wrong: {0}. It was changed after it was signed; take it from where it was published."
    )]
    Signature(String),
    /// The manifest is not signed by anyone who is trusted.
    #[error(
        "the manifest is {signed}, which is none of the trusted keys. Add the key only if you know whose it is."
    )]
    Untrusted {
        /// By whom it is signed.
        signed: String,
    },
    /// The server or the network kept failing.
    #[error(
        "{url} could not be fetched: {reason}. What has arrived is kept: try again and it goes on from there."
    )]
    Network {
        /// What was asked for.
        url: String,
        /// What happened last.
        reason: String,
    },
    /// The server says it does not have the file, or not for us.
    #[error("{url} could not be fetched: the server said {status}. Check the address.")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// The server has something else than the manifest describes.
    #[error(
        "{url} is not what its manifest describes: chunk {chunk} ({start}..{end}) has the SHA-256 {found} and should have {expected}. The file or the manifest was replaced; nothing of this chunk was kept."
    )]
    WrongBytes {
        /// What was asked for.
        url: String,
        /// Number of the chunk, from 0.
        chunk: usize,
        /// First byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
        /// Digest by the manifest.
        expected: String,
        /// Digest of what came.
        found: String,
    },
    /// The server's file has another size.
    #[error("{url} has {found} bytes where {expected} were expected. The file was replaced.")]
    WrongSize {
        /// What was asked for.
        url: String,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes by the server.
        found: u64,
    },
    /// The file on the server changed while it was fetched, again and again.
    #[error("{url} changed while it was fetched. Try again when it is complete.")]
    Changed {
        /// What was asked for.
        url: String,
    },
    /// There is no room.
    #[error(
        "there is no room for the model: {}. Delete other models or free some space, then try again; what has arrived is kept.",
        room(.needed, .free)
    )]
    Quota {
        /// Bytes that are still to be stored.
        needed: u64,
        /// Bytes that are free, where that is known.
        free: Option<u64>,
    },
    /// The storage failed.
    #[error("the model could not be stored: {0}. Try again; if it stays, delete the stored model.")]
    Storage(String),
    /// The caller stopped it.
    #[error("loading was stopped")]
    Cancelled,
}

fn room(needed: &u64, free: &Option<u64>) -> String {
    let megabytes = |bytes: &u64| format!("{:.1} MB", *bytes as f64 / 1e6);
    match free {
        Some(free) => format!(
            "it needs {} more and the browser allows {}",
            megabytes(needed),
            megabytes(free)
        ),
        None => format!(
            "it needs {} more than the browser allows",
            megabytes(needed)
        ),
    }
}

impl StoreError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Manifest(_) => "manifest.invalid",
            StoreError::Version { .. } => "manifest.unknown_version",
            StoreError::Key(_) => "manifest.bad_key",
            StoreError::Signature(_) => "manifest.bad_signature",
            StoreError::Untrusted { .. } => "manifest.untrusted",
            StoreError::Network { .. } | StoreError::Refused { .. } => "model.fetch_failed",
            StoreError::WrongBytes { .. } => "model.wrong_bytes",
            StoreError::WrongSize { .. } => "model.wrong_size",
            StoreError::Changed { .. } => "model.changed",
            StoreError::Quota { .. } => "store.quota_exceeded",
            StoreError::Storage(_) => "store.failed",
            StoreError::Cancelled => "engine.cancelled",
        }
    }
}

impl StoreError {
    /// What it means that a network kept failing.
    pub(crate) fn from_network(url: &str, NetworkError(reason): NetworkError) -> StoreError {
        StoreError::Network {
            url: url.to_owned(),
            reason,
        }
    }

    /// What a storage's failure means while `needed` bytes are still to come.
    pub(crate) fn storage(error: StorageError, needed: u64) -> StoreError {
        match error {
            // Browsers may tell more than they give, so that nobody is recognised by it.
            StorageError::Quota { free } => StoreError::Quota {
                needed,
                free: free.filter(|free| *free < needed),
            },
            StorageError::Failed(reason) => StoreError::Storage(reason),
        }
    }
}
