//! `golden`: an image goes into a model's file, and a GPU has to judge it as the CPU does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{Run, demo_model, picture, repository, run, run_with_input};
use llavaguard_backend::block_on;
use llavaguard_model::convert::rewrite;
use tempfile::{TempDir, tempdir};

/// A folder with the demo model in it.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let model = folder.path().join("model.gguf");
    fs::copy(demo_model(), &model).unwrap();
    (folder, model)
}

fn photo(name: &str) -> String {
    let path = repository("tests/photos").join(name);
    path.to_str().unwrap().to_owned()
}

fn golden(model: &Path, image: &str, options: &[&str]) -> Run {
    let base = ["golden", model.to_str().unwrap(), "--image", image];
    run(base.iter().chain(options))
}

/// Judges a photo on this machine's GPU, or software in its stead.
fn on_gpu(model: &Path) -> Run {
    let adapter = block_on(llavaguard_gpu::adapters()).into_iter().next();
    let adapter = adapter.expect("no Vulkan adapter; Debian's mesa-vulkan-drivers has one");
    run([
        "assess",
        "--json",
        "--detail",
        "low",
        "--no-rationale",
        "--device",
        "gpu",
        "--adapter",
        &adapter.name,
        "--model",
        model.to_str().unwrap(),
        &photo("firearm-pistol.jpg"),
    ])
}

#[test]
fn an_image_and_its_verdict_go_into_the_file() {
    let (folder, model) = folder();
    let before = run(["inspect", "--json", model.to_str().unwrap()]).json();
    let image = photo("fire-smoke-column.jpg");
    let result = golden(&model, &image, &["--json", "--credit", "somebody, CC0"]);
    assert_eq!(result.code, Some(0), "{result:?}");
    let written = result.json();
    assert_eq!(written["rating"], "Unsafe");
    assert_eq!(written["category"], "O9");
    assert_eq!(written["credit"], "somebody, CC0");
    assert_eq!(written["image_bytes"], fs::metadata(&image).unwrap().len());
    assert!(written["tolerance"].as_f64().unwrap() < 0.05, "{written}");

    // The weights are what they were, and so is the model's id.
    let after = run(["inspect", "--json", "--verify", model.to_str().unwrap()]).json();
    assert_eq!(after["verified"], true);
    assert_eq!(after["content_sha256"], before["content_sha256"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let result = run(["manifest", model.to_str().unwrap()]);
    assert_eq!(result.code, Some(0), "{result:?}");
    let manifest = fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["golden"], written);

    // Another one takes its place.
    let other = fs::read(photo("groceries-bananas.jpg")).unwrap();
    let result = run_with_input(["golden", model.to_str().unwrap(), "--image", "-"], &other);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert!(result.stdout.contains("Safe, NA"), "{result:?}");
}

#[test]
fn a_gpu_that_comes_to_another_verdict_is_not_used() {
    let (_folder, model) = folder();
    let image = photo("smoking-cigarette.jpg");
    assert_eq!(golden(&model, &image, &[]).code, Some(0));
    let right = on_gpu(&model);
    assert_eq!(right.code, Some(3), "{right:?}");
    // To the GPU it is the same whether it computes something else or something else is expected.
    rewrite(
        &model,
        |keys| keys.set("llavaguard.golden.rating", "Safe"),
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap();
    let wrong = on_gpu(&model);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    let error = &wrong.json()["error"];
    assert_eq!(error["code"], "device.wrong_result");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("golden image"), "{message}");
}

#[test]
fn what_cannot_be_used_leaves_the_file_as_it_was() {
    let (folder, model) = folder();
    let whole = fs::read(&model).unwrap();
    let large = folder.path().join("large.png");
    picture(&large, 900, 700);
    assert!(fs::metadata(&large).unwrap().len() > 64 << 10);
    let missing = folder.path().join("missing.png");
    let text = repository("tests/photos/README.md");
    for (image, code) in [
        (missing.to_str().unwrap(), "image.not_found"),
        (text.to_str().unwrap(), "image.unsupported_format"),
        (large.to_str().unwrap(), "engine.bad_option"),
    ] {
        let result = golden(&model, image, &[]);
        assert_eq!(result.code, Some(1), "{result:?}");
        assert!(result.stderr.contains(&format!("[{code}]")), "{result:?}");
        assert!(fs::read(&model).unwrap() == whole, "{code}");
    }
    let mut damaged = whole;
    let last = damaged.len() - 40;
    damaged[last] ^= 1;
    fs::write(&model, &damaged).unwrap();
    let result = golden(&model, &photo("smoking-cigarette.jpg"), &[]);
    assert_eq!(result.code, Some(1), "{result:?}");
    assert!(result.stderr.contains("[model.checksum]"), "{result:?}");
    assert!(fs::read(&model).unwrap() == damaged);
    let result = golden(&missing, &photo("smoking-cigarette.jpg"), &[]);
    assert!(result.stderr.contains("[model.not_found]"), "{result:?}");
    // The model and the picture.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    assert_eq!(run(["golden", model.to_str().unwrap()]).code, Some(2));
}
