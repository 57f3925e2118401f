//! The suite itself: it passes the reference, and it notices a device that is wrong.

use super::*;
use crate::block_on;

#[test]
fn the_reference_passes() {
    let report = block_on(check_all(&Reference::EXACT)).unwrap();
    assert!(report.checks.iter().all(|check| check.error == 0.0));
    assert!(report.checks.len() > 100 && report.independence_checks > 30 && report.refusals > 40);
    assert_eq!(
        block_on(check_same_bits(&Reference::EXACT, &Reference::EXACT)).unwrap(),
        report.checks.len()
    );
    let text = report.to_string();
    for case in ["linear", "cached_attention", "pool_bilinear", "argmax"] {
        assert!(text.contains(case), "{text}");
    }
}

fn output(values: &[f32]) -> Output {
    let sizes = "2 x 2".to_owned();
    Output {
        case: "linear",
        sizes,
        tolerance: 1e-3,
        cols: 2,
        values: values.to_vec(),
    }
}

#[test]
fn an_error_counts_against_its_own_row() {
    let expected = output(&[1.0, 1000.0, 1.0, 0.5]);
    let close = compare(&expected, &output(&[1.5, 1000.0, 1.0, 0.5])).unwrap();
    assert_eq!(close.error, 5e-4);
    let far = compare(&expected, &output(&[1.0, 1000.0, 1.0, 0.502])).unwrap_err();
    assert!(matches!(far, Failure::Far { index: 3, .. }), "{far}");
}

#[test]
fn nan_and_a_short_result_fail() {
    let expected = output(&[1.0; 4]);
    let nan = compare(&expected, &output(&[1.0, f32::NAN, 1.0, 1.0])).unwrap_err();
    assert!(matches!(nan, Failure::Far { index: 1, .. }), "{nan}");
    let short = compare(&expected, &output(&[1.0; 3])).unwrap_err();
    assert!(
        matches!(
            short,
            Failure::Length {
                expected: 4,
                found: 3,
                ..
            }
        ),
        "{short}"
    );
}

#[test]
fn the_last_bit_counts() {
    let different = same_bits(
        "linear",
        "",
        "twice",
        &[0.0, 1.0],
        &[0.0, 1.0 + f32::EPSILON],
    );
    assert!(matches!(different, Err(Failure::Bits { index: 1, .. })));
    assert!(matches!(
        same_bits("linear", "", "twice", &[0.0], &[-0.0]),
        Err(Failure::Bits { .. })
    ));
}
