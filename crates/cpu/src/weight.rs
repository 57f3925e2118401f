//! Stored weights.

use llavaguard_backend::{DType, DeviceError, check};

/// A weight `[out, in]` in the bytes it came in; nothing is repacked, so nothing is held twice.
#[derive(Debug, Clone)]
pub struct Weight {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    dtype: DType,
    row_bytes: usize,
    bytes: Vec<u8>,
}

impl Weight {
    pub(crate) fn new(
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<Self, DeviceError> {
        let row_bytes = check::load_weight((rows, cols), dtype, bytes.len())?;
        Ok(Self {
            rows,
            cols,
            dtype,
            row_bytes,
            bytes,
        })
    }

    pub(crate) fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }

    /// Decodes columns `first..first + out.len()` of `row`; `first` starts a block, and the length is
    /// whole blocks.
    #[inline(always)]
    pub(crate) fn decode(&self, row: usize, first: usize, out: &mut [f32]) {
        let row = &self.bytes[row * self.row_bytes..][..self.row_bytes];
        let bytes = &row[first / self.dtype.block_len() * self.dtype.block_bytes()..];
        match self.dtype {
            DType::F32 => {
                for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            DType::F16 => {
                for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *value = from_f16(u16::from_le_bytes(*bytes));
                }
            }
            DType::Q8_0 => {
                let blocks = bytes.as_chunks::<34>().0;
                for (values, block) in out.as_chunks_mut::<32>().0.iter_mut().zip(blocks) {
                    let scale = from_f16(u16::from_le_bytes([block[0], block[1]]));
                    for (value, quant) in values.iter_mut().zip(&block[2..]) {
                        *value = scale * f32::from(quant.cast_signed());
                    }
                }
            }
            DType::Q4_0 => {
                let blocks = bytes.as_chunks::<18>().0;
                for (values, block) in out.as_chunks_mut::<32>().0.iter_mut().zip(blocks) {
                    let scale = from_f16(u16::from_le_bytes([block[0], block[1]]));
                    let (low, high) = values.split_at_mut(16);
                    for (value, byte) in low.iter_mut().zip(&block[2..]) {
                        *value = scale * f32::from((byte & 15).cast_signed() - 8);
                    }
                    for (value, byte) in high.iter_mut().zip(&block[2..]) {
                        *value = scale * f32::from((byte >> 4).cast_signed() - 8);
                    }
                }
            }
        }
    }
}

/// Half to single precision without a branch, so that loops over it vectorise on every target: the
/// exponent is moved by a multiplication with 2^112, which also normalises subnormals.
#[inline(always)]
pub(crate) fn from_f16(half: u16) -> f32 {
    let half = u32::from(half);
    let magnitude = f32::from_bits((half & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    let special = if half & 0x7c00 == 0x7c00 {
        0x7f80_0000
    } else {
        0
    };
    f32::from_bits(magnitude.to_bits() | special | (half & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_converts() {
        for half in 0..=u16::MAX {
            let expected = half::f16::from_bits(half).to_f32();
            let found = from_f16(half);
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{half:#06x}: {found} for {expected}"
            );
        }
    }
}
