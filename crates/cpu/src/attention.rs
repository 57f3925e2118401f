//! Attention over tiles of keys and values, with online softmax (Milakov and Gimelshein,
//! arXiv:1805.02867; tiled as in FlashAttention, arXiv:2205.14135).
//!
//! Keys lie transposed, so that scores of neighbouring keys are neighbouring lanes: a score is then
//! added up over the head's width in one fixed order, with no horizontal sum over 64 or 72 numbers.
//! Tiles begin at absolute positions, and a row skips tiles wholly beyond its sight, so what a row
//! goes through depends on its position alone: a prompt prefilled in pieces gives the same bits.

use std::cell::RefCell;

use llavaguard_backend::{AttentionShape, CacheShape, DeviceError};

use crate::math;
use crate::matrix::{Matrix, Rect, zeros};
use crate::product::{Left, Product, Right, multiply};
use crate::simd::{Dispatch, Kernel, Simd};

/// Positions of a tile.
pub(crate) const TILE: usize = 64;
/// Query rows (times heads that share a key head) of a task.
pub(crate) const QUERIES: usize = 64;
/// The widest vector of any instruction set, in numbers: rows are padded so that a kernel may
/// compute whole vectors.
const PAD: usize = 16;

/// Keys and values of [`TILE`] positions.
#[derive(Debug, Clone)]
struct Tile {
    /// `[width][TILE]`.
    k: Vec<f32>,
    /// `[TILE][width]` and padding.
    v: Vec<f32>,
}

/// Keys and values of one layer, tile by tile.
#[derive(Debug, Clone)]
pub(crate) struct Tiles {
    width: usize,
    len: usize,
    tiles: Vec<Tile>,
}

impl Tiles {
    pub fn new(width: usize) -> Self {
        Self {
            width,
            len: 0,
            tiles: Vec::new(),
        }
    }

    /// Positions written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes keys and values of positions `first..`; the caller has checked that they fit.
    pub fn write(&mut self, first: usize, k: &Matrix, v: &Matrix) -> Result<(), DeviceError> {
        let end = first + k.rows;
        let missing = end.div_ceil(TILE).saturating_sub(self.tiles.len());
        for _ in 0..missing {
            self.tiles.push(Tile {
                k: zeros(TILE * self.width)?,
                v: zeros(TILE * self.width + PAD)?,
            });
        }
        for row in 0..k.rows {
            let (tile, at) = ((first + row) / TILE, (first + row) % TILE);
            let tile = &mut self.tiles[tile];
            for (key, value) in tile.k.chunks_exact_mut(TILE).zip(k.row(row)) {
                key[at] = *value;
            }
            tile.v[at * self.width..][..self.width].copy_from_slice(v.row(row));
        }
        self.len = self.len.max(end);
        Ok(())
    }
}

/// Keys and values of all layers. Memory grows with the positions written, tile by tile, and nothing
/// moves when it does.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(crate) shape: CacheShape,
    pub(crate) layers: Vec<Tiles>,
}

/// One attention operation.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub q: &'a Matrix,
    pub kv: &'a Tiles,
    pub shape: AttentionShape,
    /// Position of the first query row if causal; all keys are visible otherwise.
    pub first: Option<usize>,
}

/// What a task computes in.
#[derive(Default)]
struct Scratch {
    /// Scaled queries `[rows][head_dim]`.
    q: Vec<f32>,
    /// Scores, then weights, `[rows][TILE]`.
    scores: Vec<f32>,
    /// Weighted sums of values `[rows][padded head_dim]`.
    sums: Vec<f32>,
    /// Highest score and sum of weights by row.
    highest: Vec<f32>,
    totals: Vec<f32>,
}

impl Attention<'_> {
    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.shape.heads / self.shape.kv_heads
    }

    fn visible(&self, row: usize) -> usize {
        self.first.map_or(self.kv.len, |first| first + row + 1)
    }

    /// Computes one rectangle of the output: some query rows of the heads of one key head.
    pub fn compute(&self, isa: Dispatch, rect: Rect<'_>) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            isa.run(Task {
                attention: *self,
                rect,
                scratch,
            })
        });
    }
}

struct Task<'a, 'b> {
    attention: Attention<'a>,
    rect: Rect<'b>,
    scratch: &'b mut Scratch,
}

