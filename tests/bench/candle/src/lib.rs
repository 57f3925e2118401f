//! candle as a peer in the benchmark: its own quantised Qwen2 and its SigLIP at LlavaGuard 0.5B's
//! sizes, with random weights, timed natively (`src/main.rs`) and in a browser's worker (`build.sh`).

mod quant;
pub mod qwen2;
mod random;
pub mod siglip;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use quant::Quant;

/// The version of candle that was compiled in.
pub fn candle_version() -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let version = lock.split_once("name = \"candle-core\"\nversion = \"");
    version
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("unknown")
}
