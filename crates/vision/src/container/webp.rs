use std::borrow::Cow;

use super::reader::Reader;
use super::{Container, check_size};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::Format;

/// Output, the planes or the ARGB picture it is made from, and of animations the canvas.
const BYTES_PER_PIXEL: u32 = 12;

/// Complete means: the file is as long as its RIFF header says (less the byte that pads an odd
/// last chunk). <https://developers.google.com/speed/webp/docs/riff_container>
pub(super) fn walk<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Container<'a>, ImageError> {
    let mut reader = Reader::new(bytes, 4, Format::WebP);
    let riff_size = reader.u32_le("its RIFF size")?;
    reader.take(4, "its WEBP mark")?;
    let kind = reader.array::<4>("its first chunk's name")?;
    reader.take(4, "its first chunk's size")?;
    let (width, height) = match &kind {
        b"VP8 " => {
            let [_, _, _, _, _, _, w0, w1, h0, h1] = reader.array("its frame header")?;
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            (side(w0, w1), side(h0, h1))
        }
        b"VP8L" => {
            reader.take(1, "its frame header")?;
            let bits = reader.u32_le("its frame header")?;
            ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
        }
        b"VP8X" => {
            let [_, _, _, _, w0, w1, w2, h0, h1, h2] = reader.array("its extended header")?;
            let side = |a, b, c| u32::from_le_bytes([a, b, c, 0]) + 1;
            (side(w0, w1, w2), side(h0, h1, h2))
        }
        _ => {
            let name = kind.escape_ascii();
            return Err(ImageError::corrupt(
                Format::WebP,
                format!("its first chunk is {name:?}"),
            ));
        }
    };
    check_size(Format::WebP, width, height, BYTES_PER_PIXEL, limits)?;

    let end = 8 + u64::from(riff_size);
    // Some writers leave out the padding byte but count it.
    if end > bytes.len() as u64 + 1 {
        return Err(ImageError::truncated(
            Format::WebP,
            format!("it has {} of {end} bytes", bytes.len()),
        ));
    }
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
    let whole = bytes.get(..end).unwrap_or(bytes);
    Ok(Container {
        width,
        height,
        exif: find_exif(whole)?,
        stream: Cow::Borrowed(whole),
    })
}

/// Walks the chunks; one that reaches past the end is missing data.
fn find_exif(bytes: &[u8]) -> Result<Option<&[u8]>, ImageError> {
    let mut reader = Reader::new(bytes, 12, Format::WebP);
    let mut exif = None;
    while reader.position() + 8 <= bytes.len() {
        let kind = reader.array::<4>("a chunk's name")?;
        let size = usize::try_from(reader.u32_le("a chunk's size")?).unwrap_or(usize::MAX);
        let data = reader.take(
            size,
            &format!("the contents of the {} chunk", kind.escape_ascii()),
        )?;
        if &kind == b"EXIF" {
            // Some writers keep JPEG's prefix.
            exif = exif.or(Some(data.strip_prefix(b"Exif\0\0").unwrap_or(data)));
        }
        if size % 2 == 1 && reader.position() < bytes.len() {
            reader.take(1, "padding")?;
        }
    }
    Ok(exif)
}
