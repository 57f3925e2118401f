//! What integer kernels must give to the last bit, whatever the instruction set.

use llavaguard_backend::{BLOCK, DType, Device, Epilogue, Rounding, block_on, quant};
use llavaguard_cpu::CpuDevice;

/// With one block of 32 inputs a product is one whole number, scaled: no order of additions and no
/// fused operation can make a difference. So every build of the kernels must give the very bits of
/// this formula, and thus of each other. The operands go to the edges of what bytes can hold. Gives
/// how many values were compared.
pub fn one_block_is_exact(device: &CpuDevice) -> usize {
    let (m, n) = (7, 77);
    let mut compared = 0;
    for dtype in [DType::Q8_0, DType::Q4_0] {
        for round in 0..4 {
            let weights: Vec<f32> = (0..n * BLOCK).map(|i| value(i, round)).collect();
            let x: Vec<f32> = (0..m * BLOCK).map(|i| value(i + 11, round + 1)).collect();
            let mut bytes = Vec::new();
            for row in weights.chunks(BLOCK) {
                quant::encode_row(dtype, row, &mut bytes).unwrap();
            }
            let expected = formula(dtype, &x, &bytes);
            let weight = device.load_weight(n, BLOCK, dtype, bytes).unwrap();
            let x = device.upload(m, BLOCK, &x).unwrap();
            let out = device.linear(&x, &weight, None, Epilogue::None).unwrap();
            let found = block_on(device.read(&out)).unwrap();
            assert_eq!(found.len(), expected.len());
            for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(
                    found.to_bits(),
                    expected.to_bits(),
                    "{} {dtype} {index}: {found:e} for {expected:e}",
                    device.name()
                );
                compared += 1;
            }
        }
    }
    compared
}

/// Extremes of both signs in runs of every length, and ordinary values.
fn value(i: usize, round: usize) -> f32 {
    match round {
        0 => [1.0, -1.0][i / 7 % 2],
        1 => 1.0,
        2 => -1.0,
        _ => ((i * i + 5 * i) as f32 * 0.37).sin() * 3.0,
    }
}

fn formula(dtype: DType, x: &[f32], stored: &[u8]) -> Vec<f32> {
    let rounding = Rounding::before(dtype).unwrap();
    let mut out = Vec::new();
    for x in x.as_chunks::<BLOCK>().0 {
        let largest = x.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let (x_scale, inverse) = rounding.scale(largest);
        let quants = x.map(|v| (v * inverse).round_ties_even() as i32);
        for block in stored.chunks(dtype.block_bytes()) {
            let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
            let weight = |i: usize| match dtype {
                DType::Q8_0 => i32::from(block[2 + i].cast_signed()),
                _ if i < 16 => i32::from(block[2 + i] & 15) - 8,
                _ => i32::from(block[i - 14] >> 4) - 8,
            };
            let sum: i32 = (0..BLOCK).map(|i| quants[i] * weight(i)).sum();
            out.push(sum as f32 * (x_scale * scale));
        }
    }
    out
}
