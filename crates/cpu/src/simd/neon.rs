//! NEON, part of every aarch64, and its byte dot products, part of most.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Kernel, Registers, Simd};

/// NEON, with the dot product extension or without; a value exists only where [`Neon::detect`] saw it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon<const DOT: bool>(());

impl<const DOT: bool> Neon<DOT> {
    pub fn detect() -> Option<Self> {
        (!DOT || std::arch::is_aarch64_feature_detected!("dotprod")).then_some(Self(()))
    }

    pub fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "neon,dotprod")]
        fn dot<K: Kernel, const DOT: bool>(simd: Neon<DOT>, kernel: K) {
            kernel.run(simd);
        }
        if DOT {
            // SAFETY: `self` exists, so the machine has the extension; every aarch64 has NEON.
            unsafe { dot(self, kernel) }
        } else {
            kernel.run(self);
        }
    }
}

impl<const DOT: bool> Simd for Neon<DOT> {
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
    fn blocks(data: &[f32]) -> (&[[f32; 4]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 4]] {
        data.as_chunks_mut().0
    }

    type Bytes = int8x16_t;
    type Quad = int8x16_t;
    type Sums = int32x4_t;
    const PANEL_VECTORS: usize = 4;

    #[inline(always)]
    fn bytes(self, data: &[u8]) -> int8x16_t {
        let data = &data[..16];
        // SAFETY: every aarch64 has NEON; 16 bytes are readable.
        unsafe { vld1q_s8(data.as_ptr().cast()) }
    }

    #[inline(always)]
    fn quad(self, data: &[u8; 4]) -> int8x16_t {
        // SAFETY: every aarch64 has NEON.
        let quad = unsafe { vdupq_n_s32(i32::from_le_bytes(*data)) };
        // SAFETY: every aarch64 has NEON.
        unsafe { vreinterpretq_s8_s32(quad) }
    }

    #[inline(always)]
    fn start(self, value: i32) -> int32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vdupq_n_s32(value) }
    }

    #[inline(always)]
    fn start_from(self, values: &[i32]) -> int32x4_t {
        let values = &values[..4];
        // SAFETY: every aarch64 has NEON; 4 numbers are readable.
        unsafe { vld1q_s32(values.as_ptr()) }
    }

    /// Operands in 0..=127 are the same signed as unsigned.
    #[inline(always)]
    fn dot_signed(self, sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
        if DOT {
            let mut sums = sums;
            // SAFETY: `self` exists with DOT, so the machine has the instruction; it touches these
            // registers alone. (Its intrinsic is not stable yet.)
            unsafe {
                asm!(
                    "sdot {sums:v}.4s, {weights:v}.16b, {x:v}.16b",
                    sums = inout(vreg) sums,
                    weights = in(vreg) weights,
                    x = in(vreg) x,
                    options(pure, nomem, nostack, preserves_flags)
                );
            }
            return sums;
        }
        // SAFETY: every aarch64 has NEON.
        unsafe { dot_16(sums, weights, x) }
    }

    type NibbleSums = int32x4_t;
    const PAIRS: bool = false;

    #[inline(always)]
    fn nibble_start(self, start: i32) -> int32x4_t {
        self.start(start)
    }

    #[inline(always)]
    fn widen_nibbles(self, sums: int32x4_t) -> float32x4_t {
        self.widen(sums)
    }

    #[inline(always)]
    fn dot_nibbles(self, sums: int32x4_t, weights: int8x16_t, x: int8x16_t) -> int32x4_t {
        self.dot_signed(sums, x, weights)
    }

    #[inline(always)]
    fn nibbles(self, packed: int8x16_t) -> (int8x16_t, int8x16_t) {
        // SAFETY: every aarch64 has NEON.
        unsafe { nibbles(packed) }
    }

    #[inline(always)]
    fn less(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vsubq_s32(a, b) }
    }

    #[inline(always)]
    fn negated(self, sums: int32x4_t, out: &mut [i32]) {
        let out = &mut out[..4];
        // SAFETY: every aarch64 has NEON.
        let negated = unsafe { vnegq_s32(sums) };
        // SAFETY: every aarch64 has NEON; 4 numbers are writable.
        unsafe { vst1q_s32(out.as_mut_ptr(), negated) }
    }

    #[inline(always)]
    fn widen(self, sums: int32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vcvtq_f32_s32(sums) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { select_less(a, b, b, a) }
    }

    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { select_less(b, a, b, a) }
    }

    #[inline(always)]
    fn select_less(
        self,
        a: float32x4_t,
        b: float32x4_t,
        then: float32x4_t,
        otherwise: float32x4_t,
    ) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { select_less(a, b, then, otherwise) }
    }

    #[inline(always)]
    fn low_bits_as_exponent(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { low_bits_as_exponent(a) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: every aarch64 has NEON.
        unsafe { vmulq_f32(a, b) }
    }
}

/// Low and high nibbles.
#[inline]
#[target_feature(enable = "neon")]
fn nibbles(packed: int8x16_t) -> (int8x16_t, int8x16_t) {
    let packed = vreinterpretq_u8_s8(packed);
    let low = vandq_u8(packed, vdupq_n_u8(15));
    let high = vshrq_n_u8::<4>(packed);
    (vreinterpretq_s8_u8(low), vreinterpretq_s8_u8(high))
}

/// Dot products of four signed bytes each, added to `sums`, by 16-bit products.
#[inline]
#[target_feature(enable = "neon")]
fn dot_16(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    let high = vmull_high_s8(a, b);
    vaddq_s32(sums, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))
}

/// `then` where `a < b`, else `otherwise`.
#[inline]
#[target_feature(enable = "neon")]
fn select_less(
    a: float32x4_t,
    b: float32x4_t,
    then: float32x4_t,
    otherwise: float32x4_t,
) -> float32x4_t {
    vbslq_f32(vcltq_f32(a, b), then, otherwise)
}

/// The bits of each number shifted to the left by 23.
#[inline]
#[target_feature(enable = "neon")]
fn low_bits_as_exponent(a: float32x4_t) -> float32x4_t {
    vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(a)))
}
