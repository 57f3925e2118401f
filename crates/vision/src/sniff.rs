use std::fmt;

use crate::error::ImageError;

/// The formats that are read, told apart by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, baseline or progressive, 8 bits.
    Jpeg,
    /// WebP, lossy or lossless; of an animation the first frame.
    WebP,
    /// GIF; the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
        })
    }
}

impl Format {
    /// The format of `bytes` by their content; a name or a MIME type plays no part.
    ///
    /// # Errors
    /// [`ImageError::Empty`], or [`ImageError::UnsupportedFormat`] saying what it looks like.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        // A signature that is itself cut off is still that format's: then the walk over the
        // container says "truncated", which is what happened.
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if starts(b"\x89PNG\r\n\x1a\n") || cut_signature(bytes, b"\x89PNG\r\n\x1a\n") {
            Ok(Self::Png)
        } else if starts(b"\xff\xd8") {
            Ok(Self::Jpeg)
        } else if starts(b"RIFF") && bytes.get(8..12).is_none_or(|four| four == b"WEBP") {
            Ok(Self::WebP)
        } else if starts(b"GIF87a") || starts(b"GIF89a") {
            Ok(Self::Gif)
        } else if starts(b"BM") && looks_like_bmp(bytes) {
            Ok(Self::Bmp)
        } else {
            Err(ImageError::UnsupportedFormat {
                found: describe(bytes),
            })
        }
    }
}

fn cut_signature(bytes: &[u8], magic: &[u8]) -> bool {
    bytes.len() >= 4 && bytes.len() < magic.len() && magic.starts_with(bytes)
}

/// "BM" alone is how many a text begins: the header size behind it must be one that exists.
fn looks_like_bmp(bytes: &[u8]) -> bool {
    match bytes.get(14..18) {
        Some(&[size, 0, 0, 0]) => matches!(size, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124),
        Some(_) => false,
        None => !is_text(bytes),
    }
}

/// What `bytes` look like, for a message.
fn describe(bytes: &[u8]) -> String {
    let at = |offset: usize, magic: &[u8]| {
        bytes
            .get(offset..offset + magic.len())
            .is_some_and(|found| found == magic)
    };
    let known: &[(usize, &[u8], &str)] = &[
        (4, b"ftypavif", "an AVIF image"),
        (4, b"ftypavis", "an AVIF image sequence"),
        (4, b"ftyphei", "a HEIC image"),
        (4, b"ftyphev", "a HEIC image sequence"),
        (4, b"ftypmif1", "a HEIF image"),
        (4, b"ftypmsf1", "a HEIF image sequence"),
        (4, b"ftypqt", "a QuickTime video"),
        (4, b"ftyp", "an MP4 video"),
        (0, b"II*\0", "a TIFF image"),
        (0, b"MM\0*", "a TIFF image"),
        (0, b"\xff\x0a", "a JPEG XL image"),
        (4, b"JXL ", "a JPEG XL image"),
        (4, b"jP  ", "a JPEG 2000 image"),
        (0, b"\xff\x4f\xff\x51", "a JPEG 2000 code stream"),
        (0, b"8BPS", "a Photoshop document"),
        (0, b"\0\0\x01\0", "an icon"),
        (0, b"\0\0\x02\0", "a cursor"),
        (0, b"qoif", "a QOI image"),
        (0, b"DDS ", "a DDS texture"),
        (0, b"%PDF", "a PDF document"),
        (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
        (0, b"RIFF", "a RIFF file (audio or video)"),
        (0, b"PK\x03\x04", "a ZIP archive"),
        (0, b"\x1f\x8b", "gzip data"),
        (0, b"GGUF", "a GGUF model"),
    ];
    if let Some((_, _, name)) = known.iter().find(|(offset, magic, _)| at(*offset, magic)) {
        return (*name).to_owned();
    }
    if is_text(bytes) {
        let head = String::from_utf8_lossy(head(bytes)).to_ascii_lowercase();
        return if head.contains("<svg") {
            "an SVG drawing".to_owned()
        } else if head.contains("<!doctype html") || head.contains("<html") {
            "an HTML page".to_owned()
        } else {
            "text".to_owned()
        };
    }
    let first: Vec<String> = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("unknown data (first bytes {})", first.join(" "))
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(512)]
}

fn is_text(bytes: &[u8]) -> bool {
    let head = head(bytes);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut in two by taking only the head.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty()
        && text
            .chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_what_the_content_is() {
        let cases: &[(&[u8], &str)] = &[
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns='x'/>", "SVG"),
            (b"II*\0\x08\0\0\0", "TIFF"),
            (b"BMW is a maker of cars, and this is text", "text"),
            ("caf\u{e9}, named .jpg".as_bytes(), "text"),
            (b"%PDF-1.7", "PDF"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "RIFF"),
            (b"\x01\x02\x03\x04", "first bytes 01 02 03 04"),
        ];
        for (bytes, name) in cases {
            let error = Format::of(bytes).unwrap_err();
            assert_eq!(error.code(), "image.unsupported_format");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert_eq!(Format::of(b"").unwrap_err(), ImageError::Empty);
    }

    #[test]
    fn text_longer_than_the_head_may_cut_a_character() {
        let text = "x".repeat(511) + "\u{e9}\u{e9}";
        assert!(is_text(text.as_bytes()));
    }
}
