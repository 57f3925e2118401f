//! The CPU device: SIMD kernels on x86-64, aarch64 and wasm32, and a thread pool.
//!
//! Matrices lie in buffers that are used again. Quantised weights are repacked at load into the order their integer
//! kernels read; f32 and f16 stay as they are and are decoded panel by panel. [`CpuDevice`] keeps the promise of
//! [`Device`](llavaguard_backend::Device) that an output row depends on its own inputs to the last
//! bit: every kernel adds up in an order fixed by absolute indices alone, never by how many rows are
//! computed together or by how many threads compute them. The instruction set does change the bits,
//! since it sets how many partial sums a dot product has.
//!
//! | module | what it holds |
//! |---|---|
//! | `device` | the trait's operations: checks, allocation, splitting into tasks |
//! | `linear` | `linear` whatever the weight is stored in, and gated SiLU over two of them |
//! | `integer` | `linear` with quantised weights: register-tiled byte dot products |
//! | `packed`, `rounded` | what it multiplies: quantised weights by panels, activations rounded to bytes |
//! | `gemm` | `linear` with plain weights: register-tiled f32 dot products over decoded panels |
//! | `epilogue` | bias, GELU or residual on a finished rectangle |
//! | `attention` | tiled attention with online softmax, and the tiles keys and values lie in |
//! | `product` | the matrix products inside attention |
//! | `rows` | norms, rotary embedding, bilinear pooling |
//! | `math` | exp, GELU, SiLU in straight-line f32 |
//! | `simd` | vectors of each instruction set, and run-time dispatch |
//! | `matrix`, `buffers` | activations and the memory they lie in |
//! | `workers` | threads as a device uses them |
//! | `pool` | the thread pool |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod attention;
mod buffers;
mod device;
mod epilogue;
mod gemm;
mod integer;
mod linear;
mod math;
mod matrix;
mod packed;
mod pool;
mod product;
mod rounded;
mod rows;
mod simd;
mod weight;
mod workers;

pub use attention::Cache;
pub use buffers::BufferUse;
pub use device::CpuDevice;
pub use matrix::Matrix;
pub use simd::Isa;
pub use weight::Weight;
pub use workers::{Threads, Workers, enter_pool, size_pool};
