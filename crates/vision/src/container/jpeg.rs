use std::borrow::Cow;

use super::reader::Reader;
use super::{Container, check_size};
use crate::error::ImageError;
use crate::limits::Limits;
use crate::sniff::Format;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DNL: u8 = 0xdc;
const DRI: u8 = 0xdd;
const DHT: u8 = 0xc4;
const JPG: u8 = 0xc8;
const DAC: u8 = 0xcc;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP14: u8 = 0xee;

/// Complete means: the markers lead, segment by segment and scan by scan, to the end-of-image
/// marker (ITU-T T.81, B.2). A file without one is cut, even if its pixels happen to be all
/// there: Pillow refuses it too. What follows the marker (a second picture, a maker's notes,
/// padding) is of no interest.
///
/// The decoder gets the stream less everything that does not bear on the pixels: bytes between
/// segments, which libjpeg skips as well but the decoder's strict mode refuses, metadata, and
/// whatever follows the end.
pub(super) fn walk<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Container<'a>, ImageError> {
    let mut reader = Reader::new(bytes, 2.min(bytes.len()), Format::Jpeg);
    let mut stream = Vec::with_capacity(bytes.len());
    stream.extend([0xff, SOI]);
    let mut frame: Option<Frame> = None;
    let mut scans = 0u32;
    let mut exif = None;
    // The marker that ended a scan has been read already.
    let mut pending = None;
    loop {
        let marker = match pending.take() {
            Some(marker) => marker,
            None => next_marker(&mut reader)?,
        };
        match marker {
            EOI => break,
            // Stand-alone markers out of place.
            SOI | 0x01 | 0xd0..=0xd7 => continue,
            _ => {}
        }
        let start = reader.position();
        let length = usize::from(reader.u16_be("a segment's length")?);
        let Some(length) = length.checked_sub(2) else {
            return Err(ImageError::corrupt(
                Format::Jpeg,
                format!("the segment at byte {start} has no length"),
            ));
        };
        let segment = reader.take(length, "a segment's contents")?;
        let end = reader.position();
        match marker {
            DHT | DQT | DRI | APP0 | APP14 => {}
            0xc0..=0xcf if !matches!(marker, JPG | DAC) => {
                if frame.is_some() {
                    return Err(ImageError::feature(Format::Jpeg, "more than one frame"));
                }
                let read = Frame::read(marker, segment)?;
                // At least the output; what progressive scans add is checked when the number of
                // scans is known, so that the size is judged even if the rest is missing.
                read.check(false, limits)?;
                frame = Some(read);
            }
            APP1 => {
                exif = exif.or(segment.strip_prefix(b"Exif\0\0"));
                continue;
            }
            SOS if frame.is_some() => {
                scans += 1;
                let next = end_of_scan(&mut reader)?;
                push(&mut stream, marker, &bytes[start..reader.position() - 2]);
                pending = Some(next);
                continue;
            }
            SOS => {
                return Err(ImageError::corrupt(
                    Format::Jpeg,
                    "a scan comes before its frame header",
                ));
            }
            DAC => return Err(ImageError::feature(Format::Jpeg, "arithmetic coding")),
            DNL => {
                return Err(ImageError::feature(
                    Format::Jpeg,
                    "a height given after the first scan (DNL)",
                ));
            }
            _ => continue,
        }
        push(&mut stream, marker, &bytes[start..end]);
    }
    let Some(frame) = frame else {
        return Err(ImageError::corrupt(
            Format::Jpeg,
            "it ends without a frame header",
        ));
    };
    if scans == 0 {
        return Err(ImageError::corrupt(Format::Jpeg, "it ends without a scan"));
    }
    frame.check(frame.progressive || scans > 1, limits)?;
    stream.extend([0xff, EOI]);
    Ok(Container {
        width: frame.width,
        height: frame.height,
        exif,
        stream: Cow::Owned(stream),
    })
}

fn push(stream: &mut Vec<u8>, marker: u8, rest: &[u8]) {
    stream.extend([0xff, marker]);
    stream.extend_from_slice(rest);
}

/// Skips whatever is not a marker.
fn next_marker(reader: &mut Reader<'_>) -> Result<u8, ImageError> {
    const WHAT: &str = "the markers before the end-of-image marker";
    let mut previous = 0;
    loop {
        let byte = reader.u8(WHAT)?;
        if previous == 0xff && byte != 0xff && byte != 0 {
            return Ok(byte);
        }
        previous = byte;
    }
}

/// The marker that ends the entropy-coded data: not a stuffed zero, not a restart.
fn end_of_scan(reader: &mut Reader<'_>) -> Result<u8, ImageError> {
    loop {
        let marker = next_marker(reader)?;
        if !matches!(marker, 0xd0..=0xd7) {
            return Ok(marker);
        }
    }
}

struct Frame {
    width: u32,
    height: u32,
    components: u32,
    progressive: bool,
}

impl Frame {
    fn read(marker: u8, segment: &[u8]) -> Result<Self, ImageError> {
        let unread = match marker {
            0xc0..=0xc2 => None,
            0xc3 | 0xc7 | 0xcb | 0xcf => Some("lossless coding"),
            0xc5 | 0xc6 | 0xcd | 0xce => Some("hierarchical coding"),
            _ => Some("arithmetic coding"),
        };
        if let Some(feature) = unread {
            return Err(ImageError::feature(Format::Jpeg, feature));
        }
        let Some((&[bits, h1, h0, w1, w0, components], rest)) = segment.split_first_chunk() else {
            return Err(ImageError::corrupt(
                Format::Jpeg,
                "its frame header is too short",
            ));
        };
        if bits != 8 {
            return Err(ImageError::feature(
                Format::Jpeg,
                format!("{bits} bits a sample"),
            ));
        }
        if !matches!(components, 1 | 3 | 4) {
            return Err(ImageError::feature(
                Format::Jpeg,
                format!("{components} colour components"),
            ));
        }
        let (specifications, _) = rest.as_chunks::<3>();
        let Some(specifications) = specifications.get(..usize::from(components)) else {
            return Err(ImageError::corrupt(
                Format::Jpeg,
                "its frame header is too short",
            ));
        };
        for [_, sampling, _] in specifications {
            if !matches!(sampling >> 4, 1..=4) || !matches!(sampling & 15, 1..=4) {
                return Err(ImageError::corrupt(
                    Format::Jpeg,
                    "a sampling factor is not 1 to 4",
                ));
            }
        }
        Ok(Self {
            width: u32::from(u16::from_be_bytes([w1, w0])),
            height: u32::from(u16::from_be_bytes([h1, h0])),
            components: u32::from(components),
            progressive: marker == 0xc2,
        })
    }

    /// `whole`: the decoder holds all 16-bit coefficients before it makes the first pixel.
    fn check(&self, whole: bool, limits: &Limits) -> Result<(), ImageError> {
        let coefficients = if whole { 2 * self.components } else { 0 };
        check_size(
            Format::Jpeg,
            self.width,
            self.height,
            3 + coefficients,
            limits,
        )
    }
}
