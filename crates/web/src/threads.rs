//! Threads out of web workers.
//!
//! The page side starts the workers, because only it knows where its script lies. Every worker
//! instantiates this module over the same shared memory and calls [`run_pool_thread`]. The engine's
//! own worker works too, so a pool of `n` threads needs `n - 1` of them.

use wasm_bindgen::prelude::wasm_bindgen;

/// Turns the calling worker into a thread of the pool, for as long as the worker lives.
#[wasm_bindgen(js_name = runPoolThread)]
pub fn run_pool_thread() {
    llavaguard_cpu::enter_pool();
}

/// Says that the pool has `threads` threads, the calling worker among them. The other `threads - 1`
/// have called [`run_pool_thread`] or are about to; until then their share is done by those who have.
#[wasm_bindgen(js_name = startPool)]
pub fn start_pool(threads: usize) {
    llavaguard_cpu::size_pool(threads);
}
