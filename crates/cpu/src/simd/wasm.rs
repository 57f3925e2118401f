//! WebAssembly's 128-bit vectors, with the relaxed fused multiply-add where the build has it.

use core::arch::wasm32::*;

use super::{Registers, Simd};

/// simd128 (and relaxed-simd, if so built): part of the build, so it is always there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wasm;

impl Simd for Wasm {
    type Vector = v128;
    type Block = [f32; 4];
    const LANES: usize = 4;
    const REGISTERS: Registers = Registers::Few;

    #[inline(always)]
    fn splat(self, value: f32) -> v128 {
        f32x4_splat(value)
    }

    #[inline(always)]
    fn load(self, block: &[f32; 4]) -> v128 {
        // SAFETY: the block is 16 readable bytes, and the load asks for no alignment.
        unsafe { v128_load(block.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, vector: v128, block: &mut [f32; 4]) {
        // SAFETY: the block is 16 writable bytes, and the store asks for no alignment.
        unsafe { v128_store(block.as_mut_ptr().cast(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: v128, b: v128, c: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        return f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        return f32x4_add(f32x4_mul(a, b), c);
    }

    #[inline(always)]
    fn sum(self, vector: v128) -> f32 {
        let halves = f32x4_add(vector, i32x4_shuffle::<2, 3, 0, 1>(vector, vector));
        f32x4_extract_lane::<0>(halves) + f32x4_extract_lane::<1>(halves)
    }

    #[inline(always)]
    fn scale_bytes(self, scale: f32, bytes: &[u8; 32], out: &mut [f32; 32]) {
        let scale = f32x4_splat(scale);
        let out = Self::blocks_mut(out).as_chunks_mut::<4>().0;
        for (bytes, out) in bytes.as_chunks::<16>().0.iter().zip(out) {
            // SAFETY: `bytes` is 16 readable bytes, and the load asks for no alignment.
            let bytes = unsafe { v128_load(bytes.as_ptr().cast()) };
            let (low, high) = (
                i16x8_extend_low_i8x16(bytes),
                i16x8_extend_high_i8x16(bytes),
            );
            let quarters = [
                i32x4_extend_low_i16x8(low),
                i32x4_extend_high_i16x8(low),
                i32x4_extend_low_i16x8(high),
                i32x4_extend_high_i16x8(high),
            ];
            for (quarter, out) in quarters.into_iter().zip(out) {
                self.store(f32x4_mul(scale, f32x4_convert_i32x4(quarter)), out);
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
