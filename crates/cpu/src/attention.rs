//! Attention over tiles of keys and values, with online softmax (Milakov and Gimelshein,
//! arXiv:1805.02867; tiled as in FlashAttention, arXiv:2205.14135).
//!
//! A query row with one of its heads is a lane, so that the softmax is vector code throughout: see
//! [`crate::product`]. Scores are computed to base 2, the factor being part of the queries' scale.
//!
//! Tiles begin at absolute positions, and a lane goes through tiles in their order, so what it goes
//! through depends on its position alone: a prompt prefilled in pieces gives the same bits. What a
//! lane does not see adds a weight of exactly zero to its sums and leaves its highest score alone,
//! however far its neighbours see; only a sum of negative zero could tell, and the last step turns
//! those into positive ones.

mod tiles;

use std::cell::RefCell;

use llavaguard_backend::AttentionShape;

use crate::math;
use crate::matrix::{Matrix, Rect};
use crate::product::{add_weighted, scores};
use crate::simd::{Dispatch, Kernel, Registers, Simd};

pub use tiles::Cache;
use tiles::TILE;
pub(crate) use tiles::Tiles;

/// Lanes of a task, as near as whole rows allow: enough that keys and values brought into the cache
/// serve some panels, whole panels under every instruction set, and few enough that there are tasks
/// for all threads.
pub(crate) const QUERIES: usize = 96;
/// Vectors of a panel at most. With them, the broadcast operand and the sums of a tile, the registers
/// are full: 3 + 1 + 8 * 3 of 32, 3 + 1 + 4 * 3 of 16, 3 + 1 + 3 * 3 of what an engine leaves a
/// module of them.
const PANEL: usize = 3;
const MANY: usize = Registers::Many.keys();
const SOME: usize = Registers::Some.keys();
const FEW: usize = Registers::Few.keys();

/// One attention operation.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub q: &'a Matrix,
    pub kv: &'a Tiles,
    pub shape: AttentionShape,
    /// Position of the first query row if causal; all keys are visible otherwise.
    pub first: Option<usize>,
}

impl Attention<'_> {
    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.shape.heads / self.shape.kv_heads
    }

    /// How many positions a query row sees.
    fn visible(&self, row: usize) -> usize {
        self.first.map_or(self.kv.len(), |first| first + row + 1)
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

/// What a task computes in. Lanes are cut into panels of up to [`PANEL`] vectors, and all of a panel
/// lies together: `[lanes of the panel][numbers of a lane]`, lanes the faster.
#[derive(Default)]
struct Scratch {
    /// Scaled queries, `head_dim` numbers a lane.
    queries: Vec<f32>,
    /// Weighted sums of values, `head_dim` numbers a lane.
    sums: Vec<f32>,
    /// Highest score so far.
    highest: Vec<f32>,
    /// Sum of weights.
    totals: Vec<f32>,
    /// Scores, then weights, of one panel: [`TILE`] numbers a lane.
    scores: Vec<f32>,
}

struct Task<'a, 'b> {
    attention: Attention<'a>,
    rect: Rect<'b>,
    scratch: &'b mut Scratch,
}

/// Some lanes of a task with a tile.
#[derive(Clone, Copy)]
struct Step {
    /// Tile.
    index: usize,
    /// Keys of it that some row of the task sees.
    keys: usize,
    /// First lane.
    lane: usize,
}

impl Kernel for Task<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let rows = self.rect.out.len();
        if rows == 0 {
            return;
        }
        let lanes = (rows * self.attention.group()).next_multiple_of(S::LANES);
        self.begin::<S>(lanes);
        let visible = self.attention.visible(self.rect.first_row + rows - 1);
        for index in 0..visible.div_ceil(TILE) {
            let keys = TILE.min(visible - index * TILE);
            for lane in (0..lanes).step_by(PANEL * S::LANES) {
                let step = Step { index, keys, lane };
                match (S::REGISTERS, (lanes - lane) / S::LANES) {
                    (Registers::Many, 1) => self.panel::<S, 1, MANY, 8>(simd, step),
                    (Registers::Many, 2) => self.panel::<S, 2, MANY, 8>(simd, step),
                    (Registers::Many, _) => self.panel::<S, PANEL, MANY, 8>(simd, step),
                    (Registers::Some, 1) => self.panel::<S, 1, SOME, 8>(simd, step),
                    (Registers::Some, 2) => self.panel::<S, 2, SOME, 4>(simd, step),
                    (Registers::Some, _) => self.panel::<S, PANEL, SOME, 4>(simd, step),
                    (Registers::Few, 1) => self.panel::<S, 1, FEW, 8>(simd, step),
                    (Registers::Few, 2) => self.panel::<S, 2, FEW, 4>(simd, step),
                    (Registers::Few, _) => self.panel::<S, PANEL, FEW, 3>(simd, step),
                }
            }
        }
        self.end(simd, lanes);
    }
}

