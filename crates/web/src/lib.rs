//! The engine behind a wasm-bindgen surface, for a dedicated worker.
//!
//! The worker's side of the surface is `www/sdk/src/worker/`: it owns network and storage and answers
//! the page's messages, this crate does the rest. Requests, assessments and model information cross as
//! JSON text, images and the model's bytes as typed arrays, errors as `Error` objects with the
//! engine's stable `code`.
//!
//! | module | what it holds |
//! |---|---|
//! | `engine` | load, open, judge, assess |
//! | `device` | what the network runs on in this build: the CPU or a GPU |
//! | `host` | what the worker offers the engine: bytes of the model, a clock, a place to yield |
//! | `store` | the loader of model files over the worker's network and storage |
//! | `probe` | how fast this machine is, before a model is here |
//! | `request` | options as JSON |
//! | `error` | errors as JavaScript sees them |
//! | `policy` | policies without a model: check, prompt text |
//! | `rate` | how fast this machine multiplies |
//! | `threads` | threads out of workers (builds with shared memory only) |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod device;
mod engine;
mod error;
mod host;
mod policy;
mod probe;
mod rate;
mod request;
mod store;
#[cfg(target_feature = "atomics")]
mod threads;

use wasm_bindgen::prelude::wasm_bindgen;

/// Sends the message of a panic to the console before the module traps; the trap alone says nothing.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| host::console_error(&info.to_string())));
}
