//! Operations row by row or element by element: norms, rotary embedding, pooling.

use llavaguard_backend::tables::{Tap, rotary_turn};

use crate::math;
use crate::matrix::Matrix;
use crate::simd::{Kernel, Simd};

/// Layer normalisation in place.
pub(crate) struct LayerNorm<'a> {
    pub rows: &'a mut [f32],
    pub gain: &'a [f32],
    pub bias: &'a [f32],
    pub eps: f32,
}

impl Kernel for LayerNorm<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = self.gain.len() as f32;
        for row in self.rows.chunks_mut(self.gain.len()) {
            let mean = math::sum(row) / width;
            let variance = math::sum_of_squares(row, mean) / width;
            let scale = 1.0 / (variance + self.eps).sqrt();
            for ((value, gain), bias) in row.iter_mut().zip(self.gain).zip(self.bias) {
                *value = (*value - mean) * scale * gain + bias;
            }
        }
    }
}

/// RMS normalisation in place.
pub(crate) struct RmsNorm<'a> {
    pub rows: &'a mut [f32],
    pub gain: &'a [f32],
    pub eps: f32,
}

impl Kernel for RmsNorm<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = self.gain.len() as f32;
        for row in self.rows.chunks_mut(self.gain.len()) {
            let scale = 1.0 / (math::sum_of_squares(row, 0.0) / width + self.eps).sqrt();
            for (value, gain) in row.iter_mut().zip(self.gain) {
                *value = *value * scale * gain;
            }
        }
    }
}

/// Rotary embedding of one row of heads at `position`; `turn` is scratch.
pub(crate) fn rotate(
    row: &mut [f32],
    position: usize,
    frequencies: &[f32],
    turn: &mut Vec<(f32, f32)>,
) {
    turn.clear();
    turn.extend(
        frequencies
            .iter()
            .map(|&frequency| rotary_turn(position, frequency)),
    );
    for head in row.chunks_exact_mut(2 * frequencies.len()) {
        let (low, high) = head.split_at_mut(frequencies.len());
        for ((low, high), (sin, cos)) in low.iter_mut().zip(high).zip(turn.iter()) {
            let (a, b) = (*low, *high);
            *low = a * cos - b * sin;
            *high = b * cos + a * sin;
        }
    }
}

/// One output row of bilinear resizing of a grid `wide` rows wide.
pub(crate) fn blend(x: &Matrix, wide: usize, down: Tap, across: Tap, out: &mut [f32]) {
    let upper = [
        x.row(down.low * wide + across.low),
        x.row(down.low * wide + across.high),
    ];
    let lower = [
        x.row(down.high * wide + across.low),
        x.row(down.high * wide + across.high),
    ];
    for (i, out) in out.iter_mut().enumerate() {
        let above = upper[0][i] + (upper[1][i] - upper[0][i]) * across.part;
        let below = lower[0][i] + (lower[1][i] - lower[0][i]) * across.part;
        *out = above + (below - above) * down.part;
    }
}
