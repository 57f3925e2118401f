//! Pixel values against transformers' image processor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{cases, fnv, pattern, u32_of, u32s};
use llavaguard_vision::{AnyresConfig, Detail, Normalization, Rounding, Size, Tiles, preprocess};
use serde_json::Value;

const SIDE: u32 = 28;

fn config() -> AnyresConfig {
    let sides = || (1..=3).map(|tiles| SIDE * tiles);
    AnyresConfig {
        tile: SIDE as usize,
        patch: 14,
        pinpoints: sides()
            .flat_map(|height| sides().map(move |width| Size { width, height }))
            .collect(),
        max_patches: 9,
        rounding: Rounding::HuggingFace,
    }
}

fn f32s(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap() as f32)
        .collect()
}

fn tiles(case: &Value, detail: Detail) -> Tiles {
    let [width, height] = u32s(&case["size"]);
    let image = pattern("waves", u32_of(&case["seed"]), width, height);
    let normalization = Normalization {
        mean: f32s(&case["mean"]).try_into().unwrap(),
        std: f32s(&case["std"]).try_into().unwrap(),
        ..Normalization::SIGLIP
    };
    let plan = config().plan(width, height, detail).unwrap();
    preprocess(&image, &plan, &normalization).unwrap()
}

#[test]
fn equals_transformers_to_the_last_bit() {
    for case in cases("tiles.json") {
        let tiles = tiles(&case, Detail::High);
        let shape: [u32; 4] = u32s(&case["shape"]);
        assert_eq!(tiles.shape(), shape.map(|n| n as usize), "{}", case["size"]);
        let values = tiles.pixel_values();
        let plane = (SIDE * SIDE) as usize;
        let samples = case["diagonal"].as_array().unwrap();
        for (tile, expected) in values.chunks_exact(3 * plane).zip(samples) {
            let found = tile
                .chunks_exact(plane)
                .flat_map(|channel| [3, 14, 25].map(|at| channel[at * SIDE as usize + at]));
            for (found, expected) in found.zip(f32s(expected)) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{}: {found} {expected}",
                    case["size"]
                );
            }
        }
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        assert_eq!(
            fnv(bytes),
            case["fnv"].as_str().unwrap(),
            "{}",
            case["size"]
        );
    }
}

#[test]
fn one_tile_at_a_time_is_the_same() {
    for case in cases("tiles.json") {
        let tiles = tiles(&case, Detail::High);
        let singly: Vec<f32> = (0..tiles.count())
            .flat_map(|i| tiles.tile(i).unwrap())
            .collect();
        assert_eq!(singly, tiles.pixel_values());
    }
}

#[test]
fn low_detail_is_the_first_tile() {
    for case in cases("tiles.json") {
        let low = tiles(&case, Detail::Low);
        assert_eq!(low.count(), 1);
        assert_eq!(
            low.tile(0).unwrap(),
            tiles(&case, Detail::High).tile(0).unwrap()
        );
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let image = pattern("waves", 1, 50, 31);
    let other = config().plan(31, 50, Detail::High).unwrap();
    let mismatch = preprocess(&image, &other, &Normalization::SIGLIP).unwrap_err();
    assert_eq!(mismatch.code(), "image.plan_mismatch");

    let plan = config().plan(50, 31, Detail::High).unwrap();
    let tiles = preprocess(&image, &plan, &Normalization::SIGLIP).unwrap();
    assert_eq!(
        tiles.tile(tiles.count()).unwrap_err().code(),
        "image.wrong_tile"
    );
    let mut short = vec![0.0; tiles.tile_len() - 1];
    assert_eq!(
        tiles.write_tile(0, &mut short).unwrap_err().code(),
        "image.wrong_tile"
    );
}
