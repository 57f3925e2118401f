//! `convert`, `inspect`, `synth` and `trace`: from a checkpoint folder to every stage of an image.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::{Run, demo_model, picture, repository, run};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tempfile::tempdir;

/// A model file of the small checkpoint `name` of the parity tests.
fn convert(name: &str, out: &Path, options: &[&str]) -> Run {
    let folder = repository("tests/parity/models").join(name);
    run(["convert", folder.to_str().unwrap(), out.to_str().unwrap()]
        .iter()
        .chain(options))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

/// Token ids of either width.
fn ids(tensor: &TensorView<'_>) -> Vec<i64> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::I64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect(),
        Dtype::I32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| i32::from_le_bytes(*b).into())
            .collect(),
        other => panic!("ids in {other:?}"),
    }
}

/// Largest difference, relative to the largest value.
fn difference(ours: &[u8], theirs: &[u8]) -> f32 {
    let (ours, theirs) = (floats(ours), floats(theirs));
    let scale = theirs
        .iter()
        .fold(f32::MIN_POSITIVE, |scale, x| scale.max(x.abs()));
    ours.iter()
        .zip(&theirs)
        .fold(0.0, |worst: f32, (a, b)| worst.max((a - b).abs()))
        / scale
}

#[test]
fn a_trace_is_what_transformers_computes() {
    let folder = tempdir().unwrap();
    let model = folder.path().join("tied.gguf");
    let converted = convert("tied", &model, &["--quant", "f32"]);
    assert_eq!(converted.code, Some(0), "{converted:?}");
    let mut compared = 0;
    for entry in fs::read_dir(repository("tests/parity/goldens")).unwrap() {
        let golden = fs::read(entry.unwrap().path()).unwrap();
        let (_, header) = SafeTensors::read_metadata(&golden).unwrap();
        let about = header.metadata().as_ref().unwrap();
        if about["model"] != "tied" || about["policy"] != "v1.2 default" {
            continue;
        }
        let image = repository("tests/parity/images").join(&about["image"]);
        let out = folder.path().join("trace.safetensors");
        let traced = run([
            "trace",
            image.to_str().unwrap(),
            "--detail",
            "high",
            "--model",
            model.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ]);
        assert_eq!(traced.code, Some(0), "{traced:?}");
        let bytes = fs::read(&out).unwrap();
        let (ours, theirs) = (
            SafeTensors::deserialize(&bytes),
            SafeTensors::deserialize(&golden),
        );
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert_eq!(ours.len(), 7);
        for (name, expected) in theirs.tensors() {
            let found = ours.tensor(&name).unwrap();
            assert_eq!(
                found.shape(),
                expected.shape(),
                "{name} of {}",
                about["image"]
            );
            if name.ends_with("_ids") {
                assert_eq!(found.dtype(), Dtype::I64);
                assert_eq!(ids(&found), ids(&expected), "{name} of {}", about["image"]);
            } else {
                let off = difference(found.data(), expected.data());
                assert!(off < 1e-3, "{name} of {} is off by {off}", about["image"]);
            }
        }
        compared += 1;
    }
    assert!(
        compared > 0,
        "no golden file of the default policy was found"
    );
}

#[test]
fn convert_replaces_only_when_told() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    fs::write(&out, b"precious").unwrap();
    let refused = convert("tied", &out, &["--quant", "q8_0"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("output.exists"), "{refused:?}");
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    let done = convert("tied", &out, &["--quant", "q8_0", "--force"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(fs::read(&out).unwrap().starts_with(b"GGUF"));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "something was left beside it"
    );
}

#[test]
fn convert_takes_q8_0_unless_told() {
    let folder = tempdir().unwrap();
    let file = |name: &str, options: &[&str]| {
        let out = folder.path().join(name);
        let done = convert("blocks", &out, options);
        assert_eq!(done.code, Some(0), "{done:?}");
        fs::read(&out).unwrap()
    };
    let untold = file("untold.gguf", &[]);
    assert!(untold == file("q8_0.gguf", &["--quant", "q8_0"]));
    assert!(untold != file("q4_0.gguf", &["--quant", "q4_0"]));
}

#[test]
fn convert_says_what_is_missing() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    for (checkpoint, code) in [
        ("no-such-folder", "checkpoint."),
        ("../images", "checkpoint."),
    ] {
        let result = convert(checkpoint, &out, &["--quant", "f16"]);
        assert_eq!(result.code, Some(1), "{result:?}");
        assert!(result.stderr.contains(code), "{result:?}");
        assert!(!out.exists());
    }
}

