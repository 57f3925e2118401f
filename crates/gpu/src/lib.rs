//! The GPU device: the network's operations as WGSL kernels, through wgpu natively (Vulkan, Metal,
//! DX12) and in a browser (WebGPU).
//!
//! ```text
//! operation ──device──▶ kernel, buffers, workgroups ──recorder──▶ one compute pass ──read──▶ numbers
//! ```
//!
//! - **Kernels** (`kernels/*.wgsl`, put together by `kernels.rs`) exist for one row, a few and many;
//!   they read quantised weights as they are and add up in f32. `tiles.rs` holds the shapes both sides
//!   work in. Every kernel needs no more than WebGPU's least adapter has; what [`Extras`] adds changes
//!   a kernel, not what it can do.
//! - **Rows are independent to the last bit**, as [`Device`](llavaguard_backend::Device) asks. Sums
//!   are built from blocks of 32 in a fixed order that all kernels share, and attention merges chunks
//!   of 256 keys in order, whether one workgroup does so or several. Since WGSL leaves compilers some
//!   freedom, [`GpuDevice::self_test`] looks at the adapter's actual bits and falls back to one
//!   kernel for all where they differ. It also refuses an adapter that computes wrongly.
//! - **Recording.** Operations go into one compute pass, which is submitted when something is read or
//!   when a tenth of a second of work (on a weak GPU) has come together. A token reads 16 bytes back.
//! - **Memory.** Outputs come from a pool of buffers that are used again; keys and values stay on the
//!   device and grow with use; a weight goes to the device a few megabytes at a time, and to several
//!   buffers where one binding cannot hold it.
//! - **Errors.** Whatever goes wrong on the device is noted (`health.rs`) and asked for before a
//!   result is handed out, so that none computed after an error is ever seen.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapter;
mod attention;
mod buffers;
mod cache;
mod ceilings;
mod choice;
mod device;
mod health;
mod kernels;
mod matrix;
mod operations;
mod pipelines;
mod products;
mod profile;
mod readback;
mod recorder;
mod rows;
mod self_test;
mod template;
mod tiles;
mod weight;

pub use adapter::{AdapterSummary, Options, Wanted, adapters};
pub use cache::Cache;
pub use ceilings::Ceilings;
pub use device::{Counts, GpuDevice};
pub use kernels::{Extras, Kernel};
pub use matrix::Matrix;
pub use profile::KernelTime;
pub use self_test::weights_bytes;
pub use weight::{Weight, device_bytes};
