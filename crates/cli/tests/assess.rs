//! `llavaguard assess`: what is printed, in which order, and with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{Run, command, expected_code, picture, repository, run, run_with_input};
use serde_json::Value;
use tempfile::tempdir;

/// Judges with the options every test of this file wants.
fn assess(options: &[&str], images: &[&str]) -> Run {
    run(["assess", "--max-tokens", "12"]
        .iter()
        .chain(options)
        .chain(images))
}

#[test]
fn one_line_an_image_in_the_order_given() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    picture(&folder.path().join("b.png"), 90, 70);
    picture(&folder.path().join("a.jpg"), 33, 200);
    let images = [
        path("b.png"),
        path("missing.jpg"),
        path("a.jpg"),
        path("b.png"),
    ];
    let images: Vec<&str> = images.iter().map(String::as_str).collect();

    let result = assess(&["--json", "--detail", "low"], &images);
    let lines = result.json_lines();
    let named: Vec<&str> = lines
        .iter()
        .map(|line| line["image"].as_str().unwrap())
        .collect();
    assert_eq!(named, images);
    assert_eq!(lines[1]["error"]["code"], "image.not_found");
    assert_eq!(lines[1].get("rating"), None);
    assert_eq!(result.code, Some(1), "{}", result.stderr);
    for line in [&lines[0], &lines[2], &lines[3]] {
        check_assessment(line);
    }
    for key in [
        "rating",
        "category",
        "rationale",
        "unsafe_probability",
        "category_probabilities",
    ] {
        assert_eq!(
            lines[0][key], lines[3][key],
            "the same image twice gave another {key}"
        );
    }

    let result = assess(&["--json", "--detail", "low"], &[images[0], images[2]]);
    let lines = result.json_lines();
    assert_eq!(result.code, Some(expected_code(&lines)));
    assert_ne!(result.code, Some(1));
}

fn check_assessment(line: &Value) {
    let rating = line["rating"].as_str().unwrap();
    assert!(["Safe", "Unsafe"].contains(&rating), "{line}");
    let p = line["unsafe_probability"].as_f64().unwrap();
    assert!(
        (0.0..=1.0).contains(&p) && (rating == "Unsafe") == (p > 0.5),
        "{line}"
    );
    let categories = line["category_probabilities"].as_array().unwrap();
    assert_eq!(categories.len(), 10, "{line}");
    let sum: f64 = categories
        .iter()
        .map(|c| c["probability"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-3, "{line}");
    assert!(
        categories.iter().any(|c| c["id"] == line["category"]["id"]),
        "{line}"
    );
    assert!(line["rationale"].is_string(), "{line}");
    assert_eq!(line["version"], 1);
    assert_eq!(line.get("error"), None);
}

#[test]
fn human_output_says_rating_category_and_what_the_demo_model_is() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 64, 64);
    let image = image.to_str().unwrap();
    let plain = assess(&["--detail", "low"], &[image]);
    let line = assess(&["--detail", "low", "--json"], &[image]).json();
    assert!(
        plain.stdout.contains(line["rating"].as_str().unwrap()),
        "{plain:?}"
    );
    assert!(
        plain
            .stdout
            .contains(line["category"]["name"].as_str().unwrap()),
        "{plain:?}"
    );
    // Broken into lines, but whole.
    let letters = |text: &str| {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
    };
    let rationale = letters(line["rationale"].as_str().unwrap());
    assert!(letters(&plain.stdout).contains(&rationale), "{plain:?}");
    let note = plain
        .stderr
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        note.contains("not LlavaGuard") && note.contains("firearms"),
        "{note}"
    );
    assert!(
        !plain.stdout.contains('\x1b') && !plain.stderr.contains('\x1b'),
        "{plain:?}"
    );
    assert_eq!(plain.code, Some(expected_code(&[line])));
}

#[test]
fn without_a_rationale_the_verdict_is_the_same() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 120, 50);
    let image = image.to_str().unwrap();
    let with = assess(&["--json"], &[image]).json();
    let without = run(["assess", "--no-rationale", "--json", image]).json();
    assert_eq!(without["rationale"], Value::Null);
    for key in [
        "rating",
        "category",
        "unsafe_probability",
        "policy_id",
        "model_id",
        "detail",
    ] {
        assert_eq!(with[key], without[key], "{key} differs");
    }
}

