use super::*;

/// Every 37th float of a range of magnitudes, with both signs.
fn sweep(from: f32, to: f32) -> impl Iterator<Item = f32> {
    (from.to_bits()..to.to_bits())
        .step_by(3_701)
        .map(f32::from_bits)
        .flat_map(|x| [x, -x])
}

#[test]
fn exp_is_within_two_units() {
    for x in sweep(1e-9, 87.3) {
        let expected = f64::from(x).exp();
        let unit = f64::from((expected as f32).next_up()) - f64::from(expected as f32);
        let off = (f64::from(exp(x)) - expected).abs() / unit;
        assert!(off <= 2.0, "exp({x}) is off by {off} units");
    }
}

#[test]
fn exp_at_the_ends() {
    assert_eq!(exp(0.0), 1.0);
    assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(exp(-87.4), 0.0);
    assert!(exp(f32::NAN).is_nan());
    assert!(exp(f32::INFINITY).is_finite() && exp(f32::INFINITY) > 2e38);
}

#[test]
fn activations_are_close_everywhere() {
    for x in sweep(1e-6, 60.0) {
        let wide = f64::from(x);
        let logistic = wide / (1.0 + (-wide).exp());
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
        let tanh = 0.5 * wide * (1.0 + inner.tanh());
        let erf = 0.5 * wide * (1.0 + libm::erf(wide / std::f64::consts::SQRT_2));
        let close = |found: f32, expected: f64| {
            (f64::from(found) - expected).abs() <= 3e-7 * expected.abs().max(0.5)
        };
        assert!(
            close(silu(x), logistic),
            "silu({x}) is {} for {logistic}",
            silu(x)
        );
        assert!(
            close(gelu_tanh(x), tanh),
            "gelu_tanh({x}) is {} for {tanh}",
            gelu_tanh(x)
        );
        assert!(
            close(gelu_erf(x), erf),
            "gelu_erf({x}) is {} for {erf}",
            gelu_erf(x)
        );
    }
    for activation in [silu, gelu_tanh, gelu_erf] {
        assert_eq!(activation(1e30), 1e30);
        assert!(activation(-1e4).abs() < 1e-30);
        assert!(activation(f32::NAN).is_nan());
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
