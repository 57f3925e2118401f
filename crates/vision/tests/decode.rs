//! Decoding against Pillow, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{cases, hex, image_file, image_files, u32_of};
use llavaguard_vision::{Format, ImageError, Limits, Rgb8Image, decode};

fn read(bytes: &[u8]) -> Result<Rgb8Image, ImageError> {
    decode(bytes, &Limits::default())
}

fn code(bytes: &[u8]) -> &'static str {
    read(bytes).unwrap_err().code()
}

/// Lossless formats to the last bit. JPEG and lossy WebP within a few levels: the decoders differ
/// from libjpeg-turbo and libwebp in the rounding of the inverse transform and of the colour
/// conversion, and in no more than that.
#[test]
fn equals_pillow() {
    let cases = cases("decode.json");
    assert!(cases.len() >= 50);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let image = read(&image_file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let size = (u32_of(&case["width"]), u32_of(&case["height"]));
        assert_eq!((image.width(), image.height()), size, "{name}");
        let expected = hex(&case["rgb"]);
        let off = image
            .data()
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(
            u32::from(off) <= u32_of(&case["tolerance"]),
            "{name} is off by {off}"
        );
        println!("{name}: off by {off}");
    }
}

/// The eight orientations differ from one another and come from the same pixels.
#[test]
fn orientations_turn_the_same_pixels() {
    let images: Vec<Rgb8Image> = (1..=8)
        .map(|n| read(&image_file(&format!("orientation-{n}.png"))).unwrap())
        .collect();
    let sorted = |image: &Rgb8Image| {
        let mut pixels: Vec<[u8; 3]> = image.data().as_chunks::<3>().0.to_vec();
        pixels.sort_unstable();
        pixels
    };
    for (i, image) in images.iter().enumerate() {
        let upright = (image.width(), image.height()) == (11, 6);
        assert_eq!(upright, i < 4);
        assert_eq!(sorted(image), sorted(&images[0]));
        assert!(images[..i].iter().all(|other| other != image));
    }
}

#[test]
fn no_image_at_all() {
    assert_eq!(code(b""), "image.empty");
    let error = read(b"This is a text file somebody named photo.jpg\n").unwrap_err();
    assert_eq!(error.code(), "image.unsupported_format");
    assert!(error.to_string().contains("text"));
}

/// The name of a format plays no part, so every file must be told from its content.
#[test]
fn formats_are_told_by_content() {
    for (name, bytes) in image_files() {
        let expected = match name.rsplit('.').next().unwrap() {
            "png" => Format::Png,
            "jpg" => Format::Jpeg,
            "webp" => Format::WebP,
            "gif" => Format::Gif,
            "bmp" => Format::Bmp,
            other => panic!("{other}"),
        };
        assert_eq!(Format::of(&bytes), Ok(expected), "{name}");
    }
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = image_file("rgb.png")[..33].to_vec();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    bytes
}

