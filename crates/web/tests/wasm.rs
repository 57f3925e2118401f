//! What is checked inside a WebAssembly engine, in each build: the device's own kernels, and that
//! pixels and prompts do not depend on the machine.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use llavaguard_backend::{Device, conformance};
use llavaguard_cpu::{CpuDevice, Isa, Threads};
use llavaguard_policy::Policy;
use llavaguard_vision::{Limits, decode};
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

#[wasm_bindgen_test]
async fn a_pool_without_workers_is_the_caller_alone() {
    let one = CpuDevice::with(Isa::best(), Threads::Caller).unwrap();
    let pool = CpuDevice::with(Isa::best(), Threads::Global).unwrap();
    conformance::check_same_bits(&one, &pool).await.unwrap();
}

#[wasm_bindgen_test]
fn the_policy_has_the_same_id_as_on_any_machine() {
    let policy = Policy::from_json(r#"{"categories": {"O6": "non_violating"}}"#).unwrap();
    let again = Policy::from_json(&policy.to_json()).unwrap();
    assert_eq!(policy.policy_id(), again.policy_id());
    assert_ne!(policy.policy_id(), Policy::default().policy_id());
}

#[wasm_bindgen_test]
fn a_photo_decodes_within_the_limits_only() {
    let photo = include_bytes!("../../../tests/photos/firearm-pistol.jpg");
    let image = decode(photo, &Limits::default()).unwrap();
    assert_eq!(image.width().min(image.height()), 160);
    let error = decode(&photo[..photo.len() / 2], &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "image.truncated");
    let small = Limits {
        max_side: 100,
        ..Limits::default()
    };
    assert_eq!(decode(photo, &small).unwrap_err().code(), "image.too_large");
}
