//! The reference against values PyTorch 2.15 and transformers 5.23 gave for the same operands.

use super::*;
use crate::block_on;

fn matrix(rows: usize, values: &[f32]) -> Matrix {
    Reference::EXACT
        .upload(rows, values.len() / rows, values)
        .unwrap()
}

fn f32_weight(rows: usize, values: &[f32]) -> Weight {
    let bytes = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Reference::EXACT
        .load_weight(rows, values.len() / rows, DType::F32, bytes)
        .unwrap()
}

#[track_caller]
fn assert_close(found: &Matrix, expected: &[f64], tolerance: f64) {
    let found = block_on(Reference::EXACT.read(found)).unwrap();
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let off = (f64::from(*found) - expected).abs();
        assert!(
            off <= tolerance * expected.abs().max(1e-3),
            "{i}: {found} for {expected}"
        );
    }
}

#[test]
fn linear_multiplies_by_the_transposed_weight() {
    let x = matrix(2, &[1.0, 2.0, 3.0, 0.0, -1.0, 4.0]);
    let w = f32_weight(2, &[1.0, 0.5, 0.0, -1.0, 2.0, 1.0]);
    let bias = matrix(1, &[0.25, 100.0]);
    let out = Reference::EXACT
        .linear(&x, &w, Some(&bias), Epilogue::Add(&x_like()))
        .unwrap();
    assert_close(&out, &[12.25, 126.0, 29.75, 142.0], 0.0);
    let rows = Reference::EXACT.linear_rows(&x, &w, &[1, 1, 0]).unwrap();
    assert_close(&rows, &[6.0, 6.0, 2.0, 2.0, 2.0, -0.5], 0.0);
}

fn x_like() -> Matrix {
    matrix(2, &[10.0, 20.0, 30.0, 40.0])
}

#[test]
fn activations_are_torchs() {
    let x = matrix(7, &[-3.0, -1.5, -0.1, 0.0, 0.7, 2.0, 5.0]);
    let one = f32_weight(1, &[1.0]);
    let tanh = [
        -0.0036373920817729943,
        -0.10042842301976707,
        -0.04601724895456484,
        0.0,
        0.5305701347051167,
        1.954597694087775,
        4.999999770820381,
    ];
    let erf = [
        -0.00404969409489031,
        -0.10021080190328704,
        -0.0460172162722971,
        0.0,
        0.5306254434438489,
        1.9544997361036416,
        4.999998566742141,
    ];
    let silu = [
        -0.14227761953270035,
        -0.2736382857095345,
        -0.047502081252106004,
        0.0,
        0.46773144051771626,
        1.7615941559557646,
        4.966535745378576,
    ];
    assert_close(
        &Reference::EXACT
            .linear(&x, &one, None, Epilogue::GeluTanh)
            .unwrap(),
        &tanh,
        1e-7,
    );
    assert_close(
        &Reference::EXACT
            .linear(&x, &one, None, Epilogue::GeluErf)
            .unwrap(),
        &erf,
        1e-7,
    );
    // The gate reads the first column and the other factor the second, which is one.
    let pairs = [-3.0, -1.5, -0.1, 0.0, 0.7, 2.0, 5.0].map(|value| [value, 1.0]);
    let x = matrix(7, pairs.as_flattened());
    let (gate, up) = (f32_weight(1, &[1.0, 0.0]), f32_weight(1, &[0.0, 1.0]));
    assert_close(
        &Reference::EXACT.gated(&x, &gate, &up).unwrap(),
        &silu,
        1e-7,
    );
}

#[test]
fn norms_are_torchs() {
    let x = matrix(1, &[1.0, 2.0, -3.0, 4.0]);
    let gain = matrix(1, &[1.0, 0.5, 2.0, -1.0]);
    let bias = matrix(1, &[0.0, 1.0, 0.0, 0.25]);
    let layer = [
        0.0,
        1.1961161200523291,
        -3.1378579208372677,
        -0.9266967203139753,
    ];
    let rms = [
        0.3651483473268884,
        0.3651483473268884,
        -2.1908900839613303,
        -1.4605933893075536,
    ];
    assert_close(
        &Reference::EXACT.layer_norm(&x, &gain, &bias, 1e-6).unwrap(),
        &layer,
        1e-7,
    );
    assert_close(
        &Reference::EXACT.rms_norm(&x, &gain, 1e-6).unwrap(),
        &rms,
        1e-7,
    );
}

