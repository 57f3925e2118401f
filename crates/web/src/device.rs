//! What the network runs on in this build.

#[cfg(not(feature = "webgpu"))]
pub use cpu::{EngineDevice, load, open};
#[cfg(feature = "webgpu")]
pub use gpu::{EngineDevice, load, open};

#[cfg(not(feature = "webgpu"))]
mod cpu;
#[cfg(feature = "webgpu")]
mod gpu;
