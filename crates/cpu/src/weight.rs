//! Stored weights.

use llavaguard_backend::{DType, DeviceError, check};

use crate::simd::{Kernel, Simd};

/// A weight `[out, in]` in the bytes it came in; nothing is repacked, so nothing is held twice.
#[derive(Debug, Clone)]
pub struct Weight {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) dtype: DType,
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

    /// The stored bytes of a row.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.row_bytes..][..self.row_bytes]
    }

    /// Decodes columns `first..first + out.len()` of `row`; `first` starts a block, and the length is
    /// whole blocks.
    #[inline(always)]
    pub(crate) fn decode<S: Simd>(&self, simd: S, row: usize, first: usize, out: &mut [f32]) {
        let bytes = &self.row(row)[first / self.dtype.block_len() * self.dtype.block_bytes()..];
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
            DType::Q8_0 => decode_blocks(simd, Q8_0, bytes, out),
            DType::Q4_0 => decode_blocks(simd, Q4_0, bytes, out),
        }
    }
}

/// A format of blocks of 32 values.
pub(crate) trait Blocks: Copy {
    /// A stored block.
    type Block;
    /// A row's blocks.
    fn blocks(self, bytes: &[u8]) -> &[Self::Block];
    /// Decodes one.
    fn decode<S: Simd>(self, simd: S, block: &Self::Block, out: &mut [f32; 32]);
}

/// [`DType::Q8_0`].
#[derive(Clone, Copy)]
pub(crate) struct Q8_0;

impl Blocks for Q8_0 {
    type Block = [u8; 34];

    #[inline(always)]
    fn blocks(self, bytes: &[u8]) -> &[[u8; 34]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn decode<S: Simd>(self, simd: S, block: &[u8; 34], out: &mut [f32; 32]) {
        let (scale, quants) = split(block);
        simd.scale_bytes(from_f16(u16::from_le_bytes(*scale)), quants, out);
    }
}

/// [`DType::Q4_0`].
#[derive(Clone, Copy)]
pub(crate) struct Q4_0;

impl Blocks for Q4_0 {
    type Block = [u8; 18];

    #[inline(always)]
    fn blocks(self, bytes: &[u8]) -> &[[u8; 18]] {
        bytes.as_chunks().0
    }

    #[inline(always)]
    fn decode<S: Simd>(self, simd: S, block: &[u8; 18], out: &mut [f32; 32]) {
        let (scale, nibbles) = split(block);
        simd.scale_bytes(
            from_f16(u16::from_le_bytes(*scale)),
            &signed_nibbles(nibbles),
            out,
        );
    }
}

#[inline(always)]
fn decode_blocks<S: Simd, F: Blocks>(simd: S, format: F, bytes: &[u8], out: &mut [f32]) {
    for (out, block) in out.as_chunks_mut().0.iter_mut().zip(format.blocks(bytes)) {
        format.decode(simd, block, out);
    }
}

/// The scale's two bytes and the quants of a block.
#[inline(always)]
fn split<const BLOCK: usize, const QUANTS: usize>(
    block: &[u8; BLOCK],
) -> (&[u8; 2], &[u8; QUANTS]) {
    const { assert!(BLOCK == 2 + QUANTS) };
    match (block.first_chunk(), block.last_chunk()) {
        (Some(scale), Some(quants)) => (scale, quants),
        // Both chunks are shorter than the block.
        _ => unreachable!(),
    }
}

/// The nibbles of a q4_0 block less 8, low ones first, as signed bytes.
#[inline(always)]
fn signed_nibbles(nibbles: &[u8; 16]) -> [u8; 32] {
    const NIBBLE: u128 = u128::from_le_bytes([15; 16]);
    const EIGHT: u128 = u128::from_le_bytes([8; 16]);
    const TOP: u128 = u128::from_le_bytes([128; 16]);
    // Sixteen subtractions at once: the top bit keeps each from borrowing of its neighbour.
    let less_eight = |nibbles: u128| ((nibbles | TOP) - EIGHT) ^ TOP;
    let pairs = u128::from_le_bytes(*nibbles);
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&less_eight(pairs & NIBBLE).to_le_bytes());
    bytes[16..].copy_from_slice(&less_eight((pairs >> 4) & NIBBLE).to_le_bytes());
    bytes
}

/// Decodes the rows of a table named by `ids`, one after the other.
pub(crate) struct Rows<'a> {
    pub table: &'a Weight,
    pub ids: &'a [u32],
    pub out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (row, id) in self.out.chunks_mut(self.table.cols.max(1)).zip(self.ids) {
            self.table.decode(simd, *id as usize, 0, row);
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
    fn every_nibble_is_signed() {
        for byte in 0..=u8::MAX {
            let mut nibbles = [0x88; 16];
            nibbles[7] = byte;
            let mut expected = [0; 32];
            expected[7] = (byte & 15).wrapping_sub(8);
            expected[23] = (byte >> 4).wrapping_sub(8);
            assert_eq!(signed_nibbles(&nibbles), expected);
        }
    }

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
