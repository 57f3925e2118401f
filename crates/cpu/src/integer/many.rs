//! More rows than a pack: weights are unpacked once for all of them.

use std::ops::Range;

use llavaguard_backend::BLOCK;

use super::{Integer, by_rows, each_step};
use crate::matrix::Rect;
use crate::packed::{Lines, Packed, QUAD};
use crate::rounded::{OFFSET, PACK, PackBlocks};
use crate::simd::{Kernel, Simd};
use crate::weight::from_f16;

/// Bytes of weights that all rows meet before the next weights: about what a first-level cache holds, so
/// that a pack's activations come from the second level once for a rectangle's width. In WebAssembly 24 KB
/// are 8 % slower with q8_0, 64 KB are as fast.
const CHUNK: usize = 36 * 1024;

/// What a task computes in.
#[derive(Default)]
pub(super) struct Scratch {
    quants: Lines,
    scales: Vec<f32>,
    starts: Vec<i32>,
}

/// One rectangle.
pub(super) struct Many<'a, 'b, 'c, const NIBBLES: bool> {
    pub operands: Integer<'a>,
    pub rect: &'b mut Rect<'c>,
    pub scratch: &'b mut Scratch,
}

impl<const NIBBLES: bool> Kernel for Many<'_, '_, '_, NIBBLES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match S::PANEL_VECTORS {
            2 => self.panels::<S, 2>(simd),
            _ => self.panels::<S, 4>(simd),
        }
    }
}

impl<const NIBBLES: bool> Many<'_, '_, '_, NIBBLES> {
    #[inline(always)]
    fn panels<S: Simd, const V: usize>(self, simd: S) {
        let Integer { x, w, .. } = self.operands;
        let Rect {
            first_row,
            first_col,
            out,
        } = &mut *self.rect;
        for row in out.iter_mut() {
            row.fill(0.0);
        }
        let width = out.first().map_or(0, |row| row.len());
        let panel = V * S::LANES;
        let panels = width / panel;
        let first_panel = *first_col / panel;
        let first_pack = *first_row / PACK;
        let chunk = (CHUNK / (panels.max(1) * panel * BLOCK)).max(1);
        for first in (0..w.blocks()).step_by(chunk) {
            let blocks = first..w.blocks().min(first + chunk);
            let stock = Stock::<V, NIBBLES>::new(
                simd,
                w,
                first_panel..first_panel + panels,
                blocks.clone(),
                self.scratch,
            );
            for (pack, rows) in out.chunks_mut(PACK).enumerate() {
                let x = x.pack_blocks(first_pack + pack, first, blocks.len());
                for index in 0..panels {
                    let weights = stock.panel::<S>(index);
                    let first = index * panel;
                    for (part, rows) in rows.chunks_mut(S::TILE_ROWS).enumerate() {
                        // Known to be zero where a tile is as tall as a pack.
                        let from = part % (PACK / S::TILE_ROWS) * S::TILE_ROWS;
                        by_rows!(rows, |rows, M| {
                            let rows = rows.map(|row| &mut row[first..first + panel]);
                            tile::<S, M, V, NIBBLES>(simd, x, from, weights, rows);
                        });
                    }
                }
            }
        }
    }
}

/// Some blocks of a panel, ready for tiles.
#[derive(Clone, Copy)]
struct PanelBlocks<'a> {
    /// One byte each.
    quants: &'a [u8],
    scales: &'a [f32],
    /// Where the sums start; empty for nibbles.
    starts: &'a [i32],
}

/// Some blocks of neighbouring panels: what all rows of a rectangle meet before the next blocks.
struct Stock<'a, const V: usize, const NIBBLES: bool> {
    w: &'a Packed,
    first_panel: usize,
    blocks: Range<usize>,
    scratch: &'a Scratch,
}

