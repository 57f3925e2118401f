use crate::error::ImageError;

/// An 8-bit RGB image: rows from top to bottom, `3 · width` bytes each, no padding.
///
/// Both sides are at least 1 and `data` has exactly `3 · width · height` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Rgb8Image {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Rgb8Image {
    /// From raw RGB bytes, `3 · width · height` of them.
    ///
    /// # Errors
    /// [`ImageError::ZeroSize`] or [`ImageError::WrongLength`].
    pub fn from_rgb(width: u32, height: u32, data: Vec<u8>) -> Result<Self, ImageError> {
        check_length(width, height, 3, data.len())?;
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// From raw RGBA bytes, `4 · width · height` of them, such as a canvas' `ImageData`. Alpha is
    /// dropped as [`decode`](crate::decode) does.
    ///
    /// # Errors
    /// [`ImageError::ZeroSize`] or [`ImageError::WrongLength`].
    pub fn from_rgba(width: u32, height: u32, data: &[u8]) -> Result<Self, ImageError> {
        check_length(width, height, 4, data.len())?;
        let (pixels, _) = data.as_chunks::<4>();
        let data = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All bytes, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All bytes, row by row, without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}

/// The size only: a picture's bytes in a log or a failed assertion help nobody.
impl std::fmt::Debug for Rgb8Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rgb8Image({}x{})", self.width, self.height)
    }
}

fn check_length(width: u32, height: u32, channels: u32, found: usize) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::ZeroSize { width, height });
    }
    // 2^32 · 2^32 · 4 does not fit, and no buffer is that long either.
    let expected = (u64::from(width) * u64::from(height)).saturating_mul(u64::from(channels));
    if expected != found as u64 {
        return Err(ImageError::WrongLength {
            width,
            height,
            channels,
            expected,
            found: found as u64,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rgba_loses_only_its_alpha() {
        let image = Rgb8Image::from_rgba(2, 1, &[1, 2, 3, 0, 4, 5, 6, 255]).unwrap();
        assert_eq!(image.data(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn lengths_are_checked() {
        let code = |r: Result<Rgb8Image, ImageError>| r.unwrap_err().code();
        assert_eq!(
            code(Rgb8Image::from_rgb(2, 2, vec![0; 11])),
            "image.wrong_length"
        );
        assert_eq!(
            code(Rgb8Image::from_rgba(2, 2, &[0; 12])),
            "image.wrong_length"
        );
        assert_eq!(code(Rgb8Image::from_rgb(0, 2, vec![])), "image.zero_size");
        assert_eq!(
            code(Rgb8Image::from_rgba(u32::MAX, u32::MAX, &[])),
            "image.wrong_length"
        );
    }
}
