//! The two products of attention, a panel of queries by a tile of keys or values.
//!
//! Queries lie in the lanes: a panel is `N` vectors of them, one number of each query to a lane. Keys
//! and values are the broadcast operand and are read as they were written, row by row: nothing is
//! transposed or padded but the queries, once. Scores come out with a key to a row and a query to a
//! lane, which is what the second product multiplies by, and the softmax between them works lane by
//! lane, with no sum or maximum across lanes.
//!
//! An output is added up in the order of the head's width (scores) or of the keys (sums), by one
//! multiply-add each, whatever the shape of the tile it is computed in.
#![allow(
    clippy::needless_range_loop,
    reason = "several arrays share an index in registers"
)]

use crate::simd::Simd;

/// Keys or values of a tile: row after row of `stride` numbers, of which those from `first` on belong
/// to the head.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub first: usize,
}

/// Scores of a panel: `scores[key]` is its products with each query of the panel. Returns the highest
/// of each query, beginning with `highest`.
#[inline(always)]
pub(crate) fn scores<S: Simd, const N: usize, const M: usize>(
    simd: S,
    keys: Rows<'_>,
    queries: &[[S::Block; N]],
    scores: &mut [[S::Block; N]],
    mut highest: [S::Vector; N],
) -> [S::Vector; N] {
    let (groups, rest) = scores.as_chunks_mut::<M>();
    let mut key = 0;
    for group in groups {
        highest = scores_of::<S, N, M>(simd, keys, key, queries, group, highest);
        key += M;
    }
    for group in rest.as_chunks_mut::<1>().0 {
        highest = scores_of::<S, N, 1>(simd, keys, key, queries, group, highest);
        key += 1;
    }
    highest
}

#[inline(always)]
fn scores_of<S: Simd, const N: usize, const M: usize>(
    simd: S,
    keys: Rows<'_>,
    key: usize,
    queries: &[[S::Block; N]],
    scores: &mut [[S::Block; N]; M],
    mut highest: [S::Vector; N],
) -> [S::Vector; N] {
    let mut rows: [&[f32]; M] = [&[]; M];
    for i in 0..M {
        rows[i] = &keys.data[(key + i) * keys.stride + keys.first..][..queries.len()];
    }
    let mut sums = [[simd.splat(0.0); N]; M];
    for (c, query) in queries.iter().enumerate() {
        let mut q = [simd.splat(0.0); N];
        for j in 0..N {
            q[j] = simd.load(&query[j]);
        }
        for i in 0..M {
            let k = simd.splat(rows[i][c]);
            for j in 0..N {
                sums[i][j] = simd.mul_add(k, q[j], sums[i][j]);
            }
        }
    }
    for i in 0..M {
        for j in 0..N {
            simd.store(sums[i][j], &mut scores[i][j]);
            highest[j] = simd.max(highest[j], sums[i][j]);
        }
    }
    highest
}

/// Adds values times `weights` (a row for each key) to the panel's sums (a row for each number of the
/// head), which are first multiplied by `shrink`.
#[inline(always)]
pub(crate) fn add_weighted<S: Simd, const N: usize, const M: usize>(
    simd: S,
    values: Rows<'_>,
    weights: &[[S::Block; N]],
    shrink: [S::Vector; N],
    sums: &mut [[S::Block; N]],
) {
    let (groups, rest) = sums.as_chunks_mut::<M>();
    let mut first = values.first;
    for group in groups {
        let values = Rows { first, ..values };
        add_weighted_of::<S, N, M>(simd, values, weights, shrink, group);
        first += M;
    }
    for group in rest.as_chunks_mut::<1>().0 {
        let values = Rows { first, ..values };
        add_weighted_of::<S, N, 1>(simd, values, weights, shrink, group);
        first += 1;
    }
}

#[inline(always)]
fn add_weighted_of<S: Simd, const N: usize, const M: usize>(
    simd: S,
    values: Rows<'_>,
    weights: &[[S::Block; N]],
    shrink: [S::Vector; N],
    out: &mut [[S::Block; N]; M],
) {
    let mut sums = [[simd.splat(0.0); N]; M];
    for i in 0..M {
        for j in 0..N {
            sums[i][j] = simd.mul(simd.load(&out[i][j]), shrink[j]);
        }
    }
    for (weight, row) in weights.iter().zip(values.data.chunks_exact(values.stride)) {
        let row = &row[values.first..][..M];
        let mut w = [simd.splat(0.0); N];
        for j in 0..N {
            w[j] = simd.load(&weight[j]);
        }
        for i in 0..M {
            let v = simd.splat(row[i]);
            for j in 0..N {
                sums[i][j] = simd.mul_add(v, w[j], sums[i][j]);
            }
        }
    }
    for i in 0..M {
        for j in 0..N {
            simd.store(sums[i][j], &mut out[i][j]);
        }
    }
}
