//! Quantised weights in the order the integer kernels read them.
//!
//! A *panel* is as many output features as a tile is wide, `PANEL_VECTORS` vectors of `LANES`. Of each
//! block of 32 inputs a panel holds the features' 32 scales side by side, and the quants four inputs
//! at a time: four bytes of feature 0, four of feature 1, and so on. One vector load then gives a dot
//! product instruction four inputs of `LANES` features, and the sums of a tile need no shuffling.
//!
//! q8_0 stands there byte by byte. q4_0 has inputs 0..16 of a block in the low nibbles and 16..32 in
//! the high ones, in that order, so unpacking a block is a mask and a shift over whole vectors.
//!
//! The bytes are those of the file, in another order; nothing is rounded, and one copy exists.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use llavaguard_backend::{BLOCK, DType, DeviceError};

use crate::buffers::{Buffer, Buffers};
use crate::weight::from_f16;

/// Bytes of inputs and features that one dot product instruction takes at once, for each feature.
pub(crate) const QUAD: usize = 4;

/// A quantised weight `[out, in]`.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    pub rows: usize,
    pub cols: usize,
    /// Features of a panel.
    pub panel: usize,
    pub nibbles: bool,
    quants: Lines,
    /// f16, by panel, block and feature.
    scales: Vec<u16>,
}

impl Packed {
    /// Packs the stored bytes of a weight in q8_0 or q4_0 whose sizes have been checked.
    pub fn new(
        (rows, cols): (usize, usize),
        dtype: DType,
        bytes: &[u8],
        panel: usize,
    ) -> Result<Self, DeviceError> {
        let nibbles = dtype == DType::Q4_0;
        let blocks = cols / BLOCK;
        let panels = rows.div_ceil(panel);
        let stored = dtype.block_bytes();
        let mut packed = Self {
            rows,
            cols,
            panel,
            nibbles,
            quants: Lines::zeros(panels * blocks * block_bytes(panel, nibbles))?,
            scales: filled(panels * blocks * panel)?,
        };
        let quants = packed.quants.bytes_mut();
        for panel_index in 0..panels {
            for block in 0..blocks {
                let at = panel_index * blocks + block;
                let scales = &mut packed.scales[at * panel..][..panel];
                let size = block_bytes(panel, nibbles);
                let quants = &mut quants[at * size..][..size];
                for (lane, scale) in scales.iter_mut().enumerate() {
                    let row = panel_index * panel + lane;
                    if row >= rows {
                        break;
                    }
                    let source = &bytes[(row * blocks + block) * stored..][..stored];
                    *scale = u16::from_le_bytes([source[0], source[1]]);
                    if *scale & 0x7c00 == 0x7c00 {
                        return Err(DeviceError::WeightNotFinite {
                            rows,
                            cols,
                            dtype,
                            row,
                        });
                    }
                    // A block's bytes are in the order of its inputs in both formats.
                    for (quad, four) in source[2..].as_chunks::<QUAD>().0.iter().enumerate() {
                        quants[(quad * panel + lane) * QUAD..][..QUAD].copy_from_slice(four);
                    }
                }
            }
        }
        Ok(packed)
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.cols / BLOCK
    }

    /// Quants and scales of blocks `first..first + count` of a panel.
    #[inline(always)]
    pub fn panel_blocks(&self, panel: usize, first: usize, count: usize) -> (&[u8], &[u16]) {
        let at = panel * self.blocks() + first;
        let size = block_bytes(self.panel, self.nibbles);
        (
            &self.quants.bytes()[at * size..][..count * size],
            &self.scales[at * self.panel..][..count * self.panel],
        )
    }

    /// The values of a row.
    fn decode_row(&self, row: usize, out: &mut [f32]) {
        let (panel, lane) = (row / self.panel, row % self.panel);
        let (quants, scales) = self.panel_blocks(panel, 0, self.blocks());
        let size = block_bytes(self.panel, self.nibbles);
        for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let scale = from_f16(scales[block * self.panel + lane]);
            let quants = &quants[block * size..][..size];
            for (input, out) in out.iter_mut().enumerate() {
                let byte =
                    |input: usize| quants[(input / QUAD * self.panel + lane) * QUAD + input % QUAD];
                let quant = match (self.nibbles, input) {
                    (false, _) => i32::from(byte(input).cast_signed()),
                    (true, 0..16) => i32::from(byte(input) & 15) - 8,
                    (true, _) => i32::from(byte(input - 16) >> 4) - 8,
                };
                *out = scale * quant as f32;
            }
        }
    }

    /// Decodes the rows named by `ids`, one after the other.
    pub fn decode_rows(&self, ids: &[u32], out: &mut [f32]) {
        for (out, id) in out.chunks_mut(self.cols.max(1)).zip(ids) {
            self.decode_row(*id as usize, out);
        }
    }
}

