use crate::error::ImageError;

/// What an image may cost. Checked from the header, before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in the file. Default 64 MiB.
    pub max_bytes: u64,
    /// Most pixels along either side. Default 30,000.
    pub max_side: u32,
    /// Most pixels in all. Default 120,000,000 (a 108-megapixel phone picture fits).
    pub max_pixels: u64,
    /// Most bytes the decoder may need at once, its output included, as estimated from the
    /// header. Default 1 GiB, which leaves room for a model in WebAssembly's 4 GiB.
    pub max_decoder_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_side: 30_000,
            max_pixels: 120_000_000,
            max_decoder_memory: 1 << 30,
        }
    }
}

impl Limits {
    pub(crate) fn check_bytes(&self, bytes: usize) -> Result<(), ImageError> {
        within(bytes as u64, self.max_bytes, |n| format!("{n} bytes"))
    }

    /// `bytes_per_pixel`: what the decoder holds for each pixel at its peak.
    pub(crate) fn check_pixels(
        &self,
        width: u32,
        height: u32,
        bytes_per_pixel: u32,
    ) -> Result<(), ImageError> {
        within(
            u64::from(width.max(height)),
            u64::from(self.max_side),
            |_| format!("a side of {} pixels ({width}x{height})", width.max(height)),
        )?;
        let pixels = u64::from(width) * u64::from(height);
        within(pixels, self.max_pixels, |n| {
            format!("{n} pixels ({width}x{height})")
        })?;
        within(
            pixels.saturating_mul(u64::from(bytes_per_pixel)),
            self.max_decoder_memory,
            |n| format!("{width}x{height} pixels that take {n} bytes to decode"),
        )
    }
}

fn within(value: u64, limit: u64, what: impl Fn(u64) -> String) -> Result<(), ImageError> {
    if value <= limit {
        return Ok(());
    }
    Err(ImageError::TooLarge {
        what: what(value),
        limit,
    })
}
