//! `linear` with quantised weights: rounded activations times packed bytes.
//!
//! A tile is up to [`PACK`] rows by one panel: four rows by two vectors on machines with 16 registers,
//! by four where there are 32. Eight (sixteen) chains of sums hide the dot product's latency of five
//! cycles at two a cycle; each step of four inputs loads two (four) vectors of weights and four
//! activations for its eight (sixteen) dot products, so loads stay below the two or three a cycle a
//! core has. A taller tile measured no faster in WebAssembly, where an engine leaves 15 registers.
//!
//! Within a block of 32 inputs sums are whole numbers, so their order is no matter. Block by block
//! they are scaled into f32, in the order of the blocks: `sum = block * (scale_x * scale_w) + sum`.
//! That order is the same in every tile, so no row's bits depend on the rows beside it.
//!
//! Where the weights are nibbles, 0..=15, each sum starts at minus eight times the sum of the row's
//! activations. Where they are signed, the activations have 64 added, and each sum starts at minus 64
//! times the sum of the feature's weights; those sums are taken here, from weights that are about to
//! be used anyway, rather than stored.

use std::cell::RefCell;
use std::ops::Range;

use llavaguard_backend::BLOCK;

use crate::epilogue::Finishing;
use crate::matrix::Rect;
use crate::packed::{Packed, QUAD};
use crate::rounded::{OFFSET, PACK, PackBlocks, Rounded};
use crate::simd::{Dispatch, Kernel, Simd};
use crate::weight::from_f16;

/// Bytes of weights that all rows meet before the next weights: they stay in the first-level cache
/// beside a pack's activations, which so come from the second level once for a rectangle's width.
const CHUNK: usize = 24 * 1024;
/// Features of the widest panel.
const WIDEST: usize = 64;

/// The operands.
#[derive(Clone, Copy)]
pub(crate) struct Integer<'a> {
    pub x: &'a Rounded,
    pub w: &'a Packed,
    pub finishing: Finishing<'a>,
}

/// What a task computes in.
#[derive(Default)]
struct Scratch {
    quants: Vec<u8>,
    scales: Vec<f32>,
    starts: Vec<i32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

impl Integer<'_> {
    /// Computes one rectangle of `x * w^T`, whose first row begins a pack and whose first column a panel.
    pub fn compute(self, isa: Dispatch, rect: &mut Rect<'_>) {
        SCRATCH.with_borrow_mut(|scratch| {
            isa.run(Task {
                operands: self,
                rect,
                scratch,
            });
        });
    }

    /// Computes the features `ids` of one row into `out`.
    pub fn compute_ids(self, isa: Dispatch, row: usize, ids: &[u32], out: &mut [f32]) {
        SCRATCH.with_borrow_mut(|scratch| {
            isa.run(Picked {
                operands: self,
                row,
                ids,
                out,
                scratch,
            });
        });
    }
}

struct Task<'a, 'b, 'c> {
    operands: Integer<'a>,
    rect: &'b mut Rect<'c>,
    scratch: &'b mut Scratch,
}

impl Kernel for Task<'_, '_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match (S::PANEL_VECTORS, self.operands.w.nibbles) {
            (2, true) => self.panels::<S, 2, true>(simd),
            (2, false) => self.panels::<S, 2, false>(simd),
            (_, true) => self.panels::<S, 4, true>(simd),
            (_, false) => self.panels::<S, 4, false>(simd),
        }
    }
}

impl Task<'_, '_, '_> {
    #[inline(always)]
    fn panels<S: Simd, const V: usize, const NIBBLES: bool>(self, simd: S) {
        let Integer { x, w, finishing } = self.operands;
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
        let panels = width.div_ceil(panel);
        let first_panel = *first_col / panel;
        let first_pack = *first_row / PACK;
        // A single pack has nothing to come back to: it goes through panel after panel.
        let group = if out.len() > PACK { panels } else { 1 };
        let chunk = (CHUNK / (group.max(1) * panel * BLOCK)).max(1);
        let stocks = (0..panels).step_by(group.max(1)).flat_map(|start| {
            (0..w.blocks())
                .step_by(chunk)
                .map(move |first| (start, first))
        });
        for (start, first) in stocks {
            let blocks = first..w.blocks().min(first + chunk);
            let end = panels.min(start + group);
            let stock = Stock::<V, NIBBLES>::new(
                simd,
                w,
                first_panel + start..first_panel + end,
                blocks.clone(),
                self.scratch,
            );
            for (pack, rows) in out.chunks_mut(PACK).enumerate() {
                let x = x.pack_blocks(first_pack + pack, first, blocks.len());
                for index in start..end {
                    let weights = stock.panel::<S>(index - start);
                    let columns = index * panel..width.min((index + 1) * panel);
                    match &mut *rows {
                        [a, b, c, d] => {
                            tile_at::<S, 4, V, NIBBLES>(simd, x, weights, [a, b, c, d], columns);
                        }
                        [a, b, c] => {
                            tile_at::<S, 3, V, NIBBLES>(simd, x, weights, [a, b, c], columns);
                        }
                        [a, b] => tile_at::<S, 2, V, NIBBLES>(simd, x, weights, [a, b], columns),
                        [a] => tile_at::<S, 1, V, NIBBLES>(simd, x, weights, [a], columns),
                        _ => {}
                    }
                }
            }
        }
        finishing.apply(self.rect);
    }
}

