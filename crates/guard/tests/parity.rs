//! Every stage of the network against transformers' own, on small random models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::goldens::{compare, prompt};
use common::{engine_on, gpu, parity_folder};
use llavaguard_backend::{DType, Device, Unattended, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_gpu::{Extras, Wanted};
use llavaguard_guard::ImageInput;
use llavaguard_policy::Detail;

/// The golden files of one model: the image's name and the file.
fn goldens(model: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parity_folder().join("goldens")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if let Some(image) = stem.strip_prefix(&format!("{model}__")) {
            found.push((image.to_owned(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn check<D: Device>(device: D, model: &str, quant: DType) {
    let engine = engine_on(device, model, quant);
    let name = engine.device().name();
    let goldens = goldens(model);
    assert!(
        goldens.len() >= 3,
        "{model} has {} golden files",
        goldens.len()
    );
    for (image, bytes) in goldens {
        let path = parity_folder().join("images").join(format!("{image}.png"));
        let png = std::fs::read(&path).unwrap();
        let prompt = prompt(&bytes);
        let input = ImageInput::Encoded(&png);
        let tracing = engine.trace_prompt(input, &prompt, Detail::High, &Unattended);
        let trace = block_on(tracing).unwrap();
        let what = format!("{name}: {model} {quant} {image}");
        for line in compare(&what, &trace, &bytes, quant) {
            println!("{line}");
        }
    }
}

/// All models of which there are golden files.
fn models() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(parity_folder().join("models"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.retain(|name| !goldens(name).is_empty());
    assert!(names.len() >= 2, "{names:?}");
    names
}

fn cpu() -> CpuDevice {
    CpuDevice::new(Some(2)).unwrap()
}

#[test]
fn f32_equals_transformers_at_every_stage() {
    for model in models() {
        check(cpu(), &model, DType::F32);
    }
}

#[test]
fn f16_weights_stay_close() {
    for model in models() {
        check(cpu(), &model, DType::F16);
    }
}

#[test]
fn f32_equals_transformers_at_every_stage_on_a_gpu() {
    for model in models() {
        for extras in [Wanted::Exactly(Extras::default()), Wanted::Best] {
            check(gpu(extras), &model, DType::F32);
        }
    }
}

#[test]
fn f16_weights_stay_close_on_a_gpu() {
    for model in models() {
        for extras in [Wanted::Exactly(Extras::default()), Wanted::Best] {
            check(gpu(extras), &model, DType::F16);
        }
    }
}
