//! Products of attention: a few rows by a tile of keys or values.
//!
//! `k` is short here (a head's width, or a tile's positions), so a tile is made of outer products: a
//! number of the left row, broadcast, times vectors of the right row. No horizontal sums; an output
//! is added up along `k` in one fixed order.
#![allow(
    clippy::needless_range_loop,
    reason = "several arrays share an index in registers"
)]

use std::ops::Range;

use crate::simd::{Registers, Simd};

/// Rows to multiply: `len` numbers each, `stride` apart.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub len: usize,
}

/// What to multiply them by: as many rows as a left row is long, `stride` apart. Whole vectors are
/// read, so there is something readable behind `cols`.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub cols: usize,
}

/// Where the product goes, whole vectors of it; added to what is there or not.
pub(crate) struct Product<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
    pub add: bool,
}

/// Rows `rows` of the product of `left` and `right`, in tiles of outer products.
#[inline(always)]
pub(crate) fn multiply<S: Simd>(
    simd: S,
    left: Left<'_>,
    right: Right<'_>,
    product: &mut Product<'_>,
    rows: Range<usize>,
) {
    // Sums, a vector row of `right` and a broadcast number: 24 + 4 + 1 registers, 12 + 2 + 1, 9 + 3 + 1.
    // Measured in V8 with relaxed SIMD, 3 x 3 was 7% faster than 4 x 2 and 20% than 5 or 6 x 2.
    match S::REGISTERS {
        Registers::Many => bands::<S, 6, 4>(simd, left, right, product, rows),
        Registers::Some => bands::<S, 6, 2>(simd, left, right, product, rows),
        Registers::Few => bands::<S, 3, 3>(simd, left, right, product, rows),
    }
}

#[inline(always)]
fn bands<S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: Left<'_>,
    right: Right<'_>,
    product: &mut Product<'_>,
    rows: Range<usize>,
) {
    let mut row = rows.start;
    while row + M <= rows.end {
        band::<S, M, N>(simd, left, right, product, row);
        row += M;
    }
    while row < rows.end {
        band::<S, 1, N>(simd, left, right, product, row);
        row += 1;
    }
}

#[inline(always)]
fn band<S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: Left<'_>,
    right: Right<'_>,
    product: &mut Product<'_>,
    row: usize,
) {
    let mut col = 0;
    while col + (N - 1) * S::LANES < right.cols {
        tile::<S, M, N>(simd, left, right, product, row, col);
        col += N * S::LANES;
    }
    while col < right.cols {
        tile::<S, M, 1>(simd, left, right, product, row, col);
        col += S::LANES;
    }
}

/// `M` rows by `N` vectors of the product.
#[inline(always)]
fn tile<S: Simd, const M: usize, const N: usize>(
    simd: S,
    left: Left<'_>,
    right: Right<'_>,
    product: &mut Product<'_>,
    row: usize,
    col: usize,
) {
    let width = N * S::LANES;
    let mut a: [&[f32]; M] = [&[]; M];
    let mut sums = [[simd.splat(0.0); N]; M];
    for i in 0..M {
        a[i] = &left.data[(row + i) * left.stride..][..left.len];
        if product.add {
            let c = &product.data[(row + i) * product.stride + col..][..width];
            for (sum, block) in sums[i].iter_mut().zip(S::blocks(c).0) {
                *sum = simd.load(block);
            }
        }
    }
    for k in 0..left.len {
        let mut b = [simd.splat(0.0); N];
        let blocks = S::blocks(&right.data[k * right.stride + col..][..width]).0;
        for (b, block) in b.iter_mut().zip(blocks) {
            *b = simd.load(block);
        }
        for i in 0..M {
            let x = simd.splat(a[i][k]);
            for j in 0..N {
                sums[i][j] = simd.mul_add(x, b[j], sums[i][j]);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        let c = &mut product.data[(row + i) * product.stride + col..][..width];
        for (sum, block) in sums.iter().zip(S::blocks_mut(c)) {
            simd.store(*sum, block);
        }
    }
}
