//! Python's arithmetic where it is not Rust's own. The counts hang on single ulps: a token more
//! or less than the checkpoint was trained with shifts everything behind it.

/// `int(round(x, 7))` for `x >= 0`.
///
/// Python rounds the exact decimal value. Cut to an integer afterwards, that only matters where
/// the fraction is so close to 1 that seven digits show a 1.
pub(super) fn int_of_round_7(x: f64) -> u64 {
    let whole = x.floor();
    // The subtraction is exact, and no double equals 0.99999995, so there is no tie to break: the
    // constant's double lies below the decimal number.
    let up = x - whole > 0.999_999_95;
    whole as u64 + u64::from(up)
}

/// `int(x // y)` for `x >= 0`, `y > 0`: Python takes the quotient of what is left after the exact
/// remainder, which is not always `(x / y).floor()`.
pub(super) fn floor_div(x: f64, y: f64) -> u64 {
    let quotient = (x - x % y) / y;
    let floor = quotient.floor();
    (if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    }) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Rust's formatting rounds the exact decimal value as Python's `round` does.
        #[test]
        fn round_7_is_the_decimal_one(whole in 0u32..5000, ulps in 0u64..2000, near in any::<bool>(), free in 0.0f64..1.0) {
            let x = if near {
                f64::from_bits((f64::from(whole) + 0.999_999_95).to_bits() - 1000 + ulps)
            } else {
                f64::from(whole) + free
            };
            let rounded: f64 = format!("{x:.7}").parse().unwrap();
            prop_assert_eq!(int_of_round_7(x), rounded as u64);
        }

        #[test]
        fn floor_div_is_within_one_of_the_quotient(x in 0u32..100_000, y in 1.1f64..50.0) {
            let exact = f64::from(x) / y;
            prop_assert!((floor_div(f64::from(x), y) as f64 - exact.floor()).abs() <= 1.0);
        }
    }

    #[test]
    fn floor_div_follows_the_remainder() {
        // In Python: 1.0 // 0.1 == 9.0, because 0.1 is a little more than a tenth.
        assert_eq!(floor_div(1.0, 0.1), 9);
        assert_eq!(floor_div(135.0, 1.25), 108);
    }
}