/// Bytes of the quants of a panel's block.
fn block_bytes(panel: usize, nibbles: bool) -> usize {
    panel * if nibbles { BLOCK / 2 } else { BLOCK }
}

/// Bytes that begin at a cache line, so that no vector load of them crosses one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines<L = Vec<Line>> {
    lines: L,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

impl Lines {
    pub fn zeros(len: usize) -> Result<Self, DeviceError> {
        let mut lines = Vec::new();
        lines
            .try_reserve_exact(len.div_ceil(64))
            .map_err(|_| DeviceError::OutOfMemory { bytes: len })?;
        lines.resize(len.div_ceil(64), Line([0; 64]));
        Ok(Self { lines, len })
    }

    /// Changes the length; bytes that are added are zeros or what was there before.
    pub fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(64), Line([0; 64]));
        self.len = len;
    }
}

impl Lines<Buffer<Line>> {
    /// Bytes that hold anything.
    pub fn unset(len: usize, buffers: &Arc<Buffers>) -> Result<Self, DeviceError> {
        let lines = buffers.unset(len.div_ceil(64))?;
        Ok(Self { lines, len })
    }
}

impl<L: Deref<Target = [Line]>> Lines<L> {
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: a `Line` is 64 bytes without padding, so `lines` is that many times 64 initialised
        // bytes, of which `len` are at most as many (`zeros` and `unset` see to it).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8]
    where
        L: DerefMut,
    {
        // SAFETY: as in `bytes`; any byte is a valid one, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

fn filled(len: usize) -> Result<Vec<u16>, DeviceError> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(len)
        .map_err(|_| DeviceError::OutOfMemory {
            bytes: len.saturating_mul(size_of::<u16>()),
        })?;
    values.resize(len, 0);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llavaguard_backend::quant;

    #[test]
    fn packing_keeps_every_value() {
        for dtype in [DType::Q8_0, DType::Q4_0] {
            for (rows, cols, panel) in [(1, 32, 8), (9, 96, 8), (16, 64, 16), (67, 160, 64)] {
                let values: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * 0.7).sin()).collect();
                let mut bytes = Vec::new();
                for row in values.chunks(cols) {
                    quant::encode_row(dtype, row, &mut bytes).unwrap();
                }
                let packed = Packed::new((rows, cols), dtype, &bytes, panel).unwrap();
                let row_bytes = dtype.row_bytes(cols).unwrap();
                let ids: Vec<u32> = (0..rows as u32).rev().collect();
                let mut found = vec![f32::NAN; rows * cols];
                packed.decode_rows(&ids, &mut found);
                for (id, found) in ids.iter().zip(found.chunks(cols)) {
                    let mut expected = vec![0.0; cols];
                    let stored = &bytes[*id as usize * row_bytes..][..row_bytes];
                    quant::decode_row(dtype, stored, &mut expected).unwrap();
                    assert_eq!(found, expected, "{dtype} {rows} x {cols}, row {id}");
                }
            }
        }
    }

    #[test]
    fn lines_begin_where_cache_lines_do() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let mut lines = Lines::zeros(len).unwrap();
            assert_eq!(lines.bytes().len(), len);
            assert_eq!(lines.bytes().as_ptr().align_offset(64), 0);
            lines.bytes_mut().fill(7);
            assert!(lines.bytes().iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_scale_that_is_no_number_is_refused() {
        let mut bytes = vec![0; 3 * 34];
        bytes[2 * 34..][..2].copy_from_slice(&0x7e00u16.to_le_bytes());
        let error = Packed::new((3, 32), DType::Q8_0, &bytes, 8).unwrap_err();
        assert!(
            matches!(error, DeviceError::WeightNotFinite { row: 2, .. }),
            "{error}"
        );
    }
}