impl Task<'_, '_> {
    /// Lays out the scaled queries and empties the sums.
    #[inline(always)]
    fn begin<S: Simd>(&mut self, lanes: usize) {
        let d = self.attention.shape.head_dim;
        let scale = (std::f64::consts::LOG2_E / (d as f64).sqrt()) as f32;
        let scratch = &mut *self.scratch;
        for (values, len, start) in [
            (&mut scratch.queries, lanes * d, 0.0),
            (&mut scratch.sums, lanes * d, 0.0),
            (&mut scratch.highest, lanes, f32::NEG_INFINITY),
            (&mut scratch.totals, lanes, 0.0),
        ] {
            values.clear();
            values.resize(len, start);
        }
        scratch.scores.resize(PANEL * S::LANES * TILE, 0.0);
        let group = self.attention.group();
        for lane in 0..self.rect.out.len() * group {
            let query = self.attention.q.row(self.rect.first_row + lane / group);
            let query = &query[self.rect.first_col + lane % group * d..][..d];
            let (panel, width, lane) = place::<S>(lanes, lane);
            let to = scratch.queries[panel * d..][lane..].iter_mut();
            for (to, from) in to.step_by(width).zip(query) {
                *to = from * scale;
            }
        }
    }

    /// Takes one panel through one tile, whose keys stand in groups of `G`; `M` numbers of the head are
    /// summed together.
    #[inline(always)]
    fn panel<S: Simd, const N: usize, const G: usize, const M: usize>(
        &mut self,
        simd: S,
        step: Step,
    ) {
        let Step { index, keys, lane } = step;
        let attention = self.attention;
        let (d, group) = (attention.shape.head_dim, attention.group());
        let start = index * TILE;
        let visible = |lane: usize| {
            let row = (lane / group).min(self.rect.out.len() - 1);
            attention.visible(self.rect.first_row + row)
        };
        if visible(lane + N * S::LANES - 1) <= start {
            return;
        }
        let (k, v) = attention
            .kv
            .rows(index, self.rect.first_col / (group * d) * d);
        let scratch = &mut *self.scratch;
        let queries = panel_of::<S, N>(&mut scratch.queries, lane, d);
        let weights = &mut panel_of::<S, N>(&mut scratch.scores, 0, TILE)[..keys];
        let sums = panel_of::<S, N>(&mut scratch.sums, lane, d);
        let [highest] = panel_of::<S, N>(&mut scratch.highest, lane, 1) else {
            return;
        };
        let [totals] = panel_of::<S, N>(&mut scratch.totals, lane, 1) else {
            return;
        };

        let before = load(simd, highest);
        let mut now = scores::<S, N, G>(simd, k, queries, weights, before);
        let mut limits = [S::Block::default(); N];
        let hidden = visible(lane) < start + keys;
        if hidden {
            for (j, block) in limits.iter_mut().enumerate() {
                for (i, limit) in block.as_mut().iter_mut().enumerate() {
                    let seen = visible(lane + j * S::LANES + i).saturating_sub(start);
                    *limit = seen.min(TILE) as f32;
                }
            }
            now = highest_seen(simd, weights, load(simd, &limits), before);
        }
        let mut shrink = [simd.splat(0.0); N];
        let mut total = load(simd, totals);
        for j in 0..N {
            shrink[j] = math::exp2(simd, simd.sub(before[j], now[j]));
            total[j] = simd.mul(total[j], shrink[j]);
        }
        total = if hidden {
            weigh_seen(simd, weights, load(simd, &limits), now, total)
        } else {
            weigh(simd, weights, now, total)
        };
        for j in 0..N {
            simd.store(now[j], &mut highest[j]);
            simd.store(total[j], &mut totals[j]);
        }
        add_weighted::<S, N, M>(simd, v, weights, shrink, sums);
    }

