//! `linear` with weights stored as plain numbers: everything in f32. (Quantised ones: `integer`.)
//!
//! Both operands have their inputs (`k`) contiguous, so a tile is a block of dot products: `M` rows
//! of `x` by `N` rows of `w`, a vector of partial sums for each pair, one multiply-add per loaded
//! pair. It needs `M + N` loads for `M * N` multiply-adds, no broadcasts, and no transposition of the
//! decoded weight, which a tile of outer products would ask for. The price is a horizontal sum per
//! output and block of `k`.
//!
//! The order of additions of an output is: for each block of [`BLOCK_K`] inputs, lane by lane through
//! the block, then across the lanes, then onto the output. It depends on `k` alone, so neither the
//! number of rows nor that of threads can change a bit.

use crate::epilogue::Finishing;
use crate::matrix::{Matrix, Rect};
use crate::simd::{Dispatch, Kernel, Registers, Simd};
use crate::weight::Plain;

/// Inputs decoded at a time: `PANEL` rows of them fit the second-level cache, a tile's the first.
const BLOCK_K: usize = 1024;
/// Distance of decoded rows: off the power of two, so that they do not fall into the same cache sets.
const STRIDE: usize = BLOCK_K + 16;
/// Output features decoded at a time where many rows share them.
pub(crate) const PANEL: usize = 64;
/// The same where few rows do: as few as let one row's worth of decoded values stay near the core,
/// as many as keep the number of tasks small against 152 thousand features.
pub(crate) const NARROW_PANEL: usize = 32;

/// The operands.
#[derive(Clone, Copy)]
pub(crate) struct Plainly<'a> {
    pub x: &'a Matrix,
    pub w: &'a Plain,
    /// Output features to compute, all if none are named.
    pub ids: Option<&'a [u32]>,
    pub finishing: Finishing<'a>,
}

impl Plainly<'_> {
    /// Output features.
    pub fn features(&self) -> usize {
        self.ids.map_or(self.w.rows, <[u32]>::len)
    }

    /// Computes one rectangle of the output.
    pub fn compute(&self, isa: Dispatch, rect: &mut Rect<'_>) {
        thread_local! {
            static PANEL_SCRATCH: std::cell::RefCell<Vec<f32>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        PANEL_SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(PANEL * STRIDE, 0.0);
            isa.run(Panel {
                linear: *self,
                rect,
                scratch,
            });
        });
        self.finishing.apply(isa, rect);
    }
}

/// One rectangle of the output: a panel of output features for a band of rows.
struct Panel<'a, 'b, 'c> {
    linear: Plainly<'a>,
    rect: &'b mut Rect<'c>,
    scratch: &'b mut [f32],
}

impl Kernel for Panel<'_, '_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let features = self.rect.out.first().map_or(0, |row| row.len());
        for row in self.rect.out.iter_mut() {
            row.fill(0.0);
        }
        self.decode_and_multiply(simd, features);
    }
}

impl Panel<'_, '_, '_> {
    /// The row of `w` behind an output feature of the rectangle.
    #[inline(always)]
    fn weight_row(&self, feature: usize) -> usize {
        let feature = self.rect.first_col + feature;
        self.linear.ids.map_or(feature, |ids| ids[feature] as usize)
    }

    #[inline(always)]
    fn decode_and_multiply<S: Simd>(&mut self, simd: S, features: usize) {
        let Plainly { x, w, .. } = self.linear;
        for first in (0..x.cols).step_by(BLOCK_K) {
            let len = BLOCK_K.min(x.cols - first);
            for feature in 0..features {
                let row = self.weight_row(feature);
                w.decode(row, first, &mut self.scratch[feature * STRIDE..][..len]);
            }
            // Sums, the rows of `x` and one row of `w` fill the registers: 24 + 6 + 1 of 32,
            // 12 + 3 + 1 of 16, and 9 + 3 + 1 of the 15 or fewer an engine leaves a module.
            match S::REGISTERS {
                Registers::Many => self.block::<S, 6, 4>(simd, first, len, features),
                Registers::Some => self.block::<S, 3, 4>(simd, first, len, features),
                Registers::Few => self.block::<S, 3, 3>(simd, first, len, features),
            }
        }
    }

    /// Adds a block of inputs to the rectangle, in tiles of `M` rows by `N` features.
    #[inline(always)]
    fn block<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        first: usize,
        len: usize,
        features: usize,
    ) {
        let rows = self.rect.out.len();
        let mut row = 0;
        while row + M <= rows {
            self.tiles::<S, M, N>(simd, row, first, len, features);
            row += M;
        }
        while row < rows {
            self.tiles::<S, 1, N>(simd, row, first, len, features);
            row += 1;
        }
    }

    /// Adds a block of inputs to `M` rows.
    #[inline(always)]
    fn tiles<S: Simd, const M: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        first: usize,
        len: usize,
        features: usize,
    ) {
        let mut a: [&[f32]; M] = [&[]; M];
        for (i, a) in a.iter_mut().enumerate() {
            *a = &self.linear.x.row(self.rect.first_row + row + i)[first..first + len];
        }
        for feature in (0..features).step_by(N) {
            // Past the last feature the last one is computed again and dropped.
            let mut b: [&[f32]; N] = [&[]; N];
            for (j, b) in b.iter_mut().enumerate() {
                let at = (feature + j).min(features - 1) * STRIDE;
                *b = &self.scratch[at..at + len];
            }
            let sums = dot_tile::<S, M, N>(simd, a, b);
            for (i, sums) in sums.iter().enumerate() {
                let out = &mut self.rect.out[row + i][feature..];
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += sum;
                }
            }
        }
    }
}

/// Dot products of every row of `a` with every row of `b`; all rows have one length.
///
/// The sums live in registers only as long as no loop indexes them that the compiler leaves rolled
/// up. So the ragged end goes through memory first, and so do the horizontal sums.
#[inline(always)]
fn dot_tile<S: Simd, const M: usize, const N: usize>(
    simd: S,
    a: [&[f32]; M],
    b: [&[f32]; N],
) -> [[f32; N]; M] {
    let len = a[0].len();
    let blocks = len / S::LANES;
    let mut a_blocks: [&[S::Block]; M] = [&[]; M];
    let mut b_blocks: [&[S::Block]; N] = [&[]; N];
    for i in 0..M {
        a_blocks[i] = &S::blocks(a[i]).0[..blocks];
    }
    for j in 0..N {
        b_blocks[j] = &S::blocks(b[j]).0[..blocks];
    }
    let mut sums = [[simd.splat(0.0); N]; M];
    for block in 0..blocks {
        let mut x = [simd.splat(0.0); M];
        for i in 0..M {
            x[i] = simd.load(&a_blocks[i][block]);
        }
        for j in 0..N {
            let y = simd.load(&b_blocks[j][block]);
            for i in 0..M {
                sums[i][j] = simd.mul_add(x[i], y, sums[i][j]);
            }
        }
    }
    let mut lanes = [[S::Block::default(); N]; M];
    for i in 0..M {
        for j in 0..N {
            simd.store(sums[i][j], &mut lanes[i][j]);
        }
    }
    let mut out = [[0.0; N]; M];
    for i in 0..M {
        for j in 0..N {
            let mut sum = simd.load(&lanes[i][j]);
            if !len.is_multiple_of(S::LANES) {
                let x = simd.load_partial(S::blocks(a[i]).1);
                let y = simd.load_partial(S::blocks(b[j]).1);
                sum = simd.mul_add(x, y, sum);
            }
            out[i][j] = simd.sum(sum);
        }
    }
    out
}
