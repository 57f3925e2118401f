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
    fn blocks(data: &[f32]) -> (&[[f32; 4]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 4]] {
        data.as_chunks_mut().0
    }
}