/// `Qwen2RotaryEmbedding` and `apply_rotary_pos_emb`: two heads of four at position 7001.
#[test]
fn rotary_is_transformers() {
    let mut x = matrix(1, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    Reference::EXACT.rotary(&mut x, 4, 7001, 1e4).unwrap();
    let expected = [
        -2.9584736824035645,
        -1.869651436805725,
        1.116886019706726,
        4.06256103515625,
        -6.798522472381592,
        -2.488208770751953,
        5.2706828117370605,
        9.685495376586914,
    ];
    assert_close(&x, &expected, 1e-6);
}

/// `scaled_dot_product_attention`: two query heads over one key head, full and causal.
#[test]
fn attention_is_torchs() {
    let shape = AttentionShape {
        heads: 2,
        kv_heads: 1,
        head_dim: 2,
    };
    let q = matrix(2, &[0.5, -1.0, 2.0, 0.25, 1.0, 1.0, -1.0, 0.5]);
    let k = matrix(3, &[1.0, 0.0, -0.5, 2.0, 0.25, 0.75]);
    let v = matrix(3, &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    let last = [2.0, 20.0, 2.133968706511254, 21.339687065112535];
    let full = [
        1.6558963910040287,
        16.558963910040283,
        1.6138717842122252,
        16.13871784212225,
    ];
    let out = Reference::EXACT.attention(&q, &k, &v, shape).unwrap();
    assert_close(&out, &[full, last].concat(), 1e-7);

    let cache_shape = CacheShape {
        layers: 1,
        width: 2,
        capacity: 3,
    };
    let mut cache = Reference::EXACT.new_cache(cache_shape).unwrap();
    Reference::EXACT
        .cache_write(&mut cache, 0, 0, &k, &v)
        .unwrap();
    let causal = [
        1.1251495376296226,
        11.251495376296226,
        1.1458202499936192,
        11.458202499936194,
    ];
    let out = Reference::EXACT
        .cached_attention(&q, &cache, 0, 1, shape)
        .unwrap();
    assert_close(&out, &[causal, last].concat(), 1e-7);
}

/// `interpolate(mode="bilinear", align_corners=False)` of squares on a 2 x 3 grid.
#[test]
fn pooling_is_torchs() {
    let x = matrix(6, &[0.0, 1.0, 4.0, 9.0, 16.0, 25.0]);
    let expected: [((usize, usize), &[f64]); 3] = [
        ((3, 2), &[0.25, 3.25, 5.5, 13.0, 10.75, 22.75]),
        ((1, 1), &[8.5]),
        (
            (4, 5),
            &[
                0.0, 0.4, 1.0, 2.8, 4.0, 2.25, 3.25, 4.75, 7.45, 9.25, 6.75, 8.95, 12.25, 16.75,
                19.75, 9.0, 11.8, 16.0, 21.4, 25.0,
            ],
        ),
    ];
    for (to, expected) in expected {
        assert_close(
            &Reference::EXACT.pool_bilinear(&x, (2, 3), to).unwrap(),
            expected,
            1e-6,
        );
    }
}

#[test]
fn rows_are_picked() {
    let table = f32_weight(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_close(
        &Reference::EXACT.embed(&table, &[2, 0]).unwrap(),
        &[5.0, 6.0, 1.0, 2.0],
        0.0,
    );
    let table = matrix(3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let newline = matrix(1, &[9.0, 8.0]);
    let row = |source, row| RowRef { source, row };
    let rows = [row(0, 1), row(1, 0), row(0, 2)];
    let out = Reference::EXACT.gather(&[&table, &newline], &rows).unwrap();
    assert_close(&out, &[3.0, 4.0, 9.0, 8.0, 5.0, 6.0], 0.0);
}

#[test]
fn argmax_takes_the_first_of_the_highest_not_banned() {
    let logits = matrix(1, &[1.0, 7.0, 7.0, 5.0]);
    for (banned, expected) in [(&[][..], 1), (&[1], 2), (&[2, 1], 3)] {
        assert_eq!(
            block_on(Reference::EXACT.argmax(&logits, banned)),
            Ok(expected)
        );
    }
}
