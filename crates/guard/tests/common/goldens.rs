//! The stages of golden files, which transformers computed, and how a trace is compared with them;
//! shared by the tests on this machine and those in a browser.

use llavaguard_backend::DType;
use llavaguard_guard::Trace;
use llavaguard_policy::{ChatWrapping, Policy, Segment};
use safetensors::{Dtype, SafeTensors};

/// How far a stage may be off, as a part of its largest magnitude, with weights in `format`: single
/// precision but for the order of sums, else what halves lose.
fn tolerance(format: DType) -> f32 {
    if format == DType::F32 { 2e-5 } else { 2e-2 }
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
    if !found.iter().all(|x| x.is_finite()) {
        return f32::INFINITY;
    }
    let scale = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    worst / scale
}

/// The prompt a golden file was made with, in the training wrapping.
pub fn prompt(golden: &[u8]) -> Vec<Segment> {
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

/// Compares every stage of a trace with those of a golden file, and with weights in single precision
/// the greedy tokens. Gives a line a stage for people to read.
pub fn compare(what: &str, trace: &Trace, golden: &[u8], format: DType) -> Vec<String> {
    let golden = &SafeTensors::deserialize(golden).unwrap();
    let mut report = Vec::new();
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
            tolerance(format)
        };
        report.push(format!("{what}: {name} {shape:?} off by {error:.2e}"));
        assert!(
            error <= allowed,
            "{what}: {name} off by {error}, allowed {allowed}"
        );
    }
    if format == DType::F32 {
        assert_eq!(
            ids(golden, "greedy_ids"),
            trace.greedy_ids,
            "{what}: greedy tokens"
        );
    }
    report
}
