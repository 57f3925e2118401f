//! No more rows than a pack: weights are used as they are packed, each once.

use llavaguard_backend::BLOCK;

use super::{Integer, by_rows};
use crate::matrix::Rect;
use crate::packed::QUAD;
use crate::rounded::{OFFSET, PACK, PackBlocks};
use crate::simd::{Kernel, Simd};
use crate::weight::from_f16;

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
        let mut sums = [[simd.start(0); V]; M];
        if NIBBLES {
            let starts = &x.starts[block * PACK..][..PACK];
            for i in 0..M {
                sums[i] = [simd.start(starts[i]); V];
            }
            for step in 0..BLOCK / QUAD / 2 {
                #[allow(clippy::needless_range_loop, reason = "several arrays share the index")]
                for vector in 0..V {
                    let at = (step * V + vector) * S::LANES * QUAD;
                    let packed = simd.bytes(&quants[at..][..S::LANES * QUAD]);
                    let (low, high) = simd.nibbles(packed);
                    for i in 0..M {
                        let near = simd.quad(&x_quants[step * PACK + i]);
                        let far = simd.quad(&x_quants[(step + BLOCK / QUAD / 2) * PACK + i]);
                        let sum = simd.dot_unsigned(sums[i][vector], low, near);
                        sums[i][vector] = simd.dot_unsigned(sum, high, far);
                    }
                }
            }
        } else {
            let mut weight_sums = [simd.start(0); V];
            for step in 0..BLOCK / QUAD {
                for vector in 0..V {
                    let at = (step * V + vector) * S::LANES * QUAD;
                    let weights = simd.bytes(&quants[at..][..S::LANES * QUAD]);
                    weight_sums[vector] = simd.dot_signed(weight_sums[vector], weights, offset);
                    for i in 0..M {
                        let quad = simd.quad(&x_quants[step * PACK + i]);
                        sums[i][vector] = simd.dot_signed(sums[i][vector], weights, quad);
                    }
                }
            }
            for sums in &mut sums {
                for (sum, weights) in sums.iter_mut().zip(weight_sums) {
                    *sum = simd.less(*sum, weights);
                }
            }
        }
        for (vector, scales) in scales.chunks_exact(S::LANES).enumerate() {
            let mut scale = S::Block::default();
            for (scale, half) in scale.as_mut().iter_mut().zip(scales) {
                *scale = from_f16(*half);
            }
            let scale = simd.load(&scale);
            for i in 0..M {
                let scale = simd.mul(simd.splat(x_scales[i]), scale);
                let sum = simd.widen(sums[i][vector]);
                totals[i][vector] = simd.mul_add(sum, scale, totals[i][vector]);
            }
        }
    }
    for (row, totals) in out.into_iter().zip(totals) {
        for (total, block) in totals.into_iter().zip(S::blocks_mut(row)) {
            simd.store(total, block);
        }
    }
}
