//! Stored weights.

use llavaguard_backend::{DType, DeviceError, check};

use crate::packed::Packed;

/// A weight `[out, in]`, held once.
#[derive(Debug, Clone)]
pub struct Weight {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) storage: Storage,
}

#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// f32 or f16.
    Plain(Plain),
    /// q8_0 or q4_0.
    Packed(Packed),
}

impl Weight {
    /// `panel`: features of a panel where the weight is packed.
    pub(crate) fn new(
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
        panel: usize,
    ) -> Result<Self, DeviceError> {
        let row_bytes = check::load_weight((rows, cols), dtype, bytes.len())?;
        let storage = match dtype {
            DType::F32 | DType::F16 => Storage::Plain(Plain {
                rows,
                dtype,
                row_bytes,
                bytes,
            }),
            DType::Q8_0 | DType::Q4_0 => {
                Storage::Packed(Packed::new((rows, cols), dtype, &bytes, panel)?)
            }
        };
        Ok(Self {
            rows,
            cols,
            storage,
        })
    }

    pub(crate) fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }

    /// Decodes the rows named by `ids`, one after the other.
    pub(crate) fn decode_rows(&self, ids: &[u32], out: &mut [f32]) {
        match &self.storage {
            Storage::Packed(packed) => packed.decode_rows(ids, out),
            Storage::Plain(plain) => {
                for (out, id) in out.chunks_mut(self.cols.max(1)).zip(ids) {
                    plain.decode(*id as usize, 0, out);
                }
            }
        }
    }
}

/// A weight in the bytes it came in.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub rows: usize,
    dtype: DType,
    row_bytes: usize,
    bytes: Vec<u8>,
}

impl Plain {
    /// Columns `first..first + out.len()` of `row` as f32.
    #[inline(always)]
    pub fn decode(&self, row: usize, first: usize, out: &mut [f32]) {
        let bytes = &self.bytes[row * self.row_bytes..][..self.row_bytes];
        let bytes = &bytes[first * self.dtype.block_bytes()..];
        if self.dtype == DType::F16 {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = from_f16(u16::from_le_bytes(*bytes));
            }
        } else {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
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