/// From the header alone: nothing behind it is there, and the checksum is wrong too.
#[test]
fn a_header_that_promises_too_much_is_too_large() {
    assert_eq!(code(&png_header(60_000, 60_000)), "image.too_large");
    assert_eq!(code(&png_header(30_001, 1)), "image.too_large");
    assert_eq!(code(&png_header(30_000, 4_001)), "image.too_large");
    assert_eq!(code(&png_header(30_000, 4_000)), "image.truncated");
    assert_eq!(code(&png_header(0, 1)), "image.corrupt");

    let mut jpeg = image_file("444.jpg");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    jpeg.truncate(frame + 30);
    assert_eq!(code(&jpeg), "image.too_large");

    let mut gif = image_file("plain.gif");
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert_eq!(code(&gif), "image.too_large");

    let mut bmp = image_file("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!(code(&bmp), "image.too_large");

    let mut webp = image_file("lossless.webp");
    let chunk = webp.windows(4).position(|name| name == b"VP8L").unwrap();
    webp[chunk + 9..chunk + 13].copy_from_slice(&[0xff, 0xff, 0xff, 0x1f]);
    assert_eq!(code(&webp), "image.too_large");
}

#[test]
fn each_limit_is_its_own() {
    let bytes = image_file("progressive.jpg");
    let pixels = 29 * 19;
    let ok = Limits {
        max_bytes: bytes.len() as u64,
        max_side: 29,
        max_pixels: pixels,
        // The output and the coefficients of three components.
        max_decoder_memory: pixels * 9,
    };
    assert!(decode(&bytes, &ok).is_ok());
    for tight in [
        Limits {
            max_bytes: ok.max_bytes - 1,
            ..ok
        },
        Limits { max_side: 28, ..ok },
        Limits {
            max_pixels: pixels - 1,
            ..ok
        },
        Limits {
            max_decoder_memory: pixels * 9 - 1,
            ..ok
        },
    ] {
        assert_eq!(
            decode(&bytes, &tight).unwrap_err().code(),
            "image.too_large"
        );
    }
}

/// Where a picture is complete, by file: a cut anywhere before is an error.
fn complete_at(name: &str, bytes: &[u8]) -> usize {
    let find = |what: &[u8]| {
        bytes
            .windows(what.len())
            .rposition(|at| at == what)
            .unwrap()
    };
    match name.rsplit('.').next().unwrap() {
        "png" => find(b"IEND") + 8,
        "jpg" => find(&[0xff, 0xd9]) + 2,
        // A last chunk of odd length may go without its padding.
        "webp" => bytes.len() - 1,
        // The terminator of the last frame and the trailer; of an animation, anywhere between.
        "gif" => {
            if name == "animated.gif" {
                0
            } else {
                bytes.len() - 1
            }
        }
        // Behind its last row a run-length coded one has an end mark.
        "bmp" if name == "run-length.bmp" => bytes.len() - 2,
        "bmp" => bytes.len(),
        other => panic!("{other}"),
    }
}

#[test]
fn every_cut_is_an_error() {
    for (name, bytes) in image_files() {
        let end = complete_at(&name, &bytes);
        for cut in 0..end {
            match read(&bytes[..cut]) {
                Ok(_) => panic!("{name} cut at {cut} of {} is read", bytes.len()),
                Err(error) => {
                    let code = error.code();
                    let signature = cut < 26 && code == "image.unsupported_format";
                    let empty = cut == 0 && code == "image.empty";
                    assert!(
                        code == "image.truncated" || signature || empty,
                        "{name} at {cut}: {error}"
                    );
                }
            }
        }
    }
}

/// A GIF's second frame is of no interest, its first is.
#[test]
fn an_animation_is_cut_once_its_first_frame_is() {
    let bytes = image_file("animated.gif");
    let whole = read(&bytes).unwrap();
    let mut complete = false;
    for cut in 1..bytes.len() {
        match read(&bytes[..cut]) {
            Ok(image) => {
                complete = true;
                assert_eq!(image, whole);
            }
            Err(error) => assert!(!complete, "cut at {cut}: {error}"),
        }
    }
    assert!(complete);
}

#[test]
fn what_follows_the_picture_is_ignored() {
    for (name, bytes) in image_files() {
        let whole = read(&bytes).unwrap();
        let longer = [&bytes[..], &[0xff, 0xd8, 0xff, 0x00, 0x42][..]].concat();
        assert_eq!(
            read(&longer).unwrap_or_else(|error| panic!("{name}: {error}")),
            whole,
            "{name}"
        );
    }
}

#[test]
fn damage_inside_is_corrupt() {
    let mut png = image_file("rgb.png");
    let data = png.windows(4).position(|name| name == b"IDAT").unwrap();
    png[data + 20] ^= 0x55;
    assert_eq!(code(&png), "image.corrupt");

    // Codes that no table has, in the middle of the entropy-coded data.
    let mut jpeg = image_file("444.jpg");
    let middle = jpeg.len() - 200;
    jpeg[middle..middle + 40].fill(0x7f);
    for pair in jpeg[middle..middle + 40].chunks_exact_mut(2) {
        pair.copy_from_slice(&[0xff, 0x00]);
    }
    assert_eq!(code(&jpeg), "image.corrupt");
}

#[test]
fn what_no_decoder_here_reads_is_named() {
    let mut jpeg = image_file("444.jpg");
    let frame = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    for (marker, name) in [(0xc3, "lossless"), (0xc9, "arithmetic")] {
        jpeg[frame + 1] = marker;
        let error = read(&jpeg).unwrap_err();
        assert_eq!(error.code(), "image.unsupported_feature");
        assert!(error.to_string().contains(name), "{error}");
    }
    jpeg[frame + 1] = 0xc0;
    jpeg[frame + 4] = 12;
    assert!(read(&jpeg).unwrap_err().to_string().contains("12 bits"));
}
