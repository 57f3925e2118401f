//! No more rows than a pack: weights are used as they are packed, each once.

use llavaguard_backend::BLOCK;

use super::{Integer, by_rows, each_step};
use crate::matrix::Rect;
use crate::packed::QUAD;
use crate::rounded::{OFFSET, PACK, PackBlocks};
use crate::simd::{Kernel, Simd};

/// Steps of four inputs in a block.
const STEPS: usize = BLOCK / QUAD;

/// One rectangle.
pub(super) struct Few<'a, 'b, 'c, const NIBBLES: bool> {
    pub operands: Integer<'a>,
    pub rect: &'b mut Rect<'c>,
}

impl<const NIBBLES: bool> Kernel for Few<'_, '_, '_, NIBBLES> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match S::PANEL_VECTORS {
            2 => self.panels::<S, 2>(simd),
            _ => self.panels::<S, 4>(simd),
        }
    }
}

impl<const NIBBLES: bool> Few<'_, '_, '_, NIBBLES> {
    #[inline(always)]
    fn panels<S: Simd, const V: usize>(self, simd: S) {
        let Integer { x, w, .. } = self.operands;
        let Rect {
            first_row,
            first_col,
            out,
        } = &mut *self.rect;
        let width = out.first().map_or(0, |row| row.len());
        let panel = V * S::LANES;
        let x = x.pack_blocks(*first_row / PACK, 0, w.blocks());
        for first in (0..width).step_by(panel) {
            let weights = w.panel_blocks((*first_col + first) / panel, 0, w.blocks());
            by_rows!(out, |rows, M| {
                let rows = rows.map(|row| &mut row[first..first + panel]);
                direct::<S, M, V, NIBBLES>(simd, x, weights, rows);
            });
        }
    }
}

/// All blocks of a panel for `M` rows. The additions are those of the tile for many rows, in their order.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "several arrays share the index")]
fn direct<S: Simd, const M: usize, const V: usize, const NIBBLES: bool>(
    simd: S,
    x: PackBlocks<'_>,
    (quants, scales): (&[u8], &[u16]),
    out: [&mut [f32]; M],
) {
    let width = V * S::LANES;
    let size = width * if NIBBLES { BLOCK / 2 } else { BLOCK };
    let mut totals = [[simd.splat(0.0); V]; M];
    let offset = simd.quad(&[OFFSET as u8; QUAD]);
    for (block, (quants, scales)) in quants
        .chunks_exact(size)
        .zip(scales.chunks_exact(width))
        .enumerate()
    {
        let x_quants = &x.quants[block * PACK * BLOCK..][..PACK * BLOCK];
        let x_quants = x_quants.as_chunks::<QUAD>().0;
        let x_scales = &x.scales[block * PACK..][..PACK];
        let mut found = [[simd.splat(0.0); V]; M];
        if NIBBLES {
            let starts = &x.starts[block * PACK..][..PACK];
            let mut sums = [[simd.nibble_start(0); V]; M];
            for i in 0..M {
                sums[i] = [simd.nibble_start(starts[i]); V];
            }
            each_step!(in half, |STEP| {
                for vector in 0..V {
                    let at = (STEP * V + vector) * S::LANES * QUAD;
                    let packed = simd.bytes(&quants[at..][..S::LANES * QUAD]);
                    let (low, high) = simd.nibbles(packed);
                    for i in 0..M {
                        let near = simd.quad(&x_quants[STEP * PACK + i]);
                        let far = simd.quad(&x_quants[(STEP + STEPS / 2) * PACK + i]);
                        let sum = simd.dot_nibbles(sums[i][vector], low, near);
                        sums[i][vector] = simd.dot_nibbles(sum, high, far);
                    }
                }
            });
            for i in 0..M {
                for vector in 0..V {
                    found[i][vector] = simd.widen_nibbles(sums[i][vector]);
                }
            }
        } else {
            let mut sums = [[simd.start(0); V]; M];
            let mut weight_sums = [simd.start(0); V];
            each_step!(|STEP| {
                for vector in 0..V {
                    let at = (STEP * V + vector) * S::LANES * QUAD;
                    let weights = simd.bytes(&quants[at..][..S::LANES * QUAD]);
                    weight_sums[vector] = simd.dot_signed(weight_sums[vector], weights, offset);
                    for i in 0..M {
                        let quad = simd.quad(&x_quants[STEP * PACK + i]);
                        sums[i][vector] = simd.dot_signed(sums[i][vector], weights, quad);
                    }
                }
            });
            for i in 0..M {
                for vector in 0..V {
                    let sum = simd.less(sums[i][vector], weight_sums[vector]);
                    found[i][vector] = simd.widen(sum);
                }
            }
        }
        for (vector, scales) in scales.chunks_exact(S::LANES).enumerate() {
            let scale = simd.halves(scales);
            for i in 0..M {
                let scale = simd.mul(simd.splat(x_scales[i]), scale);
                totals[i][vector] = simd.mul_add(found[i][vector], scale, totals[i][vector]);
            }
        }
    }
    for (row, totals) in out.into_iter().zip(totals) {
        for (total, block) in totals.into_iter().zip(S::blocks_mut(row)) {
            simd.store(total, block);
        }
    }
}
