//! NEON, part of every aarch64.

use std::arch::aarch64::*;

use super::{Registers, Simd};

/// NEON: part of the architecture, so it is always there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon;

impl Simd for Neon {
    type Vector = float32x4_t;
    type Block = [f32; 4];
    const LANES: usize = 4;
    const REGISTERS: Registers = Registers::Many;

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    fn load(self, block: &[f32; 4]) -> float32x4_t {
        // SAFETY: every aarch64 has NEON; the block is 4 readable floats.
        unsafe { vld1q_f32(block.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: float32x4_t, block: &mut [f32; 4]) {
        // SAFETY: every aarch64 has NEON; the block is 4 writable floats.
        unsafe { vst1q_f32(block.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn sum(self, vector: float32x4_t) -> f32 {
        // SAFETY: every aarch64 has NEON.
        unsafe { vaddvq_f32(vector) }
    }

    #[inline(always)]
    fn scale_bytes(self, scale: f32, bytes: &[u8; 32], out: &mut [f32; 32]) {
        let out = Self::blocks_mut(out).as_chunks_mut::<4>().0;
        for (bytes, out) in bytes.as_chunks::<16>().0.iter().zip(out) {
            // SAFETY: every aarch64 has NEON.
            let quarters = unsafe { widen(bytes, scale) };
            for (quarter, out) in quarters.into_iter().zip(out) {
                self.store(quarter, out);
            }
        }
    }

    #[inline(always)]
    fn blocks(data: &[f32]) -> (&[[f32; 4]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 4]] {
        data.as_chunks_mut().0
    }
}

/// Signed bytes times `scale`.
#[inline]
#[target_feature(enable = "neon")]
fn widen(bytes: &[u8; 16], scale: f32) -> [float32x4_t; 4] {
    // SAFETY: `bytes` is 16 readable bytes.
    let bytes = unsafe { vld1q_s8(bytes.as_ptr().cast()) };
    let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
    [
        vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), scale),
        vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(low)), scale),
        vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), scale),
        vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(high)), scale),
    ]
}