impl<'a, const V: usize, const NIBBLES: bool> Stock<'a, V, NIBBLES> {
    /// Unpacks nibbles, widens scales, and takes the sums of signed weights.
    #[inline(always)]
    fn new<S: Simd>(
        simd: S,
        w: &'a Packed,
        panels: Range<usize>,
        blocks: Range<usize>,
        scratch: &'a mut Scratch,
    ) -> Self {
        let width = V * S::LANES;
        let block_count = panels.len() * blocks.len();
        scratch.scales.clear();
        if NIBBLES {
            scratch.quants.resize(block_count * width * BLOCK);
        } else {
            scratch.starts.resize(block_count * width, 0);
        }
        for (index, panel) in panels.clone().enumerate() {
            let (quants, scales) = w.panel_blocks(panel, blocks.start, blocks.len());
            let scales = scales.iter().map(|scale| from_f16(*scale));
            scratch.scales.extend(scales);
            let first = index * blocks.len() * width;
            if NIBBLES {
                let bytes = scratch.quants.bytes_mut();
                let bytes = &mut bytes[first * BLOCK..][..2 * quants.len()];
                unpack(quants, bytes, width * BLOCK / 2);
            } else {
                let starts = &mut scratch.starts[first..][..blocks.len() * width];
                start_signed::<S, V>(simd, quants, starts);
            }
        }
        Self {
            w,
            first_panel: panels.start,
            blocks,
            scratch,
        }
    }

    /// One of its panels.
    #[inline(always)]
    fn panel<S: Simd>(&self, index: usize) -> PanelBlocks<'_> {
        let values = self.blocks.len() * V * S::LANES;
        let (first, scratch) = (index * values, self.scratch);
        let panel = self.first_panel + index;
        PanelBlocks {
            quants: if NIBBLES {
                &scratch.quants.bytes()[first * BLOCK..][..values * BLOCK]
            } else {
                self.w
                    .panel_blocks(panel, self.blocks.start, self.blocks.len())
                    .0
            },
            scales: &scratch.scales[first..][..values],
            starts: if NIBBLES {
                &[]
            } else {
                &scratch.starts[first..][..values]
            },
        }
    }
}

/// Nibbles to bytes, `half` packed bytes a block.
#[inline(always)]
fn unpack(packed: &[u8], bytes: &mut [u8], half: usize) {
    for (packed, bytes) in packed
        .chunks_exact(half)
        .zip(bytes.chunks_exact_mut(2 * half))
    {
        let (low, high) = bytes.split_at_mut(half);
        for ((byte, low), high) in packed.iter().zip(low).zip(high) {
            *low = byte & 15;
            *high = byte >> 4;
        }
    }
}

/// Minus [`OFFSET`] times the sum of each feature's weights, block by block.
#[inline(always)]
fn start_signed<S: Simd, const V: usize>(simd: S, quants: &[u8], starts: &mut [i32]) {
    let width = V * S::LANES;
    let offset = simd.quad(&[OFFSET as u8; QUAD]);
    for (block, starts) in quants
        .chunks_exact(width * BLOCK)
        .zip(starts.chunks_exact_mut(width))
    {
        let mut sums = [simd.start(0); V];
        for step in 0..BLOCK / QUAD {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let at = (step * V + vector) * S::LANES * QUAD;
                *sum = simd.dot_signed(*sum, simd.bytes(&block[at..]), offset);
            }
        }
        for (sum, starts) in sums.into_iter().zip(starts.chunks_exact_mut(S::LANES)) {
            simd.negated(sum, starts);
        }
    }
}

