//! Rayon's global pool out of web workers.
//!
//! The page side starts the workers, because only it knows where its script lies. Every worker
//! instantiates this module over the same shared memory and calls [`run_pool_thread`], which waits
//! for rayon to hand it a thread to be. The engine's own worker is thread 0 of the pool, so a pool
//! of `n` threads needs `n - 1` workers.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use js_sys::Error;
use rayon::{ThreadBuilder, ThreadPoolBuilder};
use wasm_bindgen::prelude::wasm_bindgen;

/// Threads rayon wants to run that no worker has taken yet.
struct Waiting {
    sender: Sender<ThreadBuilder>,
    receiver: Mutex<Receiver<ThreadBuilder>>,
}

fn waiting() -> &'static Waiting {
    static WAITING: OnceLock<Waiting> = OnceLock::new();
    WAITING.get_or_init(|| {
        let (sender, receiver) = channel();
        Waiting {
            sender,
            receiver: Mutex::new(receiver),
        }
    })
}

/// Turns the calling worker into a thread of the pool; returns when the pool ends.
#[wasm_bindgen(js_name = runPoolThread)]
pub fn run_pool_thread() -> Result<(), Error> {
    // The lock is released as soon as this worker has its thread, so the others get theirs.
    let thread = waiting()
        .receiver
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv();
    let thread = thread.map_err(|_| Error::new("the thread pool is gone"))?;
    thread.run();
    Ok(())
}

/// Starts the pool with `threads` threads, the calling worker among them. The `threads - 1` workers
/// must have called [`run_pool_thread`] or be about to: this call waits for them.
#[wasm_bindgen(js_name = startPool)]
pub fn start_pool(threads: usize) -> Result<(), Error> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .spawn_handler(|thread| {
            waiting()
                .sender
                .send(thread)
                .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
        })
        .build_global()
        .map_err(|error| Error::new(&format!("the thread pool did not start: {error}")))
}
