use std::borrow::Cow;

use super::reader::Reader;
use super::{Container, check_size};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::Format;

const SIGNATURE: usize = 8;

/// Complete means: every chunk up to and including IEND is there, and one of them is IDAT. What
/// follows IEND is of no interest. <https://www.w3.org/TR/png-3/#5DataRep>
pub(super) fn walk<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Container<'a>, ImageError> {
    let mut reader = Reader::new(bytes, SIGNATURE.min(bytes.len()), Format::Png);
    let length = reader.u32_be("its header's length")?;
    let kind = reader.array::<4>("its header's name")?;
    if (length, &kind) != (13, b"IHDR") {
        return Err(ImageError::corrupt(
            Format::Png,
            "it does not begin with an IHDR chunk",
        ));
    }
    let width = reader.u32_be("its width")?;
    let height = reader.u32_be("its height")?;
    let [depth, color, ..] = reader.array::<5>("its header")?;
    reader.take(4, "its header's checksum")?;
    check_size(
        Format::Png,
        width,
        height,
        bytes_per_pixel(depth, color),
        limits,
    )?;

    let mut exif = None;
    let mut has_data = false;
    loop {
        let length = reader.u32_be("the next chunk's length")?;
        let kind = reader.array::<4>("the next chunk's name")?;
        let name = kind.escape_ascii();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let data = reader.take(length, &format!("the contents of the {name} chunk"))?;
        reader.take(4, &format!("the checksum of the {name} chunk"))?;
        match &kind {
            b"IDAT" => has_data = true,
            b"eXIf" => exif = exif.or(Some(data)),
            b"IEND" => break,
            _ => {}
        }
    }
    if !has_data {
        return Err(ImageError::corrupt(Format::Png, "it has no IDAT chunk"));
    }
    Ok(Container {
        width,
        height,
        exif,
        stream: Cow::Borrowed(bytes),
    })
}

/// The decoded samples and, where they are not RGB bytes already, the RGB copy beside them.
fn bytes_per_pixel(depth: u8, color: u8) -> u32 {
    let channels = match color {
        0 => 1,
        4 => 2,
        2 => 3,
        // A palette may carry alpha.
        _ => 4,
    };
    let decoded = channels * if depth == 16 { 2 } else { 1 };
    let in_place = (channels == 3 || channels == 4) && depth != 16;
    if in_place { decoded } else { decoded + 3 }
}
