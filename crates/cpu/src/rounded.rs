//! Activations rounded to bytes, in the order the integer kernels read them.
//!
//! Rows stand in packs of [`PACK`]: of each block of 32 inputs the quants four inputs at a time, four
//! bytes of row 0, four of row 1, and so on, so that a tile walks through one run of memory. A last
//! pack that is not full has rows of zeros, which are never computed.

use std::sync::Arc;

use llavaguard_backend::{BLOCK, DeviceError, Rounding};

use crate::buffers::{Buffer, Buffers};
use crate::packed::{Line, Lines, QUAD};
use crate::simd::{Dispatch, Kernel, Simd};
use crate::workers::Workers;

/// Rows of a pack, and of the tallest tile.
pub(crate) const PACK: usize = 4;
/// Bytes of a pack's block.
const PACK_BLOCK: usize = PACK * BLOCK;

/// What weights want beside their signs: q8_0's are signed, so the activations are moved to 1..=127;
/// q4_0's nibbles are not, so the activations keep theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partner {
    Bytes,
    Nibbles,
}

/// What is added to an activation beside signed weights, to make it positive.
pub(crate) const OFFSET: i32 = 64;

/// Rounded rows.
#[derive(Debug)]
pub(crate) struct Rounded {
    blocks: usize,
    quants: Lines<Buffer<Line>>,
    /// By pack, block and row.
    scales: Buffer<f32>,
    /// Beside nibbles: minus eight times the sum of the quants, as the instruction set's sums start
    /// from it, by pack, block and row. Beside bytes it is not set.
    starts: Buffer<i32>,
}

/// Some blocks of a pack.
#[derive(Clone, Copy)]
pub(crate) struct PackBlocks<'a> {
    pub quants: &'a [u8],
    pub scales: &'a [f32],
    pub starts: &'a [i32],
}

impl Rounded {
    pub fn new(
        data: &[f32],
        cols: usize,
        rounding: Rounding,
        partner: Partner,
        (dispatch, workers): (Dispatch, &Workers),
        buffers: &Arc<Buffers>,
    ) -> Result<Self, DeviceError> {
        let blocks = cols / BLOCK;
        let rows = data.len() / cols.max(1);
        let packs = rows.div_ceil(PACK);
        let mut rounded = Self {
            blocks,
            quants: Lines::unset(packs * blocks * PACK_BLOCK, buffers)?,
            scales: buffers.unset(packs * blocks * PACK)?,
            starts: buffers.unset(packs * blocks * PACK)?,
        };
        if !rows.is_multiple_of(PACK) {
            let pack = (packs - 1) * blocks;
            rounded.quants.bytes_mut()[pack * PACK_BLOCK..].fill(0);
            rounded.scales[pack * PACK..].fill(0.0);
            rounded.starts[pack * PACK..].fill(0);
        }
        if blocks == 0 {
            return Ok(rounded);
        }
        // About a microsecond a row of 1024: a few rows are not worth waking threads for.
        let group = packs
            .div_ceil(4 * workers.count())
            .max(32 * 1024 / cols)
            .max(1);
        let tasks: Vec<_> = data
            .chunks(group * PACK * cols)
            .zip(
                rounded
                    .quants
                    .bytes_mut()
                    .chunks_mut(group * blocks * PACK_BLOCK),
            )
            .zip(rounded.scales.chunks_mut(group * blocks * PACK))
            .zip(rounded.starts.chunks_mut(group * blocks * PACK))
            .collect();
        workers.run(tasks, |(((data, quants), scales), starts)| {
            dispatch.run(Task {
                data,
                cols,
                rounding,
                partner,
                quants,
                scales,
                starts,
            });
        });
        Ok(rounded)
    }

    /// Blocks `first..first + count` of a pack.
    #[inline(always)]
    pub fn pack_blocks(&self, pack: usize, first: usize, count: usize) -> PackBlocks<'_> {
        let at = pack * self.blocks + first;
        PackBlocks {
            quants: &self.quants.bytes()[at * PACK_BLOCK..][..count * PACK_BLOCK],
            scales: &self.scales[at * PACK..][..count * PACK],
            starts: &self.starts[at * PACK..][..count * PACK],
        }
    }
}

