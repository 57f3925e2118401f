//! Inputs that cannot be judged: each has its own code, none is ever "Safe".
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;

use common::{Run, demo_model, picture, repository, run};
use tempfile::{TempDir, tempdir};

/// Header of a PNG of 60,000 x 60,000 pixels, its checksum right.
const HUGE_PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\xea\x60\x00\x00\xea\x60\
\x08\x02\x00\x00\x00\x0f\xb0\xe2\x15";

/// Judges one image and expects that it was not judged, for this reason, and that both forms of
/// output say so.
fn expect_refusal(args: &[&str], image: &str, code: &str, words: &str) {
    let base = ["assess", "--no-rationale", "--detail", "low"];
    let json = run(base.iter().chain(args).chain(&["--json", image]));
    assert_eq!(json.code, Some(1), "{json:?}");
    let line = json.json();
    assert_eq!(line["image"], image);
    assert_eq!(line["error"]["code"], code, "{line}");
    let message = line["error"]["message"].as_str().unwrap();
    assert!(message.contains(words), "no {words:?} in {message:?}");
    not_judged(&json);

    let human = run(base.iter().chain(args).chain(&[image]));
    assert_eq!(human.code, Some(1), "{human:?}");
    assert_eq!(human.stdout, "", "{human:?}");
    assert!(human.stderr.contains(&format!("[{code}]")), "{human:?}");
    assert!(human.stderr.contains(words), "{human:?}");
    not_judged(&human);
}

fn not_judged(result: &Run) {
    for word in ["\"rating\"", "Safe\"", "panicked"] {
        let said = result.stdout.contains(word) || result.stderr.contains(word);
        assert!(!said, "{word} in {result:?}");
    }
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn images() {
    let folder = tempdir().unwrap();
    let whole = folder.path().join("whole.jpg");
    picture(&whole, 200, 150);
    let whole = fs::read(whole).unwrap();

    let cut = write(&folder, "cut.jpg", &whole[..whole.len() / 2]);
    expect_refusal(&[], &cut, "image.truncated", "cut short");
    let huge = write(&folder, "huge.png", HUGE_PNG);
    expect_refusal(&[], &huge, "image.too_large", "60000x60000");
    let text = write(
        &folder,
        "text.jpg",
        b"This is a letter to whom it may concern.\n",
    );
    expect_refusal(&[], &text, "image.unsupported_format", "PNG, JPEG");
    let empty = write(&folder, "empty.png", b"");
    expect_refusal(&[], &empty, "image.empty", "no bytes");
    let missing = folder.path().join("missing.png");
    expect_refusal(
        &[],
        missing.to_str().unwrap(),
        "image.not_found",
        "no such file",
    );
    let directory = folder.path().to_str().unwrap();
    expect_refusal(&[], directory, "image.is_directory", "folder");
}

#[cfg(unix)]
#[test]
fn a_device_without_end_is_cut() {
    expect_refusal(&[], "/dev/zero", "image.too_large", "more than the limit");
}

#[test]
fn models() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let image = image.to_str().unwrap();
    let whole = fs::read(demo_model()).unwrap();

    let half = write(&folder, "half.gguf", &whole[..whole.len() / 2]);
    expect_refusal(&["--model", &half], image, "model.truncated", "half.gguf");
    let header = write(&folder, "header.gguf", &whole[..20]);
    expect_refusal(&["--model", &header], image, "model.truncated", "cut short");
    let mut wide = whole.clone();
    widen(&mut wide, "llava-onevision.feed_forward_length");
    let wide = write(&folder, "wide.gguf", &wide);
    expect_refusal(
        &["--model", &wide],
        image,
        "model.wrong_shape",
        "blk.0.ffn_",
    );
    let text = write(&folder, "text.gguf", b"not a model at all");
    expect_refusal(&["--model", &text], image, "model.not_gguf", "GGUF");
    let empty = write(&folder, "empty.gguf", b"");
    expect_refusal(&["--model", &empty], image, "model.not_gguf", "empty");
    let missing = folder.path().join("missing.gguf");
    let missing = missing.to_str().unwrap();
    expect_refusal(
        &["--model", missing],
        image,
        "model.not_found",
        "missing.gguf",
    );
    let directory = folder.path().to_str().unwrap();
    expect_refusal(
        &["--model", directory],
        image,
        "model.is_directory",
        "folder",
    );
}

