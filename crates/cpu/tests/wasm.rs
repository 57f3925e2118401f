//! The suite inside a WebAssembly engine, over what each build has.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use llavaguard_backend::{Device, conformance};
use llavaguard_cpu::{CpuDevice, Isa, Threads};
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[wasm_bindgen_test]
async fn every_instruction_set_of_this_build_passes() {
    for isa in Isa::available() {
        let device = CpuDevice::with(isa, Threads::Caller).unwrap();
        let report = conformance::check_all(&device)
            .await
            .unwrap_or_else(|failure| panic!("{}: {failure}", device.name()));
        console_log!("{report}");
    }
}

/// The formula is the same for the plain and the relaxed build, and so are then their bits.
#[wasm_bindgen_test]
fn a_block_of_whole_numbers_is_exact_in_every_build() {
    let device = CpuDevice::with(Isa::best(), Threads::Caller).unwrap();
    assert_eq!(common::one_block_is_exact(&device), 2 * 4 * 7 * 77);
}

/// The relaxed build's two dot products are chosen between by speed, so a verdict must not depend on it.
#[wasm_bindgen_test]
async fn all_vector_instructions_of_this_build_give_the_same_bits() {
    let best = CpuDevice::with(Isa::best(), Threads::Caller).unwrap();
    let mut others = Isa::available();
    others.retain(|isa| ![Isa::Scalar, Isa::best()].contains(isa));
    assert_eq!(
        others.len(),
        usize::from(cfg!(target_feature = "relaxed-simd"))
    );
    for isa in others {
        let other = CpuDevice::with(isa, Threads::Caller).unwrap();
        conformance::check_same_bits(&best, &other).await.unwrap();
    }
}

#[wasm_bindgen_test]
async fn a_pool_without_workers_is_the_caller_alone() {
    let one = CpuDevice::with(Isa::best(), Threads::Caller).unwrap();
    let pool = CpuDevice::with(Isa::best(), Threads::Global).unwrap();
    conformance::check_same_bits(&one, &pool).await.unwrap();
}
