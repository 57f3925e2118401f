use super::*;
use crate::simd::{Dispatch, Isa, Kernel};

/// Every 37th float of a range of magnitudes, with both signs.
fn sweep(from: f32, to: f32) -> Vec<f32> {
    (from.to_bits()..to.to_bits())
        .step_by(3_701)
        .map(f32::from_bits)
        .flat_map(|x| [x, -x])
        .collect()
}

#[derive(Clone, Copy)]
struct Exp;

impl Function for Exp {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        exp(simd, x)
    }
}

#[derive(Clone, Copy)]
struct Exp2;

impl Function for Exp2 {
    #[inline(always)]
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
        exp2(simd, x)
    }
}

/// [`apply`], compiled for every instruction set.
struct Apply<'a, F>(F, &'a mut [f32]);

impl<F: Function> Kernel for Apply<'_, F> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        apply(simd, self.0, self.1);
    }
}

/// Calls `check` with each number and what every instruction set makes of it.
fn each<F: Function + Copy>(f: F, numbers: &[f32], mut check: impl FnMut(f32, f32, Isa)) {
    for isa in Isa::available() {
        let mut values = numbers.to_vec();
        Dispatch::detect(isa).unwrap().run(Apply(f, &mut values));
        for (x, y) in numbers.iter().zip(values) {
            check(*x, y, isa);
        }
    }
}

/// How far `found` is off, in units of the last place of `expected`.
fn units(found: f32, expected: f64) -> f64 {
    let unit = f64::from((expected as f32).next_up()) - f64::from(expected as f32);
    (f64::from(found) - expected).abs() / unit
}

#[test]
fn exp_is_within_two_units() {
    each(Exp, &sweep(1e-9, 87.3), |x, y, isa| {
        let off = units(y, f64::from(x).exp());
        assert!(off <= 2.0, "{}: exp({x}) is off by {off} units", isa.name());
    });
}

#[test]
fn exp_at_the_ends() {
    let infinity = f32::INFINITY;
    each(
        Exp,
        &[0.0, -infinity, -90.0, f32::NAN, infinity],
        |x, y, _| match x {
            0.0 => assert_eq!(y, 1.0),
            x if x.is_nan() => assert!(y.is_nan()),
            x if x > 0.0 => assert!(y.is_finite() && y > 2e38),
            _ => assert!(y > 0.0 && y < 1.3e-38),
        },
    );
}

#[test]
fn exp2_is_close() {
    each(Exp2, &sweep(1e-9, 126.0), |x, y, isa| {
        let expected = f64::from(x).exp2();
        let off = (f64::from(y) / expected - 1.0).abs();
        assert!(off <= 3e-7, "{}: exp2({x}) is off by {off}", isa.name());
    });
}

#[test]
fn exp2_at_the_ends() {
    let least = f32::MIN_POSITIVE;
    each(
        Exp2,
        &[
            0.0,
            -0.0,
            -126.0,
            -127.5,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::from_bits(0x7fff_ffff),
        ],
        |x, y, _| match x {
            0.0 => assert_eq!(y, 1.0),
            x if x.is_nan() => assert!(y.is_nan()),
            _ => assert_eq!(y, least),
        },
    );
}

#[test]
fn activations_are_close_everywhere() {
    let close = |found: f32, expected: f64| {
        (f64::from(found) - expected).abs() <= 3e-7 * expected.abs().max(0.5)
    };
    let numbers = sweep(1e-6, 60.0);
    each(Silu, &numbers, |x, y, isa| {
        let wide = f64::from(x);
        let expected = wide / (1.0 + (-wide).exp());
        assert!(
            close(y, expected),
            "{}: silu({x}) is {y} for {expected}",
            isa.name()
        );
    });
    each(GeluTanh, &numbers, |x, y, isa| {
        let wide = f64::from(x);
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
        let expected = 0.5 * wide * (1.0 + inner.tanh());
        assert!(
            close(y, expected),
            "{}: gelu_tanh({x}) is {y} for {expected}",
            isa.name()
        );
    });
    each(GeluErf, &numbers, |x, y, isa| {
        let wide = f64::from(x);
        let expected = 0.5 * wide * libm::erfc(-wide / std::f64::consts::SQRT_2);
        assert!(
            close(y, expected),
            "{}: gelu_erf({x}) is {y} for {expected}",
            isa.name()
        );
    });
}

/// Far out on the left, where the function is next to nothing, gelu_erf is still right in proportion.
#[test]
fn gelu_erf_has_a_tail() {
    each(GeluErf, &sweep(0.5, 9.0), |x, y, isa| {
        let wide = f64::from(x);
        let expected = 0.5 * wide * libm::erfc(-wide / std::f64::consts::SQRT_2);
        let off = (f64::from(y) / expected - 1.0).abs();
        assert!(off <= 4e-6, "{}: gelu_erf({x}) is off by {off}", isa.name());
    });
}

#[test]
fn activations_at_the_ends() {
    let numbers = [1e30, -1e4, f32::NAN, 0.0];
    let check = |x: f32, y: f32, isa: Isa| match x {
        1e30 => assert_eq!(y, 1e30, "{}", isa.name()),
        -1e4 => assert!(y.abs() < 1e-30, "{}", isa.name()),
        0.0 => assert_eq!(y, 0.0),
        _ => assert!(y.is_nan()),
    };
    each(Silu, &numbers, check);
    each(GeluTanh, &numbers, check);
    each(GeluErf, &numbers, check);
}

/// The ragged end of a slice goes through the same arithmetic as the rest, and nothing beyond it is
/// touched.
#[test]
fn a_number_becomes_the_same_wherever_it_lies() {
    for isa in Isa::available() {
        let dispatch = Dispatch::detect(isa).unwrap();
        for len in 0..40 {
            let mut values = vec![0.731; len + 1];
            dispatch.run(Apply(Silu, &mut values[..len]));
            assert_eq!(values[len], 0.731);
            assert!(
                values[..len]
                    .iter()
                    .all(|value| value.to_bits() == values[0].to_bits())
            );
        }
    }
}

/// Integers add up exactly in any order, so only a value left out or counted twice shows.
#[test]
fn sums_count_every_value_once() {
    for len in 0..70 {
        let values: Vec<f32> = (1..=len).map(|i| i as f32).collect();
        assert_eq!(sum(&values), (len * (len + 1) / 2) as f32);
        let squares: i32 = (1..=len).map(|i| (i - 3) * (i - 3)).sum();
        assert_eq!(sum_of_squares(&values, 3.0), squares as f32);
    }
}
