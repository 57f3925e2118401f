use std::borrow::Cow;

use super::reader::Reader;
use super::{Container, check_size};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::Format;

/// The RGBA canvas and, where the frame is not as large, the frame beside it.
const BYTES_PER_PIXEL: u32 = 8;

/// Complete means: the first frame's data are there up to their terminator. Later frames and the
/// trailer are of no interest. <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>
pub(super) fn walk<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Container<'a>, ImageError> {
    let mut reader = Reader::new(bytes, 6, Format::Gif);
    let width = u32::from(reader.u16_le("its width")?);
    let height = u32::from(reader.u16_le("its height")?);
    check_size(Format::Gif, width, height, BYTES_PER_PIXEL, limits)?;
    let [flags, _, _] = reader.array("its screen descriptor")?;
    skip_color_table(&mut reader, flags)?;
    loop {
        match reader.u8("the blocks before the first frame")? {
            0x21 => {
                reader.take(1, "an extension's label")?;
                skip_sub_blocks(&mut reader)?;
            }
            0x2c => break,
            0x3b => return Err(ImageError::corrupt(Format::Gif, "it ends without a frame")),
            other => {
                return Err(ImageError::corrupt(
                    Format::Gif,
                    format!(
                        "byte {} begins an unknown block ({other:#04x})",
                        reader.position() - 1
                    ),
                ));
            }
        }
    }
    reader.take(4, "the first frame's place")?;
    let frame_width = u32::from(reader.u16_le("the first frame's width")?);
    let frame_height = u32::from(reader.u16_le("the first frame's height")?);
    check_size(
        Format::Gif,
        frame_width,
        frame_height,
        BYTES_PER_PIXEL,
        limits,
    )?;
    let flags = reader.u8("the first frame's flags")?;
    skip_color_table(&mut reader, flags)?;
    reader.take(1, "the first frame's code size")?;
    skip_sub_blocks(&mut reader)?;
    Ok(Container {
        width,
        height,
        exif: None,
        stream: Cow::Borrowed(bytes),
    })
}

fn skip_color_table(reader: &mut Reader<'_>, flags: u8) -> Result<(), ImageError> {
    if flags & 0x80 != 0 {
        reader.take(3 << ((flags & 7) + 1), "a colour table")?;
    }
    Ok(())
}

fn skip_sub_blocks(reader: &mut Reader<'_>) -> Result<(), ImageError> {
    loop {
        let length = reader.u8("a data block's length")?;
        if length == 0 {
            return Ok(());
        }
        reader.take(usize::from(length), "a data block")?;
    }
}
