//! Every stage of the network against transformers' own, on small random models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Watch, engine_on, gpu, parity_folder};
use llavaguard_backend::{DType, Device, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_gpu::{Extras, Wanted};
use llavaguard_guard::{ImageInput, Trace};
use llavaguard_policy::{ChatWrapping, Detail, Policy, Segment};
use safetensors::{Dtype, SafeTensors};

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

fn floats(golden: &SafeTensors<'_>, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = golden.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
    let values = tensor
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    (tensor.shape().to_vec(), values)
}

fn ids(golden: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let tensor = golden.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::I64, "{name}");
    tensor
        .data()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| i64::from_le_bytes(*b) as u32)
        .collect()
}

/// Largest difference over the largest magnitude of the expected values.
fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    worst / scale
}

/// The prompt a golden file was made with, in the training wrapping.
fn prompt(golden: &[u8]) -> Vec<Segment> {
    let (_, header) = SafeTensors::read_metadata(golden).unwrap();
    let policy = &header.metadata().as_ref().unwrap()["policy"];
    let wrapping = ChatWrapping::Training;
    let mut segments = wrapping.segments(&Policy::default());
    if policy != "v1.2 default" {
        let text = Segment::Text(format!("\n{}", policy.trim()));
        segments[wrapping.prefix_segments().len()] = text;
    }
    segments
}

fn check<D: Device>(device: D, model: &str, quant: DType, tolerance: f32) {
    let engine = engine_on(device, model, quant);
    let name = engine.device().name();
    let goldens = goldens(model);
    assert!(
        goldens.len() >= 3,
        "{model} has {} golden files",
        goldens.len()
    );
    for (image, bytes) in goldens {
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let path = parity_folder().join("images").join(format!("{image}.png"));
        let png = std::fs::read(&path).unwrap();
        let prompt = prompt(&bytes);
        let input = ImageInput::Encoded(&png);
        let watch = Watch::default();
        let tracing = engine.trace_prompt(input, &prompt, Detail::High, &watch);
        let trace = block_on(tracing).unwrap();
        compare(
            &format!("{name}: {model} {quant} {image}"),
            &trace,
            &golden,
            tolerance,
        );
    }
}

fn compare(what: &str, trace: &Trace, golden: &SafeTensors<'_>, tolerance: f32) {
    assert_eq!(
        ids(golden, "prompt_ids"),
        trace.prompt_ids,
        "{what}: prompt"
    );
    let stages = [
        ("pixel_values", &trace.pixel_values),
        ("vision_features", &trace.vision_features),
        ("projected", &trace.projected),
        ("visual_tokens", &trace.visual_tokens),
        ("logits", &trace.logits),
    ];
    for (name, found) in stages {
        let (shape, expected) = floats(golden, name);
        assert_eq!(
            found.len(),
            expected.len(),
            "{what}: {name} should have the shape {shape:?}"
        );
        let error = relative_error(found, &expected);
        let allowed = if name == "pixel_values" {
            1e-6
        } else {
            tolerance
        };
        println!("{what}: {name} {shape:?} off by {error:.2e}");
        assert!(
            error <= allowed,
            "{what}: {name} off by {error}, allowed {allowed}"
        );
    }
    if tolerance <= 1e-3 {
        assert_eq!(
            ids(golden, "greedy_ids"),
            trace.greedy_ids,
            "{what}: greedy tokens"
        );
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
        check(cpu(), &model, DType::F32, 2e-5);
    }
}

#[test]
fn f16_weights_stay_close() {
    for model in models() {
        check(cpu(), &model, DType::F16, 2e-2);
    }
}

#[test]
fn f32_equals_transformers_at_every_stage_on_a_gpu() {
    for model in models() {
        for extras in [Wanted::Exactly(Extras::default()), Wanted::Best] {
            check(gpu(extras), &model, DType::F32, 2e-5);
        }
    }
}

#[test]
fn f16_weights_stay_close_on_a_gpu() {
    for model in models() {
        for extras in [Wanted::Exactly(Extras::default()), Wanted::Best] {
            check(gpu(extras), &model, DType::F16, 2e-2);
        }
    }
}
