//! Arbitrary bytes: a picture or a typed error, never a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::image_files;
use llavaguard_vision::{Limits, decode};
use proptest::prelude::*;

/// Small, so that a mutated header cannot make a case slow.
const LIMITS: Limits = Limits {
    max_bytes: 1 << 20,
    max_side: 2_000,
    max_pixels: 1_000_000,
    max_decoder_memory: 16 << 20,
};

fn read(bytes: &[u8]) {
    match decode(bytes, &LIMITS) {
        Ok(image) => {
            let pixels = image.width() as usize * image.height() as usize;
            assert_eq!(image.data().len(), 3 * pixels);
        }
        Err(error) => {
            assert!(error.code().starts_with("image."));
            let message = error.to_string();
            assert!(
                message.ends_with('.') && !message.contains('\n'),
                "{message}"
            );
        }
    }
}

/// Every byte of every sample takes values that matter to headers.
#[test]
fn each_byte_changed() {
    for (_, bytes) in image_files() {
        for at in 0..bytes.len() {
            for value in [
                0,
                1,
                0x7f,
                0x80,
                0xff,
                bytes[at].wrapping_add(1),
                bytes[at] ^ 0x10,
            ] {
                let mut changed = bytes.clone();
                changed[at] = value;
                read(&changed);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn several_bytes_changed_and_cut(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        repeated in prop::option::of((any::<prop::sample::Index>(), 1usize..40)),
    ) {
        let files = image_files();
        let mut bytes = file.get(&files).1.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((at, count)) = repeated {
            let at = at.index(bytes.len());
            let piece = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read(&bytes);
    }

    #[test]
    fn noise_behind_a_signature(
        signature in prop::sample::select(vec![
            &b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..], b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBPVP8L", b"RIFF\x40\0\0\0WEBPVP8X", b"GIF89a", b"BM", b"",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        read(&[signature, &noise].concat());
    }
}