/// Rounds some rows, the first of which begins a pack.
struct Task<'a> {
    data: &'a [f32],
    cols: usize,
    rounding: Rounding,
    partner: Partner,
    quants: &'a mut [u8],
    scales: &'a mut [f32],
    starts: &'a mut [i32],
}

impl Kernel for Task<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let blocks = self.cols / BLOCK;
        for (row, data) in self.data.chunks(self.cols).enumerate() {
            let first = row / PACK * blocks;
            for (block, values) in data.as_chunks::<BLOCK>().0.iter().enumerate() {
                let at = (first + block) * PACK + row % PACK;
                let (bytes, scale) = round(simd, values, self.rounding, self.partner);
                self.scales[at] = scale;
                if self.partner == Partner::Nibbles {
                    self.starts[at] = simd.nibble_start_of(&bytes);
                }
                let quants = &mut self.quants[(first + block) * PACK_BLOCK..][..PACK_BLOCK];
                for (quad, four) in bytes.as_chunks::<QUAD>().0.iter().enumerate() {
                    quants[(quad * PACK + row % PACK) * QUAD..][..QUAD].copy_from_slice(four);
                }
            }
        }
    }
}

/// The quants of a block and their scale.
#[inline(always)]
fn round<S: Simd>(
    simd: S,
    values: &[f32; BLOCK],
    rounding: Rounding,
    partner: Partner,
) -> ([u8; BLOCK], f32) {
    // Magnitudes order as their bits do, and NaN and the infinities come last.
    let largest = values.iter().fold(0, |most, value| {
        u32::max(most, value.to_bits() & 0x7fff_ffff)
    });
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        return ([0; BLOCK], f32::NAN);
    }
    let (scale, inverse) = rounding.scale(largest);
    let offset = match partner {
        Partner::Bytes => OFFSET,
        Partner::Nibbles => 0,
    };
    (simd.round(values, inverse, offset), scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;
    use llavaguard_backend::DType;

    #[test]
    fn rounding_is_as_specified() {
        for (dtype, partner) in [
            (DType::Q8_0, Partner::Bytes),
            (DType::Q4_0, Partner::Nibbles),
        ] {
            let rounding = Rounding::before(dtype).unwrap();
            for magnitude in [1.0f32, 1e-30, 3e30, 1e-36, 0.0] {
                let values: [f32; BLOCK] =
                    std::array::from_fn(|i| ((i * i + 3) as f32).sin() * magnitude);
                let (bytes, scale) = round(Portable, &values, rounding, partner);
                let quants = bytes.map(|byte| match partner {
                    Partner::Bytes => i32::from(byte) - OFFSET,
                    Partner::Nibbles => i32::from(byte.cast_signed()),
                });
                let mut expected = values;
                rounding.apply(&mut expected);
                assert_eq!(quants.map(|quant| quant as f32 * scale), expected);
                match partner {
                    Partner::Bytes => assert!(bytes.iter().all(|byte| (1..=127).contains(byte))),
                    Partner::Nibbles => {
                        let sum: i32 = quants.iter().sum();
                        assert_eq!(Portable.nibble_start_of(&bytes), -8 * sum);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_spoils_its_block_alone() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data = vec![1.0; 2 * 64];
            data[64 + 40] = bad;
            let at = (
                Dispatch::detect(crate::Isa::Scalar).unwrap(),
                &Workers::Caller,
            );
            let rounding = Rounding { levels: 63 };
            let buffers = Arc::default();
            let rounded = Rounded::new(&data, 64, rounding, Partner::Bytes, at, &buffers).unwrap();
            let nan =
                |block: usize, row: usize| rounded.pack_blocks(0, block, 1).scales[row].is_nan();
            assert!(nan(1, 1) && !nan(0, 1) && !nan(0, 0) && !nan(1, 0));
        }
    }
}
