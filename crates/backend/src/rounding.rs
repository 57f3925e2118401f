//! How activations are rounded to bytes before they meet a quantised weight.
//!
//! A device may do so ([`Device::rounding`](crate::Device::rounding)): whole numbers multiply several
//! times as fast as floats. Each row is rounded by itself, 32 values at a time, as weights are, so
//! what a row becomes depends on that row alone.

use crate::DType;

/// Rounding to whole multiples of a block's scale, `-levels..=levels` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounding {
    /// The largest multiple.
    pub levels: u8,
}

/// Values that share a scale.
pub const BLOCK: usize = 32;

impl Rounding {
    /// The rounding that byte dot products allow before a weight of this format.
    ///
    /// The dot product that every instruction set has, WebAssembly's relaxed one, takes one operand of
    /// eight bits with a sign and one of seven without. Beside q4_0's nibbles the activations have all
    /// eight bits; q8_0's weights need those themselves, so the activations get seven.
    pub const fn before(weight: DType) -> Option<Rounding> {
        match weight {
            DType::F32 | DType::F16 => None,
            DType::Q8_0 => Some(Rounding { levels: 63 }),
            DType::Q4_0 => Some(Rounding { levels: 127 }),
        }
    }

    /// The scale of a block whose largest magnitude is `largest`, and its inverse.
    ///
    /// A largest magnitude below 1e-35 counts as zero, since its inverse would be infinite.
    #[inline(always)]
    pub fn scale(self, largest: f32) -> (f32, f32) {
        let levels = f32::from(self.levels);
        if largest < 1e-35 {
            (0.0, 0.0)
        } else {
            (largest / levels, levels / largest)
        }
    }

    /// The values of a block after rounding: `scale * round(value * inverse)`, half to even. All of
    /// them are NaN where one of them is not finite.
    pub fn apply(self, values: &mut [f32; BLOCK]) {
        if values.iter().any(|value| !value.is_finite()) {
            return values.fill(f32::NAN);
        }
        let largest = values.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
        let (scale, inverse) = self.scale(largest);
        for value in values {
            *value = scale * (*value * inverse).round_ties_even();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_moves_by_half_a_step_at_most() {
        for dtype in [DType::Q8_0, DType::Q4_0] {
            let rounding = Rounding::before(dtype).unwrap();
            let values: [f32; BLOCK] = std::array::from_fn(|i| ((i * i) as f32).sin() * 3.0);
            let mut rounded = values;
            rounding.apply(&mut rounded);
            let largest = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            let half = largest / f32::from(rounding.levels) / 2.0;
            let mut moved = 0;
            for (value, rounded) in values.iter().zip(rounded) {
                assert!((value - rounded).abs() <= half * 1.0001);
                moved += usize::from(*value != rounded);
            }
            assert!(moved > 20);
            assert!(rounded.contains(&largest) || rounded.contains(&-largest));
        }
        assert_eq!(Rounding::before(DType::F16), None);
    }

    #[test]
    fn zeros_and_what_is_no_number_are_kept() {
        let rounding = Rounding { levels: 63 };
        for (value, expected) in [(0.0, 0.0), (1e-36, 0.0), (f32::INFINITY, f32::NAN)] {
            let mut values = [0.0; BLOCK];
            values[7] = value;
            rounding.apply(&mut values);
            assert_eq!(values[7].to_bits(), f32::to_bits(expected));
            assert_eq!(values[0].is_nan(), expected.is_nan());
        }
        let mut values = [1.0; BLOCK];
        values[31] = f32::NAN;
        rounding.apply(&mut values);
        assert!(values.iter().all(|value| value.is_nan()));
    }
}
