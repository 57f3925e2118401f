//! `llavaguard bench`: figures that hang together. How large they are depends on the machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{demo_model, run};
use serde_json::Value;

/// Numbers of an array.
fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap();
    values.iter().map(|value| value.as_f64().unwrap()).collect()
}

/// Checks a spread and gives its samples.
fn samples(spread: &Value, rounds: usize) -> Vec<f64> {
    let of = |key: &str| spread[key].as_f64().unwrap();
    let samples = numbers(&spread["samples"]);
    assert_eq!(samples.len(), rounds, "{spread}");
    assert!(of("min") > 0.0, "{spread}");
    assert!(
        of("min") <= of("median") && of("median") <= of("max"),
        "{spread}"
    );
    for sample in &samples {
        assert!((of("min")..=of("max")).contains(sample), "{spread}");
    }
    samples
}

#[test]
fn the_figures_of_the_demo_model_hang_together() {
    let result = run([
        "bench",
        "--json",
        "--rounds",
        "2",
        "--tokens",
        "5",
        "--threads",
        "1",
        "--products",
    ]);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert_eq!(result.stderr, "", "there is a bar in a pipe");
    let report = result.json();
    assert_eq!(report["rounds"], 2);
    assert!(report["load_ms"].as_f64().unwrap() > 0.0);
    assert!(
        report["device"].as_str().unwrap().contains("1 thread"),
        "{report}"
    );

    let inspected = run(["inspect", "--json"]).json();
    let vision = &inspected["config"]["vision"];
    let side = |key: &str| vision[key].as_u64().unwrap();
    let patches = (side("image_size") / side("patch_size")).pow(2);
    // In the prompt's ids the image is one token.
    let ids = run(["prompt", "--ids"]).json().as_array().unwrap().len() as u64;
    assert_eq!(report["vision_tile"]["tokens"], patches);
    assert_eq!(report["prefill"]["tokens"], ids - 1 + patches);
    assert_eq!(report["decode"]["tokens"], 5);
    let written = report["answer"]["tokens"].as_u64().unwrap();
    assert!(
        (2..=5 + 2 * 8).contains(&written),
        "{written} tokens chosen"
    );

    for stage in ["vision_tile", "prefill", "decode"] {
        samples(&report[stage]["milliseconds"], 2);
    }
    let (verdict, answer) = (
        samples(&report["verdict"]["milliseconds"], 2),
        samples(&report["answer"]["milliseconds"], 2),
    );
    for (verdict, answer) in verdict.iter().zip(&answer) {
        assert!(verdict < answer, "the verdict comes before the rationale");
    }

    let products = report["products"].as_array().unwrap();
    assert_eq!(products.len(), 3 * 3 * 3, "parts, shapes, formats");
    for product in products {
        samples(&product["giga_operations_per_second"], 2);
    }
    let hidden = inspected["config"]["vision"]["hidden"].as_u64().unwrap();
    assert!(products.iter().any(|product| {
        product["part"] == "tile"
            && product["format"] == "q4_0"
            && product["rows"] == patches
            && product["inputs"] == hidden
    }));

    if cfg!(target_os = "linux") {
        let bytes = |key: &str| report["peak_memory"][key].as_u64().unwrap();
        let weights = std::fs::metadata(demo_model()).unwrap().len();
        assert!(bytes("after_load") > weights, "the weights are in memory");
        assert!(bytes("after_rounds") >= bytes("after_load"));
    }
}

#[test]
fn people_get_a_table() {
    let model = demo_model();
    let model = model.to_str().unwrap();
    let result = run(["bench", "--rounds", "1", "--tokens", "2", "--model", model]);
    assert_eq!(result.code, Some(0), "{result:?}");
    for word in [
        "device",
        "one tile",
        "reading the prompt",
        "writing",
        "to verdict",
        "to answer",
    ] {
        assert!(
            result.stdout.contains(word),
            "no {word} in {}",
            result.stdout
        );
    }
    assert!(
        !result.stdout.contains("giga-operations"),
        "products are measured when asked for"
    );
}

#[test]
fn bad_arguments_are_told() {
    for wrong in [
        ["--rounds", "0"],
        ["--tokens", "0"],
        ["--tokens", "5000"],
        ["--threads", "0"],
    ] {
        let result = run(["bench"].iter().chain(&wrong));
        assert_eq!(result.code, Some(2), "{wrong:?}: {result:?}");
    }
    let result = run(["bench", "--model", "no-such-model.gguf", "--json"]);
    assert_eq!(result.code, Some(1), "{result:?}");
    assert_eq!(result.stdout, "");
    assert!(result.stderr.contains("model.not_found"), "{result:?}");
}
