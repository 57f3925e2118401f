//! What a device must offer to run the network, the block formats weights are stored in, and the
//! suite every device must pass.
//!
//! The network in `llavaguard-model` is written once over [`Device`]. A device holds matrices of
//! f32 activations, weights in one of the [`DType`] formats and a key/value cache; it offers about a
//! dozen operations on them. [`reference::Reference`] implements the trait by plain scalar loops and
//! is what every other device is compared with by [`conformance`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod block_on;
pub mod check;
pub mod conformance;
mod control;
mod device;
mod dtype;
pub mod quant;
mod rate;
pub mod reference;
mod rounding;
pub mod tables;

pub use block_on::block_on;
pub use control::{Cancelled, Control, Stage, Unattended};
pub use device::{AttentionShape, CacheShape, Device, DeviceError, Epilogue, RowRef};
pub use dtype::DType;
pub use rate::Product;
pub use rounding::{BLOCK, Rounding};
