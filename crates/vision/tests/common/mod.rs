//! What the golden tests share with `tests/golden/make_golden.py`.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use llavaguard_vision::Rgb8Image;
use serde_json::Value;

pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(golden().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn image_file(name: &str) -> Vec<u8> {
    std::fs::read(golden().join("images").join(name)).unwrap()
}

/// Every sample image with its name, sorted.
pub fn image_files() -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> = std::fs::read_dir(golden().join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name.clone(), image_file(&name)))
        .collect()
}

pub fn u32s<const N: usize>(value: &Value) -> [u32; N] {
    let list: Vec<u32> = value.as_array().unwrap().iter().map(u32_of).collect();
    list.try_into().unwrap()
}

pub fn u32_of(value: &Value) -> u32 {
    value.as_u64().unwrap().try_into().unwrap()
}

pub fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// FNV-1a, 64 bits.
pub fn fnv(bytes: impl IntoIterator<Item = u8>) -> String {
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    format!("{hash:016x}")
}

/// The deterministic images of the golden script.
pub fn pattern(kind: &str, seed: u32, width: u32, height: u32) -> Rgb8Image {
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                data.push(match kind {
                    "noise" => noise(),
                    "extremes" => {
                        if noise() > 127 {
                            255
                        } else {
                            0
                        }
                    }
                    "waves" => (x * (5 + c) + y * (9 - 2 * c) + seed) as u8,
                    other => panic!("no pattern {other}"),
                });
            }
        }
    }
    Rgb8Image::from_rgb(width, height, data).unwrap()
}
