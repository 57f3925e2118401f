//! Plans against transformers' own functions and LLaVA-NeXT's formula.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use llavaguard_vision::{
    AnyresConfig, AnyresError, AnyresPlan, Detail, DetailUsed, Rounding, Size,
};
use proptest::prelude::*;

fn plan(width: u32, height: u32, rounding: Rounding) -> AnyresPlan {
    AnyresConfig::llava_onevision(rounding)
        .plan(width, height, Detail::High)
        .unwrap()
}

/// Width and height; best height and width; passes; final rows and columns; visual tokens.
type Row = ((u32, u32), (u32, u32), usize, (usize, usize), usize);

#[test]
fn known_pictures_of_llava_onevision() {
    let rows: [Row; 20] = [
        ((224, 224), (384, 384), 2, (27, 27), 1485),
        ((320, 240), (384, 384), 2, (21, 27), 1317),
        ((384, 384), (384, 384), 2, (27, 27), 1485),
        ((500, 375), (384, 768), 3, (27, 36), 1728),
        ((375, 500), (768, 384), 3, (36, 27), 1737),
        ((512, 512), (768, 768), 5, (54, 54), 3699),
        ((640, 480), (768, 768), 5, (40, 54), 2929),
        ((768, 768), (768, 768), 5, (54, 54), 3699),
        ((800, 600), (768, 1152), 7, (54, 73), 4725),
        ((1024, 683), (768, 1152), 7, (54, 81), 5157),
        ((1024, 768), (768, 1152), 7, (54, 73), 4725),
        ((1024, 1024), (1152, 1152), 10, (81, 81), 7371),
        ((1280, 720), (768, 1536), 9, (54, 96), 5967),
        ((1300, 876), (1152, 1536), 13, (73, 108), 8686),
        ((1920, 1080), (1152, 1920), 16, (60, 108), 7269),
        ((1080, 1920), (1920, 1152), 16, (108, 60), 7317),
        ((2304, 2304), (2304, 2304), 37, (81, 81), 7371),
        ((3000, 2000), (1536, 2304), 25, (66, 99), 7329),
        ((4032, 3024), (1920, 2304), 31, (70, 93), 7309),
        ((4000, 500), (384, 2304), 7, (21, 162), 4152),
    ];
    for rounding in [Rounding::Original, Rounding::HuggingFace] {
        for ((width, height), best, passes, grid, tokens) in rows {
            let plan = plan(width, height, rounding);
            let high_res = plan.high_res.as_ref().unwrap();
            let found = (high_res.resolution.height, high_res.resolution.width);
            let last = high_res.final_grid();
            let label = format!("{width}x{height}");
            assert_eq!(found, best, "{label}");
            assert_eq!(plan.tiles(), passes, "{label}");
            assert_eq!((last.rows, last.cols), grid, "{label}");
            assert_eq!(plan.visual_tokens(), tokens, "{label}");
            assert_eq!(plan.detail, DetailUsed::High);
        }
        for (width, height, tokens) in [
            (384, 48, 813),
            (384, 192, 1093),
            (192, 384, 1107),
            (100, 100, 1485),
            (826, 1207, 8721),
        ] {
            assert_eq!(
                plan(width, height, rounding).visual_tokens(),
                tokens,
                "{width}x{height}"
            );
        }
    }
}

#[test]
fn where_the_two_roundings_differ() {
    for (width, height, hugging_face, original) in [
        (3444, 4428, 7281, 7353),
        (2520, 1540, 7281, 7239),
        (1722, 1107, 7257, 7294),
    ] {
        let tokens = |rounding| plan(width, height, rounding).visual_tokens();
        assert_eq!(tokens(Rounding::HuggingFace), hugging_face);
        assert_eq!(tokens(Rounding::Original), original);
    }
}

/// Square grids of tiles up to the largest side that the golden script used for them.
fn config(tile: usize, n: usize, max_patches: usize, rounding: Rounding) -> AnyresConfig {
    let most = match tile {
        384 => 6,
        28 => 12,
        32 => 5,
        30 => 3,
        other => panic!("no configuration with tiles of {other}"),
    };
    let sides = || (1..=most).map(move |tiles| tile as u32 * tiles);
    let pinpoints = sides()
        .flat_map(|height| sides().map(move |width| Size { width, height }))
        .collect();
    AnyresConfig {
        tile,
        patch: tile / n,
        pinpoints,
        max_patches,
        rounding,
    }
}

#[test]
fn equals_transformers_and_the_original() {
    let text = std::fs::read_to_string(common::golden().join("anyres.csv")).unwrap();
    let (mut rows, mut differ, mut empty, mut thin) = (0, 0, 0, 0);
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<usize>().unwrap();
        let tokens = |at: usize| fields[at].parse::<usize>().ok();
        let (width, height) = (number(3) as u32, number(4) as u32);
        for (rounding, expected) in [
            (Rounding::HuggingFace, tokens(15)),
            (Rounding::Original, tokens(16)),
        ] {
            let config = config(number(0), number(1), number(2), rounding);
            let plan = config.plan(width, height, Detail::High);
            let Some(expected) = expected else {
                assert_eq!(plan, Err(AnyresError::TooThin { width, height }), "{line}");
                thin += 1;
                continue;
            };
            let plan = plan.unwrap();
            assert_eq!(plan.visual_tokens(), expected, "{rounding:?} {line}");
            let high_res = plan.high_res.unwrap();
            let (best, resized) = (high_res.resolution, high_res.resized);
            let found = [best.width, best.height, resized.width, resized.height];
            assert_eq!(
                found.map(|side| side as usize),
                [5, 6, 7, 8].map(number),
                "{line}"
            );
            let (left, top) = high_res.offset;
            assert_eq!([left as usize, top as usize], [9, 10].map(number), "{line}");
            if rounding == Rounding::HuggingFace {
                let (rows, cols) = (high_res.crop_rows, high_res.crop_cols);
                let crop = [rows.start, rows.end, cols.start, cols.end];
                assert_eq!(crop, [11, 12, 13, 14].map(number), "{line}");
                empty += usize::from(rows.is_empty() || cols.is_empty());
            }
        }
        rows += 1;
        differ += usize::from(tokens(15) != tokens(16));
    }
    // The rare cases are in there, or the test would show less than it seems to.
    assert!(
        rows > 500 && differ > 2 && empty > 3 && thin > 3,
        "{rows} {differ} {empty} {thin}"
    );
}