/// [`tile`] on columns of longer rows. Features past the last are computed beside and dropped.
#[inline(always)]
fn tile_at<S: Simd, const M: usize, const V: usize, const NIBBLES: bool>(
    simd: S,
    x: PackBlocks<'_>,
    w: PanelBlocks<'_>,
    rows: [&mut &mut [f32]; M],
    columns: Range<usize>,
) {
    if columns.len() == V * S::LANES {
        let rows = rows.map(|row| &mut row[columns.clone()]);
        tile::<S, M, V, NIBBLES>(simd, x, w, rows);
        return;
    }
    let mut edge = [[0.0; WIDEST]; M];
    for (edge, row) in edge.iter_mut().zip(&rows) {
        edge[..columns.len()].copy_from_slice(&row[columns.clone()]);
    }
    let padded = edge.each_mut().map(|row| &mut row[..V * S::LANES]);
    tile::<S, M, V, NIBBLES>(simd, x, w, padded);
    for (edge, row) in edge.iter().zip(rows) {
        row[columns.clone()].copy_from_slice(&edge[..columns.len()]);
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
            scratch.quants.resize(block_count * width * BLOCK, 0);
        } else {
            scratch.starts.resize(block_count * width, 0);
        }
        for (index, panel) in panels.clone().enumerate() {
            let (quants, scales) = w.panel_blocks(panel, blocks.start, blocks.len());
            let scales = scales.iter().map(|scale| from_f16(*scale));
            scratch.scales.extend(scales);
            let first = index * blocks.len() * width;
            if NIBBLES {
                let bytes = &mut scratch.quants[first * BLOCK..][..2 * quants.len()];
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
                &scratch.quants[first * BLOCK..][..values * BLOCK]
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

/// Adds some blocks to `M` rows of a panel.
#[inline(always)]
fn tile<S: Simd, const M: usize, const V: usize, const NIBBLES: bool>(
    simd: S,
    x: PackBlocks<'_>,
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
    let blocks = w.quants.len() / (width * BLOCK);
    for block in 0..blocks {
        let quants = &w.quants[block * width * BLOCK..][..width * BLOCK];
        let scales = &w.scales[block * width..][..width];
        let x_quants = &x.quants[block * PACK * BLOCK..][..PACK * BLOCK];
        let x_quants = x_quants.as_chunks::<QUAD>().0;
        let x_scales = &x.scales[block * PACK..][..PACK];
        let mut sums = [[simd.start(0); V]; M];
        if NIBBLES {
            let starts = &x.starts[block * PACK..][..PACK];
            for i in 0..M {
                sums[i] = [simd.start(starts[i]); V];
            }
        } else {
            let starts = &w.starts[block * width..][..width];
            for vector in 0..V {
                let start = simd.start_from(&starts[vector * S::LANES..][..S::LANES]);
                for sums in sums.iter_mut() {
                    sums[vector] = start;
                }
            }
        }
        for step in 0..BLOCK / QUAD {
            let mut weights = [simd.bytes(&quants[..S::LANES * QUAD]); V];
            for (vector, weights) in weights.iter_mut().enumerate() {
                let at = (step * V + vector) * S::LANES * QUAD;
                *weights = simd.bytes(&quants[at..][..S::LANES * QUAD]);
            }
            for i in 0..M {
                let quad = simd.quad(&x_quants[step * PACK + i]);
                for vector in 0..V {
                    sums[i][vector] = if NIBBLES {
                        simd.dot_unsigned(sums[i][vector], weights[vector], quad)
                    } else {
                        simd.dot_signed(sums[i][vector], weights[vector], quad)
                    };
                }
            }
        }
        let scales = S::blocks(scales).0;
        for i in 0..M {
            let x_scale = simd.splat(x_scales[i]);
            for vector in 0..V {
                let scale = simd.mul(x_scale, simd.load(&scales[vector]));
                let sum = simd.widen(sums[i][vector]);
                totals[i][vector] = simd.mul_add(sum, scale, totals[i][vector]);
            }
        }
    }
    for i in 0..M {
        for (total, block) in totals[i].iter().zip(S::blocks_mut(out[i])) {
            simd.store(*total, block);
        }
    }
}

/// Some features of one row: the whole panel of each is computed, with the tile every other use has,
/// and one value kept.
struct Picked<'a, 'b> {
    operands: Integer<'a>,
    row: usize,
    ids: &'b [u32],
    out: &'b mut [f32],
    scratch: &'b mut Scratch,
}

impl Kernel for Picked<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let panel = S::PANEL_VECTORS * S::LANES;
        let first_row = self.row / PACK * PACK;
        for (id, out) in self.ids.iter().zip(self.out) {
            let (index, lane) = (*id as usize / panel, *id as usize % panel);
            let mut rows = [[0.0; WIDEST]; PACK];
            let wanted = self.row - first_row + 1;
            let mut rect = Rect {
                first_row,
                first_col: index * panel,
                out: rows[..wanted]
                    .iter_mut()
                    .map(|row| &mut row[..panel])
                    .collect(),
            };
            Task {
                operands: self.operands,
                rect: &mut rect,
                scratch: self.scratch,
            }
            .run(simd);
            *out = rows[wanted - 1][lane];
        }
    }
}
