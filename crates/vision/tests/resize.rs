//! Resizing against Pillow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{cases, fnv, hex, pattern, u32_of, u32s};
use llavaguard_vision::resize;
use proptest::prelude::*;

/// To the last bit: up and down, odd sizes, one pixel wide, noise and full contrast (where the
/// filter overshoots and is clipped).
#[test]
fn equals_pillow_to_the_last_bit() {
    let cases = cases("resize.json");
    assert!(cases.len() > 200);
    for case in cases {
        let [width, height] = u32s(&case["from"]);
        let [to_width, to_height] = u32s(&case["to"]);
        let kind = case["kind"].as_str().unwrap();
        let image = pattern(kind, u32_of(&case["seed"]), width, height);
        let resized = resize(&image, to_width, to_height).unwrap();
        let label = format!("{kind} {width}x{height} to {to_width}x{to_height}");
        assert_eq!(
            (resized.width(), resized.height()),
            (to_width, to_height),
            "{label}"
        );
        if case["rgb"].is_string() {
            assert_eq!(resized.data(), hex(&case["rgb"]), "{label}");
        }
        assert_eq!(
            fnv(resized.data().iter().copied()),
            case["fnv"].as_str().unwrap(),
            "{label}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The weights sum to one: a plain picture stays plain.
    #[test]
    fn one_colour_stays(w in 1u32..60, h in 1u32..60, tw in 1u32..200, th in 1u32..200, colour in any::<[u8; 3]>()) {
        let data = colour.repeat((w * h) as usize);
        let image = llavaguard_vision::Rgb8Image::from_rgb(w, h, data).unwrap();
        let resized = resize(&image, tw, th).unwrap();
        prop_assert!(resized.data().as_chunks::<3>().0.iter().all(|pixel| *pixel == colour));
    }
}
