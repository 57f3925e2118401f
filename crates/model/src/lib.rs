//! LlavaGuard's network: SigLIP tower, projector, Qwen2, tokeniser, and the GGUF file that holds them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod config;
pub mod config_gguf;
#[cfg(not(target_arch = "wasm32"))]
pub mod convert;
#[cfg(not(target_arch = "wasm32"))]
mod emit;
mod error;
pub mod gguf;
#[cfg(not(target_arch = "wasm32"))]
pub mod layout;
mod linear;
mod network;
pub mod packing;
mod projector;
mod qwen2;
pub mod self_test;
mod siglip;
#[cfg(not(target_arch = "wasm32"))]
pub mod synth;
mod tokenizer;
mod weights;

pub use config::ModelConfig;
pub use error::ModelError;
pub use network::{EncodedImage, Network, weight_formats};
pub use packing::{Grid, Packing};
pub use qwen2::{Decoder, KvCache, PREFILL_ROWS, Wanted};
pub use self_test::SelfTest;
pub use tokenizer::Tokenizer;
