//! `linear` with quantised weights: rounded activations times packed bytes.
//!
//! A tile is up to [`PACK`] rows by one panel: four rows by two vectors on machines with 16 registers,
//! by four where there are 32, and two rows where a sum takes two registers (plain WebAssembly). Eight (sixteen) chains of sums hide the dot product's latency of five
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

mod few;
mod many;

use std::cell::RefCell;

use crate::epilogue::Finishing;
use crate::matrix::Rect;
use crate::packed::Packed;
use crate::rounded::{PACK, Rounded};
use crate::simd::Dispatch;

use few::Few;
use many::{Many, Scratch};

/// Features of the widest panel.
const WIDEST: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// The operands.
#[derive(Clone, Copy)]
pub(crate) struct Integer<'a> {
    pub x: &'a Rounded,
    pub w: &'a Packed,
    pub finishing: Finishing<'a>,
}

impl Integer<'_> {
    /// Computes one rectangle of `x * w^T`, whose first row begins a pack and whose first column a
    /// panel.
    pub fn compute(self, isa: Dispatch, rect: &mut Rect<'_>) {
        let width = rect.out.first().map_or(0, |row| row.len());
        let padded = width.next_multiple_of(self.w.panel);
        if padded == width {
            self.whole_panels(isa, rect);
        } else {
            // Features past the last are computed beside and dropped.
            let mut values = vec![0.0; rect.out.len() * padded];
            let mut wide = Rect {
                first_row: rect.first_row,
                first_col: rect.first_col,
                out: values.chunks_mut(padded).collect(),
            };
            self.whole_panels(isa, &mut wide);
            for (row, values) in rect.out.iter_mut().zip(values.chunks(padded)) {
                row.copy_from_slice(&values[..width]);
            }
        }
        self.finishing.apply(isa, rect);
    }

    fn whole_panels(self, isa: Dispatch, rect: &mut Rect<'_>) {
        // Borrowed out here: what runs inside of a closure might not be compiled for the instruction set.
        SCRATCH.with_borrow_mut(|scratch| {
            let operands = self;
            match (rect.out.len() <= PACK, self.w.nibbles) {
                (true, true) => isa.run(Few::<true> { operands, rect }),
                (true, false) => isa.run(Few::<false> { operands, rect }),
                (false, true) => isa.run(Many::<true> {
                    operands,
                    rect,
                    scratch,
                }),
                (false, false) => isa.run(Many::<false> {
                    operands,
                    rect,
                    scratch,
                }),
            }
        });
    }

    /// Computes the features `ids` of one row into `out`: the whole panel of each, with the kernel
    /// every other use has, and one value of it is kept.
    pub fn compute_ids(self, isa: Dispatch, row: usize, ids: &[u32], out: &mut [f32]) {
        let panel = self.w.panel;
        let first_row = row / PACK * PACK;
        let rows = row - first_row + 1;
        for (id, out) in ids.iter().zip(out) {
            let (index, lane) = (*id as usize / panel, *id as usize % panel);
            let mut values = [[0.0; WIDEST]; PACK];
            let mut rect = Rect {
                first_row,
                first_col: index * panel,
                out: values[..rows]
                    .iter_mut()
                    .map(|row| &mut row[..panel])
                    .collect(),
            };
            self.compute(isa, &mut rect);
            *out = values[rows - 1][lane];
        }
    }
}

/// Runs a piece of code on up to [`PACK`] rows, their number a constant in it.
macro_rules! by_rows {
    ($rows:expr, |$names:ident, $count:ident| $body:expr) => {
        match &mut $rows[..] {
            [a, b, c, d] => {
                const $count: usize = 4;
                let $names = [a, b, c, d];
                $body
            }
            [a, b, c] => {
                const $count: usize = 3;
                let $names = [a, b, c];
                $body
            }
            [a, b] => {
                const $count: usize = 2;
                let $names = [a, b];
                $body
            }
            [a] => {
                const $count: usize = 1;
                let $names = [a];
                $body
            }
            _ => {}
        }
    };
}

/// Runs a piece of code for each four inputs of a block, or of its first half, their index a constant in
/// it: loads then have constant offsets, which a loop that the compiler leaves rolled up would add up again and again.
macro_rules! each_step {
    (|$step:ident| $body:expr) => {
        each_step!(@ $step $body, 0 1 2 3 4 5 6 7)
    };
    (in half, |$step:ident| $body:expr) => {
        each_step!(@ $step $body, 0 1 2 3)
    };
    (@ $step:ident $body:expr, $($index:literal)*) => {$({
        const $step: usize = $index;
        $body
    })*};
}

use {by_rows, each_step};
