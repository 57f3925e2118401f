//! What the suite does not ask: the contract's corners, memory, and what happens when things fail.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{adapter, open, options, sets};
use llavaguard_backend::{
    CacheShape, DType, Device, DeviceError, Epilogue, block_on, conformance, quant,
};
use llavaguard_gpu::{Extras, GpuDevice, Options, device_bytes};

fn values(len: usize, phase: f32) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.37 + phase).sin()).collect()
}

fn weight(device: &GpuDevice, rows: usize, cols: usize, dtype: DType) -> llavaguard_gpu::Weight {
    let mut bytes = Vec::new();
    for row in 0..rows {
        quant::encode_row(dtype, &values(cols, row as f32), &mut bytes).unwrap();
    }
    device.load_weight(rows, cols, dtype, bytes).unwrap()
}

#[test]
fn software_is_used_only_by_name() {
    let all = block_on(llavaguard_gpu::adapters());
    let result = block_on(GpuDevice::new(&Options::default()));
    if all.iter().all(|adapter| adapter.software) {
        let error = result.unwrap_err();
        assert_eq!(error.code(), "device.lost");
        assert!(error.to_string().contains("(software)"), "{error}");
    } else {
        assert!(!result.unwrap().adapter().software);
    }
    let named = Options {
        adapter: Some("no such adapter".to_owned()),
        ..Options::default()
    };
    let error = block_on(GpuDevice::new(&named)).unwrap_err();
    assert!(error.to_string().contains("no such adapter"), "{error}");
}

#[test]
fn kernels_for_few_and_many_rows_agree() {
    for extras in sets() {
        let device = open(extras);
        assert!(block_on(device.self_test(&DType::ALL, &[64, 72])).unwrap());
        assert!(!device.alike());
    }
}

#[test]
fn one_kernel_for_every_number_of_rows_passes_too() {
    let device = open(Extras::default());
    device.set_alike(true);
    block_on(conformance::check_all(&device)).unwrap();
}

/// The weights' tiles in half precision are exact, so the bits are those without.
#[test]
fn half_precision_tiles_change_no_bit() {
    if !adapter().extras.half {
        panic!("the adapter has no shader-f16: take one that has");
    }
    let plain = open(Extras::default());
    let half = open(Extras {
        half: true,
        ..Extras::default()
    });
    block_on(conformance::check_same_bits(&plain, &half)).unwrap();
}

#[test]
fn a_weight_over_many_bindings_gives_the_same_bits() {
    for extras in sets() {
        let whole = open(extras);
        let split = block_on(GpuDevice::new(&Options {
            largest_binding: Some(20_000),
            flops_per_submission: Some(1e5),
            ..options(extras)
        }))
        .unwrap();
        let mut runs = Vec::new();
        for device in [&whole, &split] {
            let mut results = Vec::new();
            for dtype in DType::ALL {
                let w = weight(device, 150, 96, dtype);
                for rows in [1, 5, 37] {
                    let x = device.upload(rows, 96, &values(rows * 96, 0.1)).unwrap();
                    let out = device.linear(&x, &w, None, Epilogue::GeluTanh).unwrap();
                    results.push(block_on(device.read(&out)).unwrap());
                    let ids = [149, 0, 31, 32, 33, 80];
                    let out = device.linear_rows(&x, &w, &ids).unwrap();
                    results.push(block_on(device.read(&out)).unwrap());
                }
                let out = device.embed(&w, &[149, 3, 64, 17]).unwrap();
                results.push(block_on(device.read(&out)).unwrap());
            }
            runs.push(results);
        }
        assert_eq!(runs[0], runs[1], "{extras:?}");
        // One long dispatch has become several short ones, and none waits for all others.
        let [whole, split] = [whole, split].map(|device| device.counts());
        assert!(split.dispatches > 2 * whole.dispatches, "{split:?}");
        // Every result read is a submission already.
        assert!(split.submissions > whole.submissions, "{split:?}");
    }
}

/// Scales of a trained model's small weights are below what a half holds with all its bits.
#[test]
fn subnormal_scales_are_kept() {
    let small: Vec<f32> = (0..64).map(|i| (i as f32 - 31.0) * 1e-5).collect();
    for extras in sets() {
        let device = open(extras);
        for dtype in [DType::F16, DType::Q8_0, DType::Q4_0] {
            let mut bytes = Vec::new();
            quant::encode_row(dtype, &small, &mut bytes).unwrap();
            let mut expected = vec![0.0; 64];
            quant::decode_row(dtype, &bytes, &mut expected).unwrap();
            let table = device.load_weight(1, 64, dtype, bytes).unwrap();
            let row = device.embed(&table, &[0]).unwrap();
            assert_eq!(block_on(device.read(&row)).unwrap(), expected, "{dtype}");
        }
    }
}

