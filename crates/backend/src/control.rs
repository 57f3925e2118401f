//! How a long computation reports where it is and lets itself be stopped.

use std::future::Future;
use std::pin::Pin;

/// The caller asked the computation to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the computation was cancelled by its caller")]
pub struct Cancelled;

/// What the engine is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading weights into the device; counted in tensors.
    Load,
    /// Encoding tiles by the vision tower; counted in layers over all tiles.
    Vision,
    /// Prefilling the language model; counted in layers.
    Prefill,
    /// Decoding the answer; counted in tokens.
    Decode,
}

/// The caller's side of a long computation.
///
/// The network awaits [`Control::checkpoint`] after every layer, so that is the grain of
/// cancellation. In a browser the implementation yields to the worker's event loop there, which is
/// the only way a message asking for cancellation can arrive on a single thread.
pub trait Control {
    /// Lets the caller's other work run, then says whether to go on.
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>>;

    /// Tells that `done` of `total` steps of `stage` are behind us.
    fn progress(&self, stage: Stage, done: usize, total: usize) {
        let _ = (stage, done, total);
    }
}

/// Nobody watches: never cancelled, progress ignored.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

impl Control for Unattended {
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
