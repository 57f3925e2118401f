//! Elementary functions in straight-line f32 without branches, so that a loop over them becomes
//! vector code under every instruction set. No fused multiply-add: where the target lacks it, it
//! would be a call into the C library.

/// e^x within 2 units in the last place for x in -87.3..88.3.
///
/// Zero below, e^88.3 above, NaN for NaN. Range reduction and polynomial are those of `expf` in
/// S. L. Moshier's Cephes library (single/expf.c).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.3;
    // 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let (under, over) = (x < LOWEST, x > HIGHEST);
    // Not `clamp`: comparisons this way round keep a NaN.
    let x = if under { LOWEST } else { x };
    let x = if over { HIGHEST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    // 2^n put together from its exponent.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if under { 0.0 } else { p * power }
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// GELU by its tanh approximation; `0.5 (1 + tanh u)` is `sigmoid(2u)`.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const TWICE_ROOT_2_OVER_PI: f32 = 1.595_769;
    let u = TWICE_ROOT_2_OVER_PI * (x + 0.044_715 * x * x * x);
    x / (1.0 + exp(-u))
}

/// GELU by the error function.
pub(crate) fn gelu_erf(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
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