/// Adds the products of one block to the sums of a tile, four inputs of `LANES` features at a time. (No
/// function: one that takes the dot product as a closure is not sure to be compiled for the instruction
/// set.)
///
/// Where the compiler knows [`Simd::pack`] this is one straight piece. Where it does not, for all it knows
/// the pack may end at any step: see there.
macro_rules! add_products {
    ($simd:expr, $quants:expr, $x_quants:expr, $from:expr, $sums:expr, $dot:ident) => {
        'block: {
            let mut at = $from;
            each_step!(|STEP| {
                if STEP > 0 {
                    at += $simd.pack();
                }
                if at > $x_quants.len() - M {
                    break 'block;
                }
                let x_quants = &$x_quants[at..at + M];
                let mut weights = [$simd.bytes(&$quants[..S::LANES * QUAD]); V];
                for (vector, weights) in weights.iter_mut().enumerate() {
                    let at = (STEP * V + vector) * S::LANES * QUAD;
                    *weights = $simd.bytes(&$quants[at..][..S::LANES * QUAD]);
                }
                for i in 0..M {
                    let quad = $simd.quad(&x_quants[i]);
                    for vector in 0..V {
                        $sums[i][vector] = $simd.$dot($sums[i][vector], weights[vector], quad);
                    }
                }
            });
        }
    };
}

/// Adds some blocks to `M` rows of a panel, which are those of the pack from `from` on.
#[inline(always)]
fn tile<S: Simd, const M: usize, const V: usize, const NIBBLES: bool>(
    simd: S,
    x: PackBlocks<'_>,
    from: usize,
    w: PanelBlocks<'_>,
    out: [&mut [f32]; M],
) {
    let width = V * S::LANES;
    let mut totals = [[simd.splat(0.0); V]; M];
    for i in 0..M {
        for (total, block) in totals[i].iter_mut().zip(S::blocks(out[i]).0) {
            *total = simd.load(block);
        }
    }
    let (starts, starts_len) = if NIBBLES {
        (x.starts, PACK)
    } else {
        (w.starts, width)
    };
    // Zipped, so that one counter stands for all bounds.
    let blocks = w
        .quants
        .chunks_exact(width * BLOCK)
        .zip(w.scales.chunks_exact(width))
        .zip(x.quants.chunks_exact(PACK * BLOCK))
        .zip(x.scales.chunks_exact(PACK))
        .zip(starts.chunks_exact(starts_len));
    for ((((quants, scales), x_quants), x_scales), starts) in blocks {
        // Cut to a length that the compiler knows.
        let (quants, scales) = (&quants[..width * BLOCK], &scales[..width]);
        let (x_quants, x_scales) = (&x_quants[..PACK * BLOCK], &x_scales[..PACK]);
        let starts = &starts[..if NIBBLES { PACK } else { width }];
        let x_quants = x_quants.as_chunks::<QUAD>().0;
        let mut found = [[simd.splat(0.0); V]; M];
        if NIBBLES {
            let mut sums = [[simd.nibble_start(0); V]; M];
            for i in 0..M {
                sums[i] = [simd.nibble_start(starts[from + i]); V];
            }
            add_products!(simd, quants, x_quants, from, sums, dot_nibbles);
            for i in 0..M {
                for vector in 0..V {
                    found[i][vector] = simd.widen_nibbles(sums[i][vector]);
                }
            }
        } else {
            let mut sums = [[simd.start(0); V]; M];
            for vector in 0..V {
                let start = simd.start_from(&starts[vector * S::LANES..][..S::LANES]);
                for sums in sums.iter_mut() {
                    sums[vector] = start;
                }
            }
            add_products!(simd, quants, x_quants, from, sums, dot_signed);
            for i in 0..M {
                for vector in 0..V {
                    found[i][vector] = simd.widen(sums[i][vector]);
                }
            }
        }
        let scales = S::blocks(scales).0;
        for i in 0..M {
            let x_scale = simd.splat(x_scales[from + i]);
            for vector in 0..V {
                let scale = simd.mul(x_scale, simd.load(&scales[vector]));
                totals[i][vector] = simd.mul_add(found[i][vector], scale, totals[i][vector]);
            }
        }
    }
    for i in 0..M {
        for (total, block) in totals[i].iter().zip(S::blocks_mut(out[i])) {
            simd.store(*total, block);
        }
    }
}