    /// Divides by the sums of weights and writes the lanes to their rows.
    #[inline(always)]
    fn end<S: Simd>(&mut self, simd: S, lanes: usize) {
        let d = self.attention.shape.head_dim;
        let scratch = &mut *self.scratch;
        for lane in (0..lanes).step_by(PANEL * S::LANES) {
            let width = (PANEL * S::LANES).min(lanes - lane);
            let totals = S::blocks(&scratch.totals[lane..][..width]).0;
            for sums in scratch.sums[lane * d..][..width * d].chunks_exact_mut(width) {
                for (sum, total) in S::blocks_mut(sums).iter_mut().zip(totals) {
                    let quotient = simd.div(simd.load(sum), simd.load(total));
                    // Zero plus negative zero is zero.
                    simd.store(simd.add(quotient, simd.splat(0.0)), sum);
                }
            }
        }
        let heads = self.rect.out.iter_mut().flat_map(|row| row.chunks_mut(d));
        for (lane, out) in heads.enumerate() {
            let (panel, width, lane) = place::<S>(lanes, lane);
            let from = scratch.sums[panel * d..][lane..].iter();
            for (to, from) in out.iter_mut().zip(from.step_by(width)) {
                *to = *from;
            }
        }
    }
}

/// The first lane of a lane's panel, the panel's width, and the lane within it.
#[inline(always)]
fn place<S: Simd>(lanes: usize, lane: usize) -> (usize, usize, usize) {
    let within = lane % (PANEL * S::LANES);
    let panel = lane - within;
    (panel, (PANEL * S::LANES).min(lanes - panel), within)
}

/// The numbers of the panel of `N` vectors that begins at `lane`, `count` a lane.
#[inline(always)]
fn panel_of<S: Simd, const N: usize>(
    data: &mut [f32],
    lane: usize,
    count: usize,
) -> &mut [[S::Block; N]] {
    let data = &mut data[lane * count..][..N * S::LANES * count];
    S::blocks_mut(data).as_chunks_mut::<N>().0
}

#[inline(always)]
fn load<S: Simd, const N: usize>(simd: S, blocks: &[S::Block; N]) -> [S::Vector; N] {
    let mut vectors = [simd.splat(0.0); N];
    for j in 0..N {
        vectors[j] = simd.load(&blocks[j]);
    }
    vectors
}

/// The highest of `highest` and of the scores each lane sees, which are as many as its limit.
#[inline(always)]
fn highest_seen<S: Simd, const N: usize>(
    simd: S,
    scores: &[[S::Block; N]],
    limits: [S::Vector; N],
    mut highest: [S::Vector; N],
) -> [S::Vector; N] {
    for (key, scores) in scores.iter().enumerate() {
        let key = simd.splat(key as f32);
        for j in 0..N {
            let higher = simd.max(highest[j], simd.load(&scores[j]));
            highest[j] = simd.select_less(key, limits[j], higher, highest[j]);
        }
    }
    highest
}

/// Turns scores into weights relative to the highest; returns the totals with them added.
#[inline(always)]
fn weigh<S: Simd, const N: usize>(
    simd: S,
    scores: &mut [[S::Block; N]],
    highest: [S::Vector; N],
    mut totals: [S::Vector; N],
) -> [S::Vector; N] {
    for scores in scores {
        for j in 0..N {
            let weight = math::exp2(simd, simd.sub(simd.load(&scores[j]), highest[j]));
            totals[j] = simd.add(totals[j], weight);
            simd.store(weight, &mut scores[j]);
        }
    }
    totals
}

/// As [`weigh`], and zero from each lane's limit on.
#[inline(always)]
fn weigh_seen<S: Simd, const N: usize>(
    simd: S,
    scores: &mut [[S::Block; N]],
    limits: [S::Vector; N],
    highest: [S::Vector; N],
    mut totals: [S::Vector; N],
) -> [S::Vector; N] {
    for (key, scores) in scores.iter_mut().enumerate() {
        let key = simd.splat(key as f32);
        for j in 0..N {
            let weight = math::exp2(simd, simd.sub(simd.load(&scores[j]), highest[j]));
            let weight = simd.select_less(key, limits[j], weight, simd.splat(0.0));
            totals[j] = simd.add(totals[j], weight);
            simd.store(weight, &mut scores[j]);
        }
    }
    totals
}