#[test]
fn inspect_shows_what_convert_was_told() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let options = [
        "--quant",
        "q4_0",
        "--vision-quant",
        "f16",
        "--chat",
        "huggingface",
        "--name",
        "A name",
        "--license",
        "CC0-1.0",
    ];
    assert_eq!(convert("blocks", &out, &options).code, Some(0));
    let out = out.to_str().unwrap();
    let report = run(["inspect", out, "--json", "--verify", "--tensors"]).json();
    assert_eq!(report["config"]["name"], "A name");
    assert_eq!(report["config"]["chat"]["wrapping"], "huggingface");
    assert_eq!(report["license"], "CC0-1.0");
    assert_eq!(report["verified"], true);
    assert_eq!(report["bytes"], fs::metadata(out).unwrap().len());
    let tensors = report["tensors"].as_array().unwrap();
    let format = |name: &str| {
        let tensor = tensors.iter().find(|tensor| tensor["name"] == name);
        tensor.unwrap_or_else(|| panic!("no tensor {name}"))["format"].clone()
    };
    assert_eq!(format("token_embd.weight"), "q8_0");
    assert_eq!(format("blk.0.ffn_up.weight"), "q4_0");
    assert_eq!(format("v.blk.0.attn_q.weight"), "f16");
    assert_eq!(format("output_norm.weight"), "f32");
    let values: u64 = tensors
        .iter()
        .map(|t| {
            t["shape"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n.as_u64().unwrap())
                .product::<u64>()
        })
        .sum();
    assert_eq!(report["parameters"], values);
    let human = run(["inspect", out]).stdout;
    for word in [
        "A name",
        "q4_0",
        "CC0-1.0",
        report["content_sha256"].as_str().unwrap(),
    ] {
        assert!(human.contains(word), "no {word} in {human}");
    }
    assert!(
        run(["prompt", "--model", out])
            .stdout
            .starts_with("<|im_start|>user\n<image>\n")
    );
}

#[test]
fn the_demo_model_in_the_program_is_the_one_in_the_repository() {
    let inside = run(["inspect", "--json", "--verify"]).json();
    let file = run(["inspect", "--json", demo_model().to_str().unwrap()]).json();
    for key in ["bytes", "content_sha256", "parameters", "config"] {
        assert_eq!(inside[key], file[key]);
    }
    assert!(
        inside["bytes"].as_u64().unwrap() <= 16_000_000,
        "the demo model ships in 16 MB"
    );
}

#[test]
fn a_synthetic_model_is_repeatable_and_runs() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let synth = |name: &str, seed: &str| {
        let out = path(name);
        let result = run([
            "synth", &out, "--config", "demo", "--quant", "q8_0", "--seed", seed,
        ]);
        assert_eq!(result.code, Some(0), "{result:?}");
        fs::read(out).unwrap()
    };
    let first = synth("a.gguf", "1");
    assert!(
        first == synth("b.gguf", "1"),
        "the same seed gave another file"
    );
    assert!(
        first != synth("c.gguf", "2"),
        "another seed gave the same file"
    );
    let image = folder.path().join("a.png");
    picture(&image, 60, 60);
    let (image, model) = (image.to_str().unwrap(), path("a.gguf"));
    let options = [
        "assess",
        "--json",
        "--no-rationale",
        "--detail",
        "low",
        "--model",
    ];
    let line = run(options.iter().chain(&[model.as_str(), image])).json();
    assert!(line["rating"].is_string(), "{line}");
}
