//! Every stage of the network against transformers' own, on the GPU of a browser.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/goldens.rs"]
mod goldens;

use std::collections::BTreeMap;

use js_sys::{Promise, Uint8Array};
use llavaguard_backend::{DType, Device, Unattended};
use llavaguard_gpu::{Extras, GpuDevice, Options, Wanted, adapters};
use llavaguard_guard::{Engine, ImageInput};
use llavaguard_policy::Detail;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

#[wasm_bindgen]
extern "C" {
    fn fetch(path: &str) -> Promise;

    type Response;
    #[wasm_bindgen(method, getter)]
    fn ok(this: &Response) -> bool;
    #[wasm_bindgen(method, js_name = arrayBuffer)]
    fn array_buffer(this: &Response) -> Promise;
}

/// A file of `tests/parity`, or the names in a folder of it, a line each; below `converted` stand the
/// models as wasm.sh converts them. The test runner answers these requests.
async fn served(path: &str) -> Vec<u8> {
    let response: JsValue = JsFuture::from(fetch(&format!("/parity/{path}")))
        .await
        .unwrap();
    let response: Response = response.unchecked_into();
    assert!(response.ok(), "{path} is not served");
    let bytes: JsValue = JsFuture::from(response.array_buffer()).await.unwrap();
    Uint8Array::new(&bytes).to_vec()
}

/// The images of each model of which there are golden files.
async fn cases() -> BTreeMap<String, Vec<String>> {
    let names = String::from_utf8(served("goldens").await).unwrap();
    let mut cases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names.lines() {
        let case = name.strip_suffix(".safetensors").unwrap();
        let (model, image) = case.split_once("__").unwrap();
        cases
            .entry(model.to_owned())
            .or_default()
            .push(image.to_owned());
    }
    assert!(cases.len() >= 3 && cases.values().all(|images| images.len() >= 3));
    cases
}

/// The browser's GPU, whatever it is.
async fn gpu(extras: Extras) -> GpuDevice {
    let adapter = adapters().await.into_iter().next();
    let options = Options {
        adapter: Some(adapter.expect("no WebGPU here").name),
        extras: Wanted::Exactly(extras),
        ..Options::default()
    };
    GpuDevice::new(&options).await.unwrap()
}

/// All golden files, with every model's weights in `format`.
async fn check(format: DType, kernels: &[Extras]) {
    for (model, images) in cases().await {
        let file = served(&format!("converted/{model}-{format}.gguf")).await;
        for extras in kernels {
            let device = gpu(*extras).await;
            let mut source = file.as_slice();
            let engine = Engine::load(device, &mut source, &Unattended);
            let engine = engine.await.unwrap();
            let name = engine.device().name();
            for image in &images {
                let golden = served(&format!("goldens/{model}__{image}.safetensors")).await;
                let png = served(&format!("images/{image}.png")).await;
                let prompt = goldens::prompt(&golden);
                let input = ImageInput::Encoded(&png);
                let trace = engine.trace_prompt(input, &prompt, Detail::High, &Unattended);
                let what = format!("{name}: {model} {format} {image}");
                for line in goldens::compare(&what, &trace.await.unwrap(), &golden, format) {
                    console_log!("{line}");
                }
            }
        }
    }
}

/// The kernels for adapters in software; those for GPUs are the ones of no extras, since dot products
/// of bytes are for quantised weights.
const DIRECT: Extras = Extras {
    half: false,
    subgroups: false,
    byte_dots: false,
    direct: true,
};

#[wasm_bindgen_test]
async fn f32_equals_transformers_at_every_stage() {
    check(DType::F32, &[Extras::default(), DIRECT]).await;
}

#[wasm_bindgen_test]
async fn f16_weights_stay_close() {
    check(DType::F16, &[DIRECT]).await;
}
