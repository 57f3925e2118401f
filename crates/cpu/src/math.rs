//! Elementary functions over vectors, in straight lines without branches.
//!
//! Each is written once over [`Simd`], and [`apply`] takes a slice through it whole, the ragged end
//! in a vector filled up with zeros: what a number becomes depends on that number alone, not on
//! where in a row it lies.

use crate::simd::Simd;

/// 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;
/// The same with an exponent's bias on top of the integer.
const ROUND_AND_BIAS: f32 = ROUND + 127.0;

/// `c[0] + c[1] x + c[2] x^2 + ...`
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, x: S::Vector, c: [f32; N]) -> S::Vector {
    let mut sum = simd.splat(c[N - 1]);
    for i in (0..N - 1).rev() {
        sum = simd.mul_add(sum, x, simd.splat(c[i]));
    }
    sum
}

/// 2^x within 3e-7 of itself for x in -126..127; 2^-126 below (minus infinity as well), nonsense
/// above, not a number for what is not; exactly 1 for 0.
///
/// The nearest integer goes into the exponent, the rest through a polynomial: 2^f for f in
/// -0.5..0.5, fitted for the least relative error (9.1e-8 before roundings) with the constant held
/// at 1. One degree less would leave 2.8e-6.
#[inline(always)]
#[allow(clippy::approx_constant, reason = "fitted, near ln 2 and not it")]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    let x = simd.max(x, simd.splat(-126.0));
    let shifted = simd.add(x, simd.splat(ROUND_AND_BIAS));
    let rest = simd.sub(x, simd.sub(shifted, simd.splat(ROUND_AND_BIAS)));
    let p = polynomial(
        simd,
        rest,
        [
            1.0,
            0.693_147,
            0.240_222_42,
            0.055_507_336,
            0.009_671_513,
            0.001_326_472_7,
        ],
    );
    simd.mul(p, simd.low_bits_as_exponent(shifted))
}

/// e^x within 2 units in the last place for x in -87.3..88.3; e^-87.3 below, e^88.3 above, not a
/// number for what is not.
///
/// Range reduction and polynomial are those of `expf` in S. L. Moshier's Cephes library
/// (single/expf.c).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = simd.max(x, simd.splat(-87.3));
    let x = simd.min(x, simd.splat(88.3));
    let shifted = simd.mul_add(
        x,
        simd.splat(std::f32::consts::LOG2_E),
        simd.splat(ROUND_AND_BIAS),
    );
    let n = simd.sub(shifted, simd.splat(ROUND_AND_BIAS));
    let r = simd.mul_add(n, simd.splat(-LN_2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN_2_LOW), r);
    let p = polynomial(
        simd,
        r,
        [
            0.5,
            1.666_666_5e-1,
            4.166_579_6e-2,
            8.333_452e-3,
            1.398_199_9e-3,
            1.987_569_1e-4,
        ],
    );
    let p = simd.mul_add(p, simd.mul(r, r), simd.add(r, simd.splat(1.0)));
    simd.mul(p, simd.low_bits_as_exponent(shifted))
}

/// A function of one number.
pub(crate) trait Function {
    /// Of each lane.
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector;
}

/// `x * sigmoid(x)`.
#[derive(Clone, Copy)]
pub(crate) struct Silu;

impl Function for Silu {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        let power = exp(simd, simd.sub(simd.splat(0.0), x));
        simd.div(x, simd.add(power, simd.splat(1.0)))
    }
}

/// GELU by its tanh approximation; `0.5 (1 + tanh u)` is `sigmoid(2u)`.
#[derive(Clone, Copy)]
pub(crate) struct GeluTanh;

impl Function for GeluTanh {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        const MINUS_TWICE_ROOT_2_OVER_PI: f32 = -1.595_769;
        let cubic = simd.mul_add(
            simd.mul(x, x),
            simd.splat(0.044_715 * MINUS_TWICE_ROOT_2_OVER_PI),
            simd.splat(MINUS_TWICE_ROOT_2_OVER_PI),
        );
        let power = exp(simd, simd.mul(x, cubic));
        simd.div(x, simd.add(power, simd.splat(1.0)))
    }
}

/// GELU by the error function, `x` times the normal distribution's Φ(x).
///
/// The tail Φ(-|x|) is e^(-x²/2) times a polynomial in `1 / (1 + 0.3 |x|)` (the form of Abramowitz
/// and Stegun 7.1.26), here of eighth degree, fitted for the least relative error (1.5e-7) up to
/// |x| = 14, where the power underflows.
#[derive(Clone, Copy)]
pub(crate) struct GeluErf;

