//! What the loader needs of the world: a network, a store, a clock.

use crate::digest::Digest;
use crate::progress::Progress;

/// Network, storage and clock. All runs on one thread, so futures need not be `Send`.
#[allow(
    async_fn_in_trait,
    reason = "the futures are awaited on the thread that makes them"
)]
pub trait Outside {
    /// What a response's bytes are read from. Dropping it ends the transfer.
    type Body: Body;

    /// Sends a GET request, past every cache. Returns when the response's head is there.
    async fn get(&self, request: &Request) -> Result<Response<Self::Body>, NetworkError>;

    /// Fills `buf` with stored bytes from `offset` on; the range lies within one chunk. `false` where
    /// they were never written.
    async fn read(&self, offset: u64, buf: &mut [u8]) -> Result<bool, StorageError>;

    /// SHA-256 of some bytes, where the machine has a faster way than this crate's.
    async fn digest(&self, bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }

    /// Stores a whole chunk, which starts at `offset`: on return it survives the end of the program. What
    /// a crash of the machine leaves of it is found out, since stored chunks are verified at each load.
    async fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;

    /// Forgets all chunks and the journal, and makes room for `bytes` of them.
    async fn clear(&self) -> Result<(), StorageError>;

    /// Bytes that can still be stored, where that is known.
    async fn free(&self) -> Option<u64>;

    /// The journal as it was last saved, perhaps damaged by a crash while it was; none where there was
    /// none.
    async fn journal(&self) -> Result<Option<String>, StorageError>;

    /// Replaces the journal.
    async fn save_journal(&self, journal: &str) -> Result<(), StorageError>;

    /// Milliseconds since some moment; never goes back.
    fn now_ms(&self) -> f64;

    /// Waits. Returns early where the caller has stopped the loading.
    async fn sleep(&self, milliseconds: f64);

    /// A number from 0 to below 1, another each time.
    fn random(&self) -> f64;

    /// Whether the caller has stopped the loading.
    fn cancelled(&self) -> bool;

    /// Told how far it is.
    fn progress(&self, progress: &Progress);
}

/// The bytes of a response as they come.
#[allow(
    async_fn_in_trait,
    reason = "the futures are awaited on the thread that makes them"
)]
pub trait Body {
    /// Takes the next bytes, as many as are there and fit; 0 at the end.
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetworkError>;
}

/// A GET request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Index of the file in [`crate::Target::parts`].
    pub part: usize,
    /// The bytes asked for; all where none.
    pub range: Option<Range>,
    /// The validator of the version the range is wanted of (`If-Range`). May be left out of the request
    /// where it would need a permission: what comes is compared too.
    pub if_range: Option<String>,
}

/// Bytes `start..end` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Behind the last byte.
    pub end: u64,
}

/// A response's head, and what its bytes are read from.
#[derive(Debug)]
pub struct Response<B> {
    /// Status code.
    pub status: u16,
    /// `ETag`, else `Last-Modified`; none where neither was sent or may be seen. Weak ones are none.
    pub validator: Option<String>,
    /// First byte and size of the whole by `Content-Range`; none where it was not sent or may not be
    /// seen.
    pub content_range: Option<(u64, Option<u64>)>,
    /// `Content-Length`, where no encoding makes it the length of something else.
    pub content_length: Option<u64>,
    /// `Retry-After` in milliseconds.
    pub retry_after_ms: Option<f64>,
    /// The bytes.
    pub body: B,
}

/// A request that got no response, or a response that broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkError(pub String);

/// Storage that did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageError {
    /// There is no room.
    Quota {
        /// Bytes that are free, where that is known.
        free: Option<u64>,
    },
    /// Anything else.
    Failed(String),
}