impl Kernel for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let d = self.attention.shape.head_dim;
        let group = self.attention.group();
        let rows = self.rect.out.len() * group;
        let padded = d.next_multiple_of(PAD);
        self.begin(rows, d, padded);
        let kv = self.attention.kv;
        let head = self.rect.first_col / (group * d);
        for (index, tile) in kv.tiles.iter().enumerate() {
            let start = index * TILE;
            // Rows before this one see nothing of the tile, rows from it on at least its first key.
            let mut blind = 0;
            while blind < self.rect.out.len()
                && self.attention.visible(self.rect.first_row + blind) <= start
            {
                blind += 1;
            }
            let seeing = blind * group..rows;
            if seeing.is_empty() {
                break;
            }
            let scratch = &mut *self.scratch;
            multiply(
                simd,
                Left {
                    data: &scratch.q,
                    stride: d,
                    len: d,
                },
                Right {
                    data: &tile.k[head * d * TILE..][..d * TILE],
                    stride: TILE,
                    cols: TILE,
                },
                &mut Product {
                    data: &mut scratch.scores,
                    stride: TILE,
                    add: false,
                },
                seeing.clone(),
            );
            self.softmax(seeing.clone(), start, padded);
            let scratch = &mut *self.scratch;
            multiply(
                simd,
                Left {
                    data: &scratch.scores,
                    stride: TILE,
                    len: TILE,
                },
                Right {
                    data: &tile.v[head * d..],
                    stride: kv.width,
                    cols: d,
                },
                &mut Product {
                    data: &mut scratch.sums,
                    stride: padded,
                    add: true,
                },
                seeing,
            );
        }
        self.end(d, padded);
    }
}

impl Task<'_, '_> {
    /// Scales the queries and empties the sums.
    #[inline(always)]
    fn begin(&mut self, rows: usize, d: usize, padded: usize) {
        let scale = (1.0 / (d as f64).sqrt()) as f32;
        let width = self.attention.group() * d;
        let scratch = &mut *self.scratch;
        scratch.q.clear();
        for row in 0..self.rect.out.len() {
            let query = self.attention.q.row(self.rect.first_row + row);
            let query = &query[self.rect.first_col..][..width];
            scratch.q.extend(query.iter().map(|value| value * scale));
        }
        scratch.scores.resize(rows * TILE, 0.0);
        for (values, len, start) in [
            (&mut scratch.sums, rows * padded, 0.0),
            (&mut scratch.highest, rows, f32::NEG_INFINITY),
            (&mut scratch.totals, rows, 0.0),
        ] {
            values.clear();
            values.resize(len, start);
        }
    }

    /// Turns scores into weights relative to the highest score so far, and brings what was summed
    /// before to the same scale.
    #[inline(always)]
    fn softmax(&mut self, rows: std::ops::Range<usize>, start: usize, padded: usize) {
        let group = self.attention.group();
        let scratch = &mut *self.scratch;
        for row in rows {
            let visible = self.attention.visible(self.rect.first_row + row / group);
            let scores = &mut scratch.scores[row * TILE..][..TILE];
            let seen = (visible - start).min(TILE);
            for score in &mut scores[seen..] {
                *score = f32::NEG_INFINITY;
            }
            let before = scratch.highest[row];
            let highest = highest(scores, before);
            for score in scores.iter_mut() {
                *score = math::exp(*score - highest);
            }
            let shrink = math::exp(before - highest);
            scratch.highest[row] = highest;
            scratch.totals[row] = scratch.totals[row] * shrink + math::sum(scores);
            for sum in &mut scratch.sums[row * padded..][..padded] {
                *sum *= shrink;
            }
        }
    }

    /// Divides by the sum of weights.
    #[inline(always)]
    fn end(&mut self, d: usize, padded: usize) {
        let heads = self.rect.out.iter_mut().flat_map(|row| row.chunks_mut(d));
        for (row, out) in heads.enumerate() {
            let total = self.scratch.totals[row];
            for (out, sum) in out.iter_mut().zip(&self.scratch.sums[row * padded..]) {
                *out = sum / total;
            }
        }
    }
}

/// The largest of `values` and `start`.
#[inline(always)]
fn highest(values: &[f32], start: f32) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [start; LANES];
    for block in values.as_chunks::<LANES>().0 {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let mut highest = start;
    for lane in lanes {
        highest = if lane > highest { lane } else { highest };
    }
    highest
}
