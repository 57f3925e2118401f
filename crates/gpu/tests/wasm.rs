//! The suite in a browser, so that every kernel goes through its compiler too.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use js_sys::Promise;
use llavaguard_backend::{DType, Device, DeviceError, Epilogue, conformance};
use llavaguard_gpu::{Extras, GpuDevice, Kernel, Options, Wanted, adapters};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// A device with exactly these extras on the browser's adapter.
async fn open(extras: Extras) -> GpuDevice {
    let adapter = adapters().await.into_iter().next().expect("no WebGPU here");
    let options = Options {
        adapter: Some(adapter.name),
        extras: Wanted::Exactly(extras),
        ..Options::default()
    };
    GpuDevice::new(&options).await.unwrap()
}

/// All sets of extras that a browser can have and this one has.
async fn sets() -> Vec<Extras> {
    let has = adapters()
        .await
        .into_iter()
        .next()
        .expect("no WebGPU here")
        .extras;
    let mut sets = Vec::new();
    for half in [false, true] {
        for byte_dots in [false, true] {
            if (has.half || !half) && (has.byte_dots || !byte_dots) {
                sets.push(Extras {
                    half,
                    byte_dots,
                    ..Extras::default()
                });
            }
        }
    }
    sets.push(Extras {
        direct: true,
        ..Extras::default()
    });
    sets
}

#[wasm_bindgen_test]
async fn every_set_of_extras_passes() {
    for extras in sets().await {
        let device = open(extras).await;
        let report = conformance::check_all(&device)
            .await
            .unwrap_or_else(|failure| panic!("{}: {failure}", device.name()));
        console_log!("{report}");
    }
}

#[wasm_bindgen_test]
async fn the_browser_compiles_every_kernel() {
    for extras in sets().await {
        let device = open(extras).await;
        device.prepare(Kernel::all(extras, &DType::ALL, &[1, 37, 64, 72, 128, 256]));
        // An error of a pipeline is known when something that was submitted after it has run.
        device.settle().await.unwrap();
    }
}

#[wasm_bindgen]
extern "C" {
    fn fetch(path: &str, options: &JsValue) -> Promise;

    type Response;
    #[wasm_bindgen(method)]
    fn text(this: &Response) -> Promise;
}

/// What a browser's compiler has against a kernel, a line a message, and who was asked.
async fn compiled(source: &str, features: &str) -> (String, String) {
    let options = js_sys::Object::new();
    let set = |name: &str, value: &str| {
        js_sys::Reflect::set(&options, &name.into(), &value.into()).unwrap();
    };
    set("method", "POST");
    set("body", source);
    let path = format!("/shader?features={features}");
    let response: JsValue = JsFuture::from(fetch(&path, &options)).await.unwrap();
    let response: Response = response.unchecked_into();
    let text: JsValue = JsFuture::from(response.text()).await.unwrap();
    let text = text.as_string().unwrap();
    let (compiler, messages) = text.split_once('\n').unwrap();
    (compiler.to_owned(), messages.to_owned())
}

/// Every kernel with every set of extras, those too that this adapter or wgpu's WebGPU back end has
/// not: the test runner compiles their text, in the browser where its adapter has what the text
/// enables, else in Dawn, the library that compiles for Chromium.
#[wasm_bindgen_test]
async fn every_variant_goes_through_a_browsers_compiler() {
    let variants = Kernel::variants(&DType::ALL, &[1, 37, 64, 72, 128, 256]);
    let mut compilers: HashSet<String> = HashSet::new();
    for kernel in &variants {
        let mut source = kernel.source();
        let mut features = Vec::new();
        if let Kernel::Norm {
            subgroups: true, ..
        } = kernel
        {
            // naga neither needs this line nor knows it.
            source.insert_str(0, "enable subgroups;\n");
            features.push("subgroups");
        }
        if source.contains("enable f16;") {
            features.push("shader-f16");
        }
        let (compiler, messages) = compiled(&source, &features.join(",")).await;
        assert!(messages.is_empty(), "{compiler}: {kernel:?}\n{messages}");
        compilers.insert(compiler);
    }
    console_log!("{} variants, compiled by {compilers:?}", variants.len());
    assert!(variants.len() > 70, "{}", variants.len());
}

#[wasm_bindgen_test]
async fn kernels_for_few_and_many_rows_agree() {
    for extras in sets().await {
        let device = open(extras).await;
        let agree = device.self_test(&DType::ALL, &[64, 72]).await;
        assert!(agree.unwrap());
    }
}

#[wasm_bindgen_test]
async fn a_destroyed_device_gives_errors_and_no_results() {
    let device = open(Extras::default()).await;
    let w = vec![0; 64];
    let w = device.load_weight(4, 4, DType::F32, w).unwrap();
    let x = device.upload(1, 4, &[1.0; 4]).unwrap();
    let y = device.linear(&x, &w, None, Epilogue::None).unwrap();
    device.raw().destroy();
    let error = device.read(&y).await.unwrap_err();
    assert!(matches!(error, DeviceError::Lost(_)), "{error}");
}