impl Function for GeluErf {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        let zero = simd.splat(0.0);
        let one = simd.splat(1.0);
        let size = simd.max(x, simd.sub(zero, x));
        let t = simd.div(one, simd.mul_add(size, simd.splat(0.3), one));
        let p = polynomial(
            simd,
            t,
            [
                0.119_629_3,
                0.120_753_95,
                0.099_913_53,
                0.128_561_5,
                -0.053_683_393,
                0.206_353_23,
                -0.157_202_93,
                0.035_674_74,
            ],
        );
        let power = exp(simd, simd.mul(simd.mul(x, x), simd.splat(-0.5)));
        let tail = simd.mul(simd.mul(p, t), simd.mul(power, size));
        // x Φ(x) is -|x| Φ(-|x|) for x < 0, and that plus x else.
        simd.sub(simd.max(x, zero), tail)
    }
}

/// A function of two numbers.
pub(crate) trait PairFunction {
    /// Of each pair of lanes.
    fn of<S: Simd>(simd: S, x: S::Vector, y: S::Vector) -> S::Vector;
}

/// `x + y`.
pub(crate) struct Sum;

impl PairFunction for Sum {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector, y: S::Vector) -> S::Vector {
        simd.add(x, y)
    }
}

/// `f(x + y)`.
pub(crate) struct OfSum<F>(pub F);

impl<F: Function> PairFunction for OfSum<F> {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector, y: S::Vector) -> S::Vector {
        F::of(simd, simd.add(x, y))
    }
}

/// `f(x) y`.
pub(crate) struct Times<F>(pub F);

impl<F: Function> PairFunction for Times<F> {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector, y: S::Vector) -> S::Vector {
        simd.mul(F::of(simd, x), y)
    }
}

/// Vectors taken together: WebAssembly engines make a function's constants anew for each piece of code,
/// in three instructions each.
const TOGETHER: usize = 4;

/// Puts each of `values` through a function.
#[inline(always)]
pub(crate) fn apply<S: Simd, F: Function>(simd: S, _: F, values: &mut [f32]) {
    let whole = values.len() / S::LANES * S::LANES;
    let (blocks, rest) = values.split_at_mut(whole);
    let (groups, blocks) = S::blocks_mut(blocks).as_chunks_mut::<TOGETHER>();
    for group in groups {
        let mut vectors = [simd.splat(0.0); TOGETHER];
        for (vector, block) in vectors.iter_mut().zip(&*group) {
            *vector = F::of(simd, simd.load(block));
        }
        for (vector, block) in vectors.into_iter().zip(group) {
            simd.store(vector, block);
        }
    }
    for block in blocks {
        simd.store(F::of(simd, simd.load(block)), block);
    }
    if !rest.is_empty() {
        simd.store_partial(F::of(simd, simd.load_partial(rest)), rest);
    }
}

/// Puts each of `values` with its fellow among `others`, which are as many, through a function.
#[inline(always)]
pub(crate) fn apply_pairs<S: Simd, F: PairFunction>(
    simd: S,
    _: F,
    values: &mut [f32],
    others: &[f32],
) {
    let whole = values.len() / S::LANES * S::LANES;
    let (blocks, rest) = values.split_at_mut(whole);
    let (others, other_rest) = others[..blocks.len() + rest.len()].split_at(whole);
    let (groups, blocks) = S::blocks_mut(blocks).as_chunks_mut::<TOGETHER>();
    let (other_groups, others) = S::blocks(others).0.as_chunks::<TOGETHER>();
    for (group, others) in groups.iter_mut().zip(other_groups) {
        let mut vectors = [simd.splat(0.0); TOGETHER];
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = F::of(simd, simd.load(&group[i]), simd.load(&others[i]));
        }
        for (vector, block) in vectors.into_iter().zip(group) {
            simd.store(vector, block);
        }
    }
    for (block, other) in blocks.iter_mut().zip(others) {
        simd.store(F::of(simd, simd.load(block), simd.load(other)), block);
    }
    if !rest.is_empty() {
        let (x, y) = (simd.load_partial(rest), simd.load_partial(other_rest));
        simd.store_partial(F::of(simd, x, y), rest);
    }
}

const LANES: usize = 16;

/// Sum of `f(value)`, in lanes: the same order under every instruction set.
macro_rules! lane_sum {
    ($values:expr, |$value:ident| $term:expr) => {{
        let mut lanes = [0.0f32; LANES];
        let (blocks, rest) = $values.as_chunks::<LANES>();
        for block in blocks {
            for (lane, &$value) in lanes.iter_mut().zip(block) {
                *lane += $term;
            }
        }
        for (lane, &$value) in lanes.iter_mut().zip(rest) {
            *lane += $term;
        }
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
            width /= 2;
        }
        lanes[0]
    }};
}

/// Sum of all values.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f32 {
    lane_sum!(values, |value| value)
}

/// Sum of the squared distances from `centre`.
#[inline(always)]
pub(crate) fn sum_of_squares(values: &[f32], centre: f32) -> f32 {
    lane_sum!(values, |value| (value - centre) * (value - centre))
}

#[cfg(test)]
mod tests;
