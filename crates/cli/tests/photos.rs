//! The sample photos under three policies, judged by the demo model inside the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{expected_code, repository, run};
use serde_json::{Map, Value, json};
use tempfile::tempdir;

/// The policy that `expected.json` calls by this name.
fn policy(name: &str) -> Value {
    let mut categories = Map::new();
    if let Some(id) = name.strip_suffix("_non_violating") {
        categories.insert(id.to_owned(), json!("non_violating"));
    } else {
        assert_eq!(name, "default");
    }
    json!({"base": "llavaguard-v1.2", "categories": categories})
}

#[test]
fn every_photo_gets_the_expected_verdict_under_every_policy() {
    let photos = repository("tests/photos");
    let expected = fs::read_to_string(photos.join("expected.json")).unwrap();
    // Photo, then policy, then verdict.
    let expected: BTreeMap<String, BTreeMap<String, Value>> =
        serde_json::from_str(&expected).unwrap();
    assert!(
        expected.len() >= 10,
        "only {} photos are expected",
        expected.len()
    );
    let images: Vec<String> = expected
        .keys()
        .map(|name| photos.join(name).to_str().unwrap().to_owned())
        .collect();
    let policies: Vec<&String> = expected.values().next().unwrap().keys().collect();
    let folder = tempdir().unwrap();
    let mut wrong = Vec::new();
    for name in policies {
        let document = folder.path().join(format!("{name}.json"));
        fs::write(&document, policy(name).to_string()).unwrap();
        let options = ["assess", "--json", "--policy", document.to_str().unwrap()];
        let result = run(options.into_iter().chain(images.iter().map(String::as_str)));
        let lines = result.json_lines();
        assert_eq!(lines.len(), images.len());
        assert_eq!(
            result.code,
            Some(expected_code(&lines)),
            "{}",
            result.stderr
        );
        for (line, (photo, verdicts)) in lines.iter().zip(&expected) {
            let verdict = &verdicts[name];
            let right = line["rating"] == verdict["rating"]
                && line["category"]["id"] == verdict["category_id"];
            if !right {
                wrong.push(format!(
                    "{photo} under {name}: {} {} (unsafe {}) where {verdict} is expected",
                    line["rating"], line["category"]["id"], line["unsafe_probability"]
                ));
            }
            let rationale = line["rationale"].as_str().unwrap_or_default();
            assert!(
                !rationale.trim().is_empty(),
                "{photo} under {name} has no rationale"
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong verdicts:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
