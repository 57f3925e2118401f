use proptest::prelude::*;

use super::*;

fn encode(dtype: DType, values: &[f32]) -> Result<Vec<u8>, QuantError> {
    let mut bytes = Vec::new();
    encode_row(dtype, values, &mut bytes).map(|()| bytes)
}

fn decode(dtype: DType, bytes: &[u8], cols: usize) -> Vec<f32> {
    let mut values = vec![f32::NAN; cols];
    decode_row(dtype, bytes, &mut values).unwrap();
    values
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// Bytes made by the `gguf` package from PyPI (`gguf.quants.quantize`), which equals ggml's.
#[test]
fn bytes_are_ggufs() {
    let values: Vec<f32> = (0..64)
        .map(|i| ((i * 37 % 64) as f32 - 29.5) * 0.0625)
        .collect();
    let q8_0 = "3824901cb642dc68029c28c14ee7740da733cd59f37f19b23fd864fe9824be4ae470\
                18240aa031c758ee7f15ac3dd364fa9121b848df6f069c2dc354eb7b12a839cf60f6";
    let q4_0 = "30b4bf269d046ad148be258cf36ac137ae1510b437ae158ce259c0379d047be248bf269d";
    assert_eq!(encode(DType::Q8_0, &values).unwrap(), hex(q8_0));
    assert_eq!(encode(DType::Q4_0, &values).unwrap(), hex(q4_0));
}

#[test]
fn plain_bytes() {
    assert_eq!(
        encode(DType::F32, &[1.0, -2.5]).unwrap(),
        [0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]
    );
    assert_eq!(
        encode(DType::F16, &[1.0, -2.5, 6.0e-8]).unwrap(),
        [0, 0x3c, 0, 0xc1, 1, 0]
    );
    assert_eq!(decode(DType::F16, &[0, 0x3c, 0, 0xc1], 2), [1.0, -2.5]);
}

#[test]
fn the_extremes_of_a_block_survive() {
    let mut values = [0.0; 32];
    (values[3], values[20]) = (-127.0, 127.0);
    assert_eq!(
        decode(DType::Q8_0, &encode(DType::Q8_0, &values).unwrap(), 32),
        values
    );
    // The largest magnitude becomes -8; its negative would be 8 and is clamped to 7.
    let mut values = [0.0; 32];
    (values[3], values[20]) = (16.0, -16.0);
    let mut expected = values;
    expected[20] = -14.0;
    assert_eq!(
        decode(DType::Q4_0, &encode(DType::Q4_0, &values).unwrap(), 32),
        expected
    );
}

#[test]
fn zeros_and_the_smallest_values_stay_finite() {
    for dtype in [DType::Q8_0, DType::Q4_0] {
        for value in [0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1e-12] {
            let decoded = decode(dtype, &encode(dtype, &[value; 32]).unwrap(), 32);
            assert!(
                decoded.iter().all(|v| v.abs() <= 1e-6),
                "{dtype} {value:e}: {decoded:?}"
            );
        }
    }
}

#[test]
fn lengths_are_checked() {
    for dtype in [DType::Q8_0, DType::Q4_0] {
        let ragged = QuantError::RaggedRow { dtype, cols: 33 };
        assert_eq!(encode(dtype, &[0.0; 33]), Err(ragged));
        assert_eq!(decode_row(dtype, &[0; 34], &mut [0.0; 33]), Err(ragged));
    }
    for dtype in DType::ALL {
        let expected = dtype.row_bytes(64).unwrap();
        for found in [0, expected - 1, expected + 1] {
            let error = decode_row(dtype, &vec![0; found], &mut [0.0; 64]).unwrap_err();
            assert_eq!(
                error,
                QuantError::RowBytes {
                    dtype,
                    cols: 64,
                    expected,
                    found
                }
            );
        }
        assert_eq!(encode(dtype, &[]), Ok(vec![]));
    }
}

#[test]
fn what_is_not_finite_or_too_large_is_named() {
    for dtype in DType::ALL {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 64];
            values[45] = value;
            let mut bytes = vec![7];
            let error = encode_row(dtype, &values, &mut bytes).unwrap_err();
            assert!(
                matches!(error, QuantError::NotFinite { index: 45, .. }),
                "{error}"
            );
            assert_eq!(error.code(), "quant.not_finite");
            assert_eq!(bytes, [7]);
        }
    }
    for (dtype, value) in [
        (DType::F16, 65_520.0),
        (DType::Q8_0, -8.4e6),
        (DType::Q4_0, 5.3e5),
    ] {
        let mut values = [1.0; 64];
        values[45] = value;
        let mut bytes = vec![7];
        let error = encode_row(dtype, &values, &mut bytes).unwrap_err();
        assert_eq!(
            error,
            QuantError::Overflow {
                dtype,
                index: 45,
                value
            }
        );
        assert_eq!(bytes, [7]);
    }
    assert!(encode(DType::F16, &[65_519.0]).is_ok());
}

proptest! {
    /// q8_0 is off by half a step and by the rounding of the scale, which counts 127 times at most.
    #[test]
    fn q8_0_error_is_bounded(values in proptest::collection::vec(-1e3f32..1e3, 96)) {
        let decoded = decode(DType::Q8_0, &encode(DType::Q8_0, &values).unwrap(), 96);
        for (values, decoded) in values.chunks(32).zip(decoded.chunks(32)) {
            let largest = values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let bound = largest / 127.0 * 0.501 + largest / 2048.0 + 1e-5;
            for (value, decoded) in values.iter().zip(decoded) {
                prop_assert!((value - decoded).abs() <= bound, "{value} became {decoded}");
            }
        }
    }

    /// q4_0 is off by half a step, by a whole one at the end that has no 8.
    #[test]
    fn q4_0_error_is_bounded(values in proptest::collection::vec(-1e3f32..1e3, 96)) {
        let decoded = decode(DType::Q4_0, &encode(DType::Q4_0, &values).unwrap(), 96);
        for (values, decoded) in values.chunks(32).zip(decoded.chunks(32)) {
            let largest = values.iter().fold(0.0f32, |m, v| if v.abs() > m.abs() { *v } else { m });
            let step = largest.abs() / 8.0;
            for (value, decoded) in values.iter().zip(decoded) {
                let beyond = *value / -largest > 7.0 / 8.0;
                let bound = if beyond { 1.001 } else { 0.501 } * step + step / 256.0 + 1e-4;
                prop_assert!((value - decoded).abs() <= bound, "{value} became {decoded}");
            }
        }
    }

    /// f16 keeps eleven bits.
    #[test]
    fn f16_error_is_bounded(values in proptest::collection::vec(-6e4f32..6e4, 1..50)) {
        let decoded = decode(DType::F16, &encode(DType::F16, &values).unwrap(), values.len());
        for (value, decoded) in values.iter().zip(&decoded) {
            prop_assert!((value - decoded).abs() <= value.abs() / 2048.0 + 3e-8);
        }
    }

    #[test]
    fn f32_is_exact(values in proptest::collection::vec(-1e30f32..1e30, 0..50)) {
        prop_assert_eq!(decode(DType::F32, &encode(DType::F32, &values).unwrap(), values.len()), values);
    }
}
