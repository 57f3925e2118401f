use std::io::{Cursor, ErrorKind};

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, RgbImage};
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::container::{self, Container};
use crate::error::ImageError;
use crate::image::Rgb8Image;
use crate::limits::Limits;
use crate::pixels::to_rgb8;
use crate::sniff::Format;

/// Decodes a PNG, JPEG, WebP, GIF (first frame) or BMP file into upright 8-bit RGB.
///
/// - The format is told by content ([`Format::of`]), never by name.
/// - `limits` are checked from the header, before anything is decoded.
/// - A file that stops before its picture is complete is refused, also where decoders and
///   browsers would show what there is. The rule is the container's: PNG up to IEND, JPEG up to
///   its end-of-image marker, WebP by its RIFF size, GIF up to the first frame's terminator, BMP
///   by its rows. What follows that is ignored. Damaged data inside are refused as far as the
///   decoder can tell (a checksum, an impossible code). It cannot tell a JPEG with a stretch of
///   its data cut out from *between* its markers: the missing end is flat there, as in Pillow and
///   in browsers.
/// - The EXIF orientation, all eight, is applied (JPEG, PNG, WebP).
/// - Alpha is dropped, not composited, and palettes and grey become RGB as by PIL's
///   `convert("RGB")`; 16-bit samples keep their high byte; CMYK and YCCK JPEGs are taken as
///   Adobe writes them and converted without a colour profile. Colour profiles and gamma are
///   ignored, as PIL ignores them. What a GIF's first frame leaves uncovered is black.
///
/// # Errors
/// [`ImageError`], by what was wrong.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb8Image, ImageError> {
    let format = Format::of(bytes)?;
    limits.check_bytes(bytes.len())?;
    let container = container::walk(bytes, format, limits)?;
    let stream = Cursor::new(container.stream.as_ref());
    let failed = |error| from_decoder(format, limits, error);
    let image = match format {
        Format::Jpeg => decode_jpeg(&container, limits)?,
        Format::Png => {
            let mut within = image::Limits::no_limits();
            within.max_alloc = Some(limits.max_decoder_memory);
            read(
                format,
                PngDecoder::with_limits(stream, within).map_err(failed)?,
                limits,
                &container,
            )?
        }
        Format::WebP => read(
            format,
            WebPDecoder::new(stream).map_err(failed)?,
            limits,
            &container,
        )?,
        Format::Gif => read(
            format,
            GifDecoder::new(stream).map_err(failed)?,
            limits,
            &container,
        )?,
        Format::Bmp => read(
            format,
            BmpDecoder::new(stream).map_err(failed)?,
            limits,
            &container,
        )?,
    };
    match container.exif.and_then(Orientation::from_exif_chunk) {
        None | Some(Orientation::NoTransforms) => Ok(image),
        Some(orientation) => turn(image, orientation),
    }
}

fn read(
    format: Format,
    decoder: impl ImageDecoder,
    limits: &Limits,
    container: &Container<'_>,
) -> Result<Rgb8Image, ImageError> {
    let (width, height) = (container.width, container.height);
    same_size(format, decoder.dimensions(), container)?;
    let color = decoder.color_type();
    let length = usize::try_from(decoder.total_bytes()).map_err(|_| ImageError::TooLarge {
        what: format!("{width}x{height} pixels"),
        limit: usize::MAX as u64,
    })?;
    let mut data = vec![0; length];
    decoder
        .read_image(&mut data)
        .map_err(|error| from_decoder(format, limits, error))?;
    let rgb = to_rgb8(data, color)
        .ok_or_else(|| ImageError::feature(format, format!("the colour type {color:?}")))?;
    Rgb8Image::from_rgb(width, height, rgb)
}

/// Straight to the decoder that the `image` crate uses: only here can its strict mode be had,
/// without which it fills what it cannot decode with grey.
fn decode_jpeg(container: &Container<'_>, limits: &Limits) -> Result<Rgb8Image, ImageError> {
    let side = usize::try_from(limits.max_side).unwrap_or(usize::MAX);
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(side)
        .set_max_height(side)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder =
        zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(container.stream.as_ref()), options);
    let failed = |error: DecodeErrors| match error {
        DecodeErrors::Unsupported(what) => ImageError::feature(Format::Jpeg, format!("{what:?}")),
        other => ImageError::corrupt(Format::Jpeg, tidy(&other.to_string())),
    };
    decoder.decode_headers().map_err(failed)?;
    let size = decoder
        .info()
        .map(|info| (u32::from(info.width), u32::from(info.height)));
    same_size(Format::Jpeg, size.unwrap_or_default(), container)?;
    let rgb = decoder.decode().map_err(failed)?;
    Rgb8Image::from_rgb(container.width, container.height, rgb)
}

/// The limits were checked for the size that the walk found.
fn same_size(
    format: Format,
    decoder: (u32, u32),
    container: &Container<'_>,
) -> Result<(), ImageError> {
    let (width, height) = (container.width, container.height);
    if decoder == (width, height) {
        return Ok(());
    }
    let (other_width, other_height) = decoder;
    Err(ImageError::corrupt(
        format,
        format!("it says both {width}x{height} and {other_width}x{other_height} pixels"),
    ))
}

fn turn(image: Rgb8Image, orientation: Orientation) -> Result<Rgb8Image, ImageError> {
    let (width, height) = (image.width(), image.height());
    let Some(buffer) = RgbImage::from_raw(width, height, image.into_data()) else {
        return Err(ImageError::ZeroSize { width, height });
    };
    let mut dynamic = DynamicImage::ImageRgb8(buffer);
    dynamic.apply_orientation(orientation);
    let turned = dynamic.into_rgb8();
    Rgb8Image::from_rgb(turned.width(), turned.height(), turned.into_raw())
}

fn from_decoder(format: Format, limits: &Limits, error: image::ImageError) -> ImageError {
    let detail = tidy(&error.to_string());
    match error {
        // The container may be complete and the compressed data in it still stop early.
        image::ImageError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => {
            ImageError::truncated(format, "its data end before its last row")
        }
        image::ImageError::Unsupported(_) => ImageError::feature(format, detail),
        image::ImageError::Limits(_) => ImageError::TooLarge {
            what: format!("data that do not fit the decoder's memory ({detail})"),
            limit: limits.max_decoder_memory,
        },
        _ => ImageError::corrupt(format, detail),
    }
}

/// A decoder's own words inside our sentence: one line, no full stop.
fn tidy(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_matches(|c| c == '.' || c == '"').to_owned()
}