#[test]
fn a_scale_that_is_no_number_is_refused() {
    let device = open(Extras::default());
    let mut bytes = Vec::new();
    quant::encode_row(DType::Q8_0, &values(64, 0.0), &mut bytes).unwrap();
    bytes[35] = 0x7c;
    let error = device.load_weight(1, 64, DType::Q8_0, bytes).unwrap_err();
    assert!(
        matches!(error, DeviceError::WeightNotFinite { row: 0, .. }),
        "{error}"
    );
}

/// A prompt as long as a session's, in which operations of two runs follow each other: the second
/// run takes no memory.
#[test]
fn a_second_run_takes_no_memory() {
    let device = open(Extras::default());
    let w = weight(&device, 64, 64, DType::Q8_0);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let mut x = device.upload(50, 64, &values(50 * 64, 0.3)).unwrap();
        for _ in 0..20 {
            x = device.linear(&x, &w, None, Epilogue::Add(&x)).unwrap();
        }
        block_on(device.read(&x)).unwrap();
        drop(x);
        seen.push(device.bytes());
    }
    assert_eq!(seen[1], seen[2], "{seen:?}");
}

/// What is uploaded while operations wait to be submitted must not reach those before it.
#[test]
fn an_upload_changes_nothing_recorded_before_it() {
    let device = open(Extras::default());
    let one = weight(&device, 4, 32, DType::F32);
    let mut expected = Vec::new();
    let mut found = Vec::new();
    for step in 0..40 {
        let input = values(32, step as f32);
        let x = device.upload(1, 32, &input).unwrap();
        // Dropped here, so that its buffer is free for the next upload.
        found.push(device.linear(&x, &one, None, Epilogue::None).unwrap());
        drop(x);
        let row = values(32, 2.0);
        expected.push(input.iter().zip(&row).map(|(a, b)| a * b).sum::<f32>());
    }
    for (found, expected) in found.iter().zip(expected) {
        let value = block_on(device.read(found)).unwrap()[2];
        assert!((value - expected).abs() < 1e-4, "{value} for {expected}");
    }
}

#[test]
fn the_cache_grows_with_use() {
    let device = open(Extras::default());
    // The 0.5B's, at its longest.
    let shape = CacheShape {
        layers: 24,
        width: 128,
        capacity: 32_768,
    };
    let before = device.bytes();
    let mut cache = device.new_cache(shape).unwrap();
    assert_eq!(device.bytes(), before);
    let k = device.upload(100, 128, &values(12_800, 0.0)).unwrap();
    for layer in 0..24 {
        device.cache_write(&mut cache, layer, 0, &k, &k).unwrap();
    }
    let most = 24 * 2 * 256 * 128 * 4 + (1 << 20);
    let taken = device.bytes() - before;
    assert!(taken <= most, "{taken} bytes for 100 positions");
}

#[test]
fn no_number_stays_no_number_through_rounding() {
    for extras in sets() {
        let device = open(extras);
        for dtype in DType::ALL {
            let w = weight(&device, 16, 64, dtype);
            for bad in [f32::NAN, f32::INFINITY] {
                let mut x = values(64, 0.0);
                x[40] = bad;
                let x = device.upload(1, 64, &x).unwrap();
                let out = device.linear(&x, &w, None, Epilogue::None).unwrap();
                let out = block_on(device.read(&out)).unwrap();
                assert!(
                    out.iter().all(|v| !v.is_finite()),
                    "{dtype} {extras:?} {bad}: {out:?}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_fit_is_refused_with_its_size() {
    let device = open(Extras::default());
    let weights = device_bytes(151_936, 896, DType::Q8_0);
    assert_eq!(weights, 151_936 * 896 / 32 * 34);
    block_on(device.reserve(1 << 20)).unwrap();
    let shape = CacheShape {
        layers: 1,
        width: 1 << 20,
        capacity: 1 << 20,
    };
    let error = device.new_cache(shape).unwrap_err();
    assert_eq!(error, DeviceError::OutOfMemory { bytes: 1 << 42 });
    // That was no failure of the device.
    device.upload(1, 1, &[1.0]).unwrap();
}

#[test]
fn a_lost_device_gives_errors_and_no_results() {
    let device = open(Extras::default());
    let x = device.upload(1, 4, &[1.0; 4]).unwrap();
    device.raw().destroy();
    let w = values(16, 0.0)
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let loaded = device.load_weight(4, 4, DType::F32, w);
    let result = loaded.and_then(|w| device.linear(&x, &w, None, Epilogue::None));
    let read = match result {
        Ok(out) => block_on(device.read(&out)).map(drop),
        Err(error) => Err(error),
    };
    let error = read.unwrap_err();
    assert!(matches!(error, DeviceError::Lost(_)), "{error}");
    assert!(block_on(device.read(&x)).is_err());
    let logits = device.upload(1, 2, &[0.0, 1.0]);
    let chosen = logits.and_then(|logits| block_on(device.argmax(&logits, &[])));
    assert!(matches!(chosen, Err(DeviceError::Lost(_))));
}
