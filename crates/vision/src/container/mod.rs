//! A walk over each format's container, before any decoder sees it: the picture's size for the
//! limits, whether all of its data are there, and where its EXIF data are.
//!
//! Decoders differ in how much of a cut file they forgive, and a picture that is grey from the
//! middle down must not be judged. So completeness is settled here, by each format's own rule.

mod bmp;
mod gif;
mod jpeg;
mod png;
mod reader;
mod webp;

use std::borrow::Cow;

use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::Format;

/// What the walk found. The file is complete when there is one.
pub(crate) struct Container<'a> {
    pub width: u32,
    pub height: u32,
    /// A raw TIFF block with the EXIF tags.
    pub exif: Option<&'a [u8]>,
    /// What the decoder is given.
    pub stream: Cow<'a, [u8]>,
}

/// Reads the header, checks the limits with it, then checks that the data are complete.
///
/// The order matters: a header that promises too much is refused as too large, whether or not
/// the rest of the file is there.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    format: Format,
    limits: &Limits,
) -> Result<Container<'a>, ImageError> {
    match format {
        Format::Png => png::walk(bytes, limits),
        Format::Jpeg => jpeg::walk(bytes, limits),
        Format::WebP => webp::walk(bytes, limits),
        Format::Gif => gif::walk(bytes, limits),
        Format::Bmp => bmp::walk(bytes, limits),
    }
}

fn check_size(
    format: Format,
    width: u32,
    height: u32,
    bytes_per_pixel: u32,
    limits: &Limits,
) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::corrupt(
            format,
            format!("its header says {width}x{height} pixels"),
        ));
    }
    limits.check_pixels(width, height, bytes_per_pixel)
}