#[test]
fn a_seed_repeats_a_sampled_rationale() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 50, 50);
    let image = image.to_str().unwrap();
    let rationale = |seed: &str| {
        let options = [
            "--json",
            "--detail",
            "low",
            "--temperature",
            "5",
            "--seed",
            seed,
        ];
        assess(&options, &[image]).json()["rationale"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(rationale("1"), rationale("1"));
    let texts: Vec<String> = ["1", "2", "3", "4"].map(rationale).to_vec();
    assert!(
        texts.iter().any(|text| *text != texts[0]),
        "four seeds gave the same text: {texts:?}"
    );
}

#[test]
fn details_differ_in_tiles() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 300, 1400);
    let image = image.to_str().unwrap();
    let tiles = |detail: &str| {
        let line = run([
            "assess",
            "--no-rationale",
            "--json",
            "--detail",
            detail,
            image,
        ])
        .json();
        assert_eq!(line["detail"]["level"], detail);
        line["detail"]["tiles"].as_u64().unwrap()
    };
    assert_eq!(tiles("low"), 1);
    let (auto, high) = (tiles("auto"), tiles("high"));
    assert!(1 < auto && auto <= high, "{auto} and {high} tiles");
}

#[test]
fn standard_input_is_an_image_too() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let bytes = fs::read(&image).unwrap();
    let options = ["assess", "--no-rationale", "--detail", "low", "--json"];
    let piped = run_with_input(options.iter().chain(&["-"]), &bytes).json();
    let file = run(options.iter().chain(&[image.to_str().unwrap()])).json();
    assert_eq!(piped["image"], "-");
    assert_eq!(piped["unsafe_probability"], file["unsafe_probability"]);
    let twice = run_with_input(["assess", "-", "-"], &bytes);
    assert_eq!(twice.code, Some(2), "{twice:?}");
}

#[test]
fn the_policy_is_the_one_given() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let preset = repository("crates/policy/presets/weapons-museum.json");
    let run_with = |policy: &[&str]| {
        let options = ["assess", "--no-rationale", "--detail", "low", "--json"];
        let image = image.to_str().unwrap();
        run(options.iter().chain(policy).chain(&[image])).json()
    };
    let museum = run_with(&["--policy", preset.to_str().unwrap()]);
    let default = run_with(&[]);
    assert_eq!(museum["policy_name"], "Weapons museum");
    assert_ne!(museum["policy_id"], default["policy_id"]);
    let checked = run(["policy", "check", preset.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0));
    assert!(
        checked
            .stdout
            .contains(museum["policy_id"].as_str().unwrap()),
        "{checked:?}"
    );
}

#[test]
fn a_wrong_command_line_gives_2() {
    for line in [
        "",
        "assess",
        "assess --detail huge a.png",
        "assess --seed 3 a.png",
        "assess --max-tokens 0 a.png",
        "synth out.gguf --config 1b --quant f16",
        "frobnicate",
    ] {
        let result = run(line.split_whitespace());
        assert_eq!(result.code, Some(2), "{line:?} gave {result:?}");
        assert_eq!(result.stdout, "");
    }
}

#[test]
fn help_and_version() {
    let help = run(["--help"]);
    assert_eq!(help.code, Some(0));
    for word in [
        "assess",
        "Exit codes",
        "Examples",
        "not LlavaGuard",
        "firearms, knives",
    ] {
        let text = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    let version = run(["--version"]);
    assert_eq!(
        version.stdout,
        format!("llavaguard {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn nobody_reading_is_no_panic_and_no_success() {
    let folder = tempdir().unwrap();
    let image = folder.path().join("a.png");
    picture(&image, 40, 40);
    let mut child = command()
        .args(["assess", "--no-rationale", "--detail", "low", "--json"])
        .args([&image, &image, &image])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panic"), "{stderr}");
}