/// Adds one quantisation block to a size that the metadata states.
fn widen(model: &mut [u8], key: &str) {
    let at = model
        .windows(key.len())
        .position(|bytes| bytes == key.as_bytes())
        .unwrap();
    let value = &mut model[at + key.len() + 4..][..4];
    let size = u32::from_le_bytes(value.try_into().unwrap());
    value.copy_from_slice(&(size + 32).to_le_bytes());
}

#[test]
fn policies() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let image = image.to_str().unwrap();
    let refuse = |name: &str, json: &[u8], code: &str, words: &str| {
        let policy = write(&folder, name, json);
        expect_refusal(&["--policy", &policy], image, code, words);
        let checked = run(["policy", "check", &policy]);
        assert_eq!(checked.code, Some(1));
        let known_when_answering = code == "policy.undecodable_answer";
        assert!(
            known_when_answering || checked.stderr.contains(code),
            "{checked:?}"
        );
    };
    let typo = br#"{"base": "llavaguard-v1.2", "categories": {"O6": {"mod": "non_violating"}}}"#;
    refuse("typo.json", typo, "policy.unknown_key", "categories.O6");
    let mode = br#"{"base": "llavaguard-v1.2", "categories": {"O6": "non_violting"}}"#;
    refuse("mode.json", mode, "policy.unknown_mode", "non_violating");
    refuse("no.json", b"{\"base\": ", "policy.not_json", "line 1");
    refuse(
        "latin1.json",
        b"{\"name\": \"caf\xe9\"}",
        "policy.not_utf8",
        "UTF-8",
    );
    refuse(
        "long.json",
        &vec![b' '; 2 << 20],
        "policy.document_too_large",
        "bytes",
    );
    let missing = folder.path().join("missing.json");
    let missing = missing.to_str().unwrap();
    expect_refusal(
        &["--policy", missing],
        image,
        "policy.not_found",
        "missing.json",
    );
}

#[test]
fn policies_whose_answers_cannot_be_decoded() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let policy = write(&folder, "v1.0.json", br#"{"base": "llavaguard-v1.0"}"#);
    let args = ["--policy", policy.as_str()];
    expect_refusal(
        &args,
        image.to_str().unwrap(),
        "policy.undecodable_answer",
        "v1.0",
    );
}

#[test]
fn where_nothing_can_be_judged_every_image_has_its_line() {
    let result = run([
        "assess",
        "--json",
        "--model",
        "no-such.gguf",
        "a.png",
        "b.png",
    ]);
    let lines = result.json_lines();
    assert_eq!(lines.len(), 2);
    for (line, image) in lines.iter().zip(["a.png", "b.png"]) {
        assert_eq!(line["image"], image);
        assert_eq!(line["error"]["code"], "model.not_found");
    }
    assert_eq!(result.code, Some(1));
    not_judged(&result);
}

#[test]
fn other_commands_refuse_bad_models_too() {
    let folder = tempdir().unwrap();
    let whole = fs::read(demo_model()).unwrap();
    let half = write(&folder, "half.gguf", &whole[..whole.len() / 2]);
    let out = folder.path().join("out.safetensors");
    let image = repository("crates/cli/Cargo.toml");
    let trace = [
        "trace",
        image.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    for (args, code) in [
        (vec!["inspect", &half], "model.truncated"),
        (vec!["prompt", "--ids", "--model", &half], "model.truncated"),
        (trace.to_vec(), "image.unsupported_format"),
    ] {
        let result = run(&args);
        assert_eq!(result.code, Some(1), "{args:?} gave {result:?}");
        assert!(result.stderr.contains(code), "{args:?} gave {result:?}");
        assert_eq!(result.stdout, "");
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_changed_weight_is_found_by_verify() {
    let folder = tempdir().unwrap();
    let mut bytes = fs::read(demo_model()).unwrap();
    let last = bytes.len() - 1000;
    bytes[last] ^= 1;
    let changed = write(&folder, "changed.gguf", &bytes);
    let result = run(["inspect", "--verify", &changed]);
    assert_eq!(result.code, Some(1), "{result:?}");
    assert!(result.stderr.contains("model.checksum"), "{result:?}");
    assert_eq!(run(["inspect", &changed]).code, Some(0));
}
