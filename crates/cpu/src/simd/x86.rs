//! AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::{Kernel, Registers, Simd};

/// AVX2 and FMA; a value exists only where [`Avx2::detect`] saw them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

/// AVX-512F (and what [`Avx2`] has); a value exists only where [`Avx512::detect`] saw them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    pub fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx2,fma")]
        fn enabled<K: Kernel>(simd: Avx2, kernel: K) {
            kernel.run(simd);
        }
        // SAFETY: `self` exists, so the machine has AVX2 and FMA.
        unsafe { enabled(self, kernel) }
    }
}

impl Avx512 {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma");
        all.then_some(Self(()))
    }

    pub fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn enabled<K: Kernel>(simd: Avx512, kernel: K) {
            kernel.run(simd);
        }
        // SAFETY: `self` exists, so the machine has these parts of AVX-512 and FMA (AVX2 comes with
        // AVX-512F).
        unsafe { enabled(self, kernel) }
    }
}

impl Simd for Avx2 {
    type Vector = __m256;
    type Block = [f32; 8];
    const LANES: usize = 8;
    const REGISTERS: Registers = Registers::Some;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, block: &[f32; 8]) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2; the block is 8 readable floats, and the
        // load asks for no alignment.
        unsafe { _mm256_loadu_ps(block.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m256, block: &mut [f32; 8]) {
        // SAFETY: `self` exists, so the machine has AVX2; the block is 8 writable floats, and the
        // store asks for no alignment.
        unsafe { _mm256_storeu_ps(block.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sum(self, vector: __m256) -> f32 {
        let mut lanes = [0.0; 8];
        self.store(vector, &mut lanes);
        sum_of_8(lanes)
    }

    #[inline(always)]
    fn scale_bytes(self, scale: f32, bytes: &[u8; 32], out: &mut [f32; 32]) {
        let scale = self.splat(scale);
        for (bytes, out) in bytes.as_chunks::<8>().0.iter().zip(Self::blocks_mut(out)) {
            // SAFETY: `self` exists, so the machine has AVX2.
            let values = unsafe { widen_8(bytes, scale) };
            self.store(values, out);
        }
    }

    #[inline(always)]
    fn blocks(data: &[f32]) -> (&[[f32; 8]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 8]] {
        data.as_chunks_mut().0
    }
}

impl Simd for Avx512 {
    type Vector = __m512;
    type Block = [f32; 16];
    const LANES: usize = 16;
    const REGISTERS: Registers = Registers::Many;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, block: &[f32; 16]) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F; the block is 16 readable floats, and
        // the load asks for no alignment.
        unsafe { _mm512_loadu_ps(block.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512, block: &mut [f32; 16]) {
        // SAFETY: `self` exists, so the machine has AVX-512F; the block is 16 writable floats, and
        // the store asks for no alignment.
        unsafe { _mm512_storeu_ps(block.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sum(self, vector: __m512) -> f32 {
        let mut lanes = [0.0; 16];
        self.store(vector, &mut lanes);
        let mut halves = [0.0; 8];
        for lane in 0..8 {
            halves[lane] = lanes[lane] + lanes[lane + 8];
        }
        sum_of_8(halves)
    }

    #[inline(always)]
    fn scale_bytes(self, scale: f32, bytes: &[u8; 32], out: &mut [f32; 32]) {
        let scale = self.splat(scale);
        for (bytes, out) in bytes.as_chunks::<16>().0.iter().zip(Self::blocks_mut(out)) {
            // SAFETY: `self` exists, so the machine has AVX-512F.
            let values = unsafe { widen_16(bytes, scale) };
            self.store(values, out);
        }
    }

    #[inline(always)]
    fn blocks(data: &[f32]) -> (&[[f32; 16]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 16]] {
        data.as_chunks_mut().0
    }
}

/// Signed bytes times `scale`.
#[inline]
#[target_feature(enable = "avx2")]
fn widen_8(bytes: &[u8; 8], scale: __m256) -> __m256 {
    let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(*bytes));
    _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)))
}

/// Signed bytes times `scale`.
#[inline]
#[target_feature(enable = "avx512f")]
fn widen_16(bytes: &[u8; 16], scale: __m512) -> __m512 {
    let bytes = i128::from_le_bytes(*bytes);
    let bytes = _mm_set_epi64x((bytes >> 64) as i64, bytes as i64);
    _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)))
}

/// Halves added to halves: the order the instructions' own shuffles give.
#[inline(always)]
fn sum_of_8(lanes: [f32; 8]) -> f32 {
    let mut four = [0.0; 4];
    for lane in 0..4 {
        four[lane] = lanes[lane] + lanes[lane + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}
