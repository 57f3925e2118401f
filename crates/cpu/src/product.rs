//! The two products of attention, a panel of queries by a tile of keys or values.
//!
//! Queries lie in the lanes: a panel is `N` vectors of them, one number of each query to a lane. Keys
//! and values are the broadcast operand, and what a step of the loops broadcasts lies together in
//! memory: of the keys the same number of some of them, of the values some numbers of one. So a step
//! has one address for them, and WebAssembly engines, which fold no constant offset into a load that
//! spreads what it loads, keep the memory's base with each offset in a register. Scores come out with a key to a row and a query to a
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

/// Keys of a tile: groups of some, each `[width][keys of the group]`, of which the head's numbers are
/// those from `first` on.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub data: &'a [f32],
    pub width: usize,
    pub first: usize,
}

impl<'a> Keys<'a> {
    /// `count` numbers of each of the keys of a group of `G`.
    #[inline(always)]
    fn group<const G: usize>(self, index: usize, count: usize) -> &'a [[f32; G]] {
        let group = &self.data[index * self.width * G..][..self.width * G];
        group[self.first * G..][..count * G].as_chunks().0
    }
}

/// Values of a tile: row after row of `stride` numbers, of which those from `first` on belong to the
/// head.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub first: usize,
}

/// Scores of a panel: `scores[key]` is its products with each query of the panel. Returns the highest
/// of each query, beginning with `highest`. Keys stand in groups of `G`.
#[inline(always)]
pub(crate) fn scores<S: Simd, const N: usize, const G: usize>(
    simd: S,
    keys: Keys<'_>,
    queries: &[[S::Block; N]],
    scores: &mut [[S::Block; N]],
    mut highest: [S::Vector; N],
) -> [S::Vector; N] {
    let (groups, rest) = scores.as_chunks_mut::<G>();
    let sums_of = |index| scores_of::<S, N, G>(simd, keys.group(index, queries.len()), queries);
    let whole = groups.len();
    for (index, scores) in groups.iter_mut().enumerate() {
        highest = keep(simd, &sums_of(index), scores, highest);
    }
    if !rest.is_empty() {
        // Of the last group some keys may never have been written.
        highest = keep(simd, &sums_of(whole), rest, highest);
    }
    highest
}

/// Writes the sums of as many keys as there are `scores`; returns the highest of them and of `highest`.
#[inline(always)]
fn keep<S: Simd, const N: usize>(
    simd: S,
    sums: &[[S::Vector; N]],
    scores: &mut [[S::Block; N]],
    mut highest: [S::Vector; N],
) -> [S::Vector; N] {
    for (sums, scores) in sums.iter().zip(scores) {
        for j in 0..N {
            simd.store(sums[j], &mut scores[j]);
            highest[j] = simd.max(highest[j], sums[j]);
        }
    }
    highest
}

#[inline(always)]
fn scores_of<S: Simd, const N: usize, const G: usize>(
    simd: S,
    keys: &[[f32; G]],
    queries: &[[S::Block; N]],
) -> [[S::Vector; N]; G] {
    let mut sums = [[simd.splat(0.0); N]; G];
    // Not zipped: that would be an index into each, and a multiplication for it in every step.
    let mut keys = keys.iter();
    for query in queries {
        let Some(key) = keys.next() else { break };
        let mut q = [simd.splat(0.0); N];
        for j in 0..N {
            q[j] = simd.load(&query[j]);
        }
        for i in 0..G {
            let k = simd.splat(key[i]);
            for j in 0..N {
                sums[i][j] = simd.mul_add(k, q[j], sums[i][j]);
            }
        }
    }
    sums
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
    // Not zipped, as above.
    let mut rows = values.data.chunks_exact(values.stride);
    for weight in weights {
        let Some(row) = rows.next() else { break };
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
