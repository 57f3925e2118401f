use std::borrow::Cow;

use super::reader::Reader;
use super::{Container, check_size};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::Format;

/// RGBA output, of which alpha is dropped in place, plus a row.
const BYTES_PER_PIXEL: u32 = 5;

/// Complete means: all rows of an uncompressed picture are there. A run-length coded one has no
/// length to check against; its decoder reports when the codes end too early.
pub(super) fn walk<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Container<'a>, ImageError> {
    let mut reader = Reader::new(bytes, 10, Format::Bmp);
    let data = u64::from(reader.u32_le("the place of its pixels")?);
    let header = reader.u32_le("its header's size")?;
    let (width, height, bits, compression) = if header == 12 {
        let width = u32::from(reader.u16_le("its width")?);
        let height = u32::from(reader.u16_le("its height")?);
        reader.take(2, "its planes")?;
        (width, height, reader.u16_le("its depth")?, 0)
    } else {
        let width = reader.u32_le("its width")?;
        // Negative: the rows run from top to bottom.
        let height = reader.u32_le("its height")?.cast_signed().unsigned_abs();
        reader.take(2, "its planes")?;
        let bits = reader.u16_le("its depth")?;
        // OS/2's short second version stops here.
        let compression = if header == 16 {
            0
        } else {
            reader.u32_le("its compression")?
        };
        (width, height, bits, compression)
    };
    check_size(Format::Bmp, width, height, BYTES_PER_PIXEL, limits)?;
    match compression {
        0 | 3 | 6 => {
            let row = (u64::from(width) * u64::from(bits)).div_ceil(32) * 4;
            let end = data + row * u64::from(height);
            if end > bytes.len() as u64 {
                return Err(ImageError::truncated(
                    Format::Bmp,
                    format!("it has {} of {end} bytes", bytes.len()),
                ));
            }
        }
        1 | 2 => {}
        4 => return Err(ImageError::feature(Format::Bmp, "a JPEG inside")),
        5 => return Err(ImageError::feature(Format::Bmp, "a PNG inside")),
        other => {
            return Err(ImageError::feature(
                Format::Bmp,
                format!("compression number {other}"),
            ));
        }
    }
    Ok(Container {
        width,
        height,
        exif: None,
        stream: Cow::Borrowed(bytes),
    })
}