#[test]
fn low_detail_is_the_base_image() {
    let config = AnyresConfig::llava_onevision(Rounding::Original);
    let plan = config.plan(4000, 30, Detail::Low).unwrap();
    assert_eq!(
        (plan.tiles(), plan.visual_tokens(), plan.detail),
        (1, 729, DetailUsed::Low)
    );
    assert!(!plan.tile_equals_base());
}

#[test]
fn auto_keeps_to_its_budget() {
    let config = AnyresConfig::llava_onevision(Rounding::Original);
    let auto = |max_visual_tokens| {
        config
            .plan(1920, 1080, Detail::Auto { max_visual_tokens })
            .unwrap()
    };
    let high = config.plan(1920, 1080, Detail::High).unwrap();
    assert_eq!(auto(100_000), high);
    assert_eq!(auto(7269), high);
    let capped = auto(7268);
    assert_eq!(capped.detail, DetailUsed::Capped);
    assert!(capped.visual_tokens() <= 7268 && capped.tiles() < high.tiles());
    let low = auto(800);
    assert_eq!((low.detail, low.visual_tokens()), (DetailUsed::Low, 729));
    // Even below the base image's own tokens there is a plan: nothing smaller exists.
    assert_eq!(auto(0).visual_tokens(), 729);
}

#[test]
fn a_square_at_the_lowest_resolution_needs_one_pass() {
    assert!(plan(300, 300, Rounding::Original).tile_equals_base());
    assert!(!plan(300, 299, Rounding::Original).tile_equals_base());
    assert!(!plan(768, 768, Rounding::Original).tile_equals_base());
}

#[test]
fn bad_configurations_are_named() {
    let good = AnyresConfig::llava_onevision(Rounding::Original);
    let odd = vec![Size {
        width: 400,
        height: 384,
    }];
    for bad in [
        AnyresConfig {
            tile: 0,
            ..good.clone()
        },
        AnyresConfig {
            patch: 0,
            ..good.clone()
        },
        AnyresConfig {
            patch: 385,
            ..good.clone()
        },
        AnyresConfig {
            max_patches: 0,
            ..good.clone()
        },
        AnyresConfig {
            pinpoints: vec![],
            ..good.clone()
        },
        AnyresConfig {
            pinpoints: odd,
            ..good.clone()
        },
    ] {
        let error = bad.plan(10, 10, Detail::High).unwrap_err();
        assert_eq!(error.code(), "model.bad_image_config");
    }
    assert_eq!(
        good.plan(0, 10, Detail::Low).unwrap_err().code(),
        "image.zero_size"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever the size, the parts of a plan fit one another.
    #[test]
    fn plans_hold_together(
        width in prop_oneof![1u32..20_000, 1u32..40, Just(u32::MAX)],
        height in prop_oneof![1u32..20_000, 1u32..40, Just(u32::MAX)],
        budget in 0usize..10_000,
        tile in prop::sample::select(vec![(384usize, 27usize, 9usize), (28, 2, 1), (32, 4, 2), (30, 5, 1)]),
        original in any::<bool>(),
        kind in 0..3,
    ) {
        let (side, n, max_patches) = tile;
        let rounding = if original { Rounding::Original } else { Rounding::HuggingFace };
        let detail = match kind {
            0 => Detail::Low,
            1 => Detail::Auto { max_visual_tokens: budget },
            _ => Detail::High,
        };
        let plan = match config(side, n, max_patches, rounding).plan(width, height, detail) {
            Ok(plan) => plan,
            Err(error) => {
                // Only pooling to nothing, which the real configuration never does.
                prop_assert_eq!(error, AnyresError::TooThin { width, height });
                prop_assert!(side != 384 && detail == Detail::High);
                return Ok(());
            }
        };
        if let Detail::Auto { max_visual_tokens } = detail {
            prop_assert!(plan.visual_tokens() <= max_visual_tokens.max(n * n));
        }
        prop_assert_eq!(plan.high_res.is_none(), plan.detail == DetailUsed::Low);
        let Some(high_res) = plan.high_res.clone() else { return Ok(()) };
        prop_assert!(high_res.resized.width >= 1 && high_res.resized.height >= 1);
        prop_assert!(high_res.offset.0 + high_res.resized.width <= high_res.resolution.width);
        prop_assert!(high_res.offset.1 + high_res.resized.height <= high_res.resolution.height);
        prop_assert_eq!(high_res.grid.rows * side, high_res.resolution.height as usize);
        prop_assert_eq!(high_res.grid.cols * side, high_res.resolution.width as usize);
        prop_assert!(high_res.crop_rows.end <= high_res.grid.rows * n);
        prop_assert!(high_res.crop_cols.end <= high_res.grid.cols * n);
        let last = high_res.final_grid();
        prop_assert_eq!(plan.visual_tokens(), n * n + last.rows * (last.cols + 1));
        prop_assert!(last.cells() as f64 <= 1.21 * (max_patches * n * n) as f64);
    }
}
