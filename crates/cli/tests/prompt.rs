//! `llavaguard prompt`: the text the models were trained on, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{picture, repository, run};
use safetensors::SafeTensors;
use tempfile::tempdir;

/// LlavaGuard's published v1.2 prompt without its `<image>` line.
fn published() -> String {
    let path = repository("crates/policy/data/llavaguard-v1.2-prompt.txt");
    let text = fs::read_to_string(path).unwrap();
    text.strip_suffix("<image>\n").unwrap().to_owned()
}

#[test]
fn the_default_policy_is_the_published_text() {
    let result = run(["prompt", "--chat", "none"]);
    assert_eq!(result.code, Some(0));
    assert_eq!(result.stdout, published());
}

#[test]
fn chat_turns_stand_around_image_and_policy() {
    let chat = |system: &str, policy: &str| {
        format!("{system}<|im_start|>user\n<image>\n{policy}<|im_end|>\n<|im_start|>assistant\n")
    };
    let system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n";
    let training = chat(system, published().trim());
    assert_eq!(run(["prompt", "--chat", "training"]).stdout, training);
    assert_eq!(
        run(["prompt"]).stdout,
        training,
        "the demo model asks for the system turn"
    );
    assert_eq!(
        run(["prompt", "--chat", "huggingface"]).stdout,
        chat("", &published())
    );
}

#[test]
fn the_policy_given_is_in_the_prompt() {
    let preset = repository("crates/policy/presets/weapons-museum.json");
    let text = run(["prompt", "--policy", preset.to_str().unwrap()]).stdout;
    assert_ne!(text, run(["prompt"]).stdout);
    assert!(text.contains("O6: Weapons or Substance Abuse"));
}

#[test]
fn ids_are_those_the_engine_runs() {
    let folder = tempdir().unwrap();
    let (image, out) = (
        folder.path().join("a.png"),
        folder.path().join("a.safetensors"),
    );
    picture(&image, 30, 30);
    let (image, out) = (image.to_str().unwrap(), out.to_str().unwrap());
    let traced = run(["trace", image, "--detail", "low", "--out", out]);
    assert_eq!(traced.code, Some(0), "{traced:?}");
    let bytes = fs::read(out).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let traced: Vec<i64> = tensors
        .tensor("prompt_ids")
        .unwrap()
        .data()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|id| i64::from_le_bytes(*id))
        .collect();
    let printed: Vec<i64> = serde_json::from_str(&run(["prompt", "--ids"]).stdout).unwrap();
    assert_eq!(printed, traced);
    let image_token = &run(["inspect", "--json"]).json()["config"]["chat"]["image_token"];
    assert_eq!(printed.iter().filter(|id| image_token == **id).count(), 1);
}
