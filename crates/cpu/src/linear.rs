//! `x * w^T` whatever `w` is stored in, and the gated pair of two of them.

use std::cell::RefCell;

use crate::gemm::{NARROW_PANEL, PANEL, Plainly};
use crate::integer::Integer;
use crate::math::{self, Silu, Times};
use crate::matrix::Rect;
use crate::rounded::PACK;
use crate::simd::{Dispatch, Kernel, Simd};

/// Rows of a rectangle with a packed weight, whole packs: their activations stay in the second-level
/// cache, and unpacking a panel costs as much as multiplying two of them by it.
const BAND: usize = 64 * PACK;

/// Activations and the weight they meet.
#[derive(Clone, Copy)]
pub(crate) enum Linear<'a> {
    Plain(Plainly<'a>),
    Packed(Integer<'a>),
}

impl Linear<'_> {
    /// Output features.
    pub fn features(&self) -> usize {
        match self {
            Linear::Plain(plain) => plain.features(),
            Linear::Packed(integer) => integer.w.rows,
        }
    }

    /// Rows and columns of the rectangles to cut the output of `rows` rows into.
    pub fn tiling(&self, rows: usize, threads: usize) -> (usize, usize) {
        let features = self.features();
        match self {
            Linear::Plain(_) => {
                let panel = if rows < 16 { NARROW_PANEL } else { PANEL };
                // Decoding a panel is worth about as much as multiplying a handful of rows by it, so
                // rows are split only where the panels alone are too few for the threads.
                let bands = (4 * threads).div_ceil(features.div_ceil(panel).max(1));
                (rows.div_ceil(bands.max(1)).max(96), panel)
            }
            Linear::Packed(integer) => {
                // Few rows are split by features alone, into some tasks a thread.
                let few = features.div_ceil(8 * threads).clamp(32, 256);
                let cols = if rows > 4 * PACK { 32 } else { few };
                (BAND, cols.next_multiple_of(integer.w.panel))
            }
        }
    }

    /// Computes one rectangle of the output.
    pub fn compute(&self, isa: Dispatch, rect: &mut Rect<'_>) {
        match self {
            Linear::Plain(plain) => plain.compute(isa, rect),
            Linear::Packed(integer) => integer.compute(isa, rect),
        }
    }
}

/// `silu(gate) * up` over the same activations. The second factor lives in a scratch as large as a
/// rectangle and never in memory.
#[derive(Clone, Copy)]
pub(crate) struct Gated<'a> {
    pub gate: Linear<'a>,
    pub up: Linear<'a>,
}

impl Gated<'_> {
    /// Rows and columns of the rectangles to cut the output into.
    pub fn tiling(&self, rows: usize, threads: usize) -> (usize, usize) {
        match (self.gate, self.up) {
            (Linear::Plain(_), Linear::Plain(_)) | (Linear::Packed(_), Linear::Packed(_)) => {
                self.gate.tiling(rows, threads)
            }
            // A width that suits both: panels of packed weights divide it.
            _ => (BAND, PANEL),
        }
    }

    /// Computes one rectangle of the output.
    pub fn compute(&self, isa: Dispatch, rect: &mut Rect<'_>) {
        thread_local! {
            static UP: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
        }
        self.gate.compute(isa, rect);
        let cols = rect.out.first().map_or(0, |row| row.len());
        UP.with_borrow_mut(|up| {
            up.resize(rect.out.len() * cols, 0.0);
            let mut other = Rect {
                first_row: rect.first_row,
                first_col: rect.first_col,
                out: up.chunks_mut(cols.max(1)).collect(),
            };
            self.up.compute(isa, &mut other);
            isa.run(SiluTimes { gate: rect, up });
        });
    }
}

/// `silu(gate) * up`, written over `gate`.
struct SiluTimes<'a, 'b> {
    gate: &'a mut Rect<'b>,
    up: &'a [f32],
}

impl Kernel for SiluTimes<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut up = self.up;
        for row in self.gate.out.iter_mut() {
            let (here, rest) = up.split_at(row.len());
            math::apply_pairs(simd, Times(Silu), row, here);
            up = rest;
        }
    }
}
