//! AVX2 with FMA, and AVX-512.

use std::arch::x86_64::*;

use super::{Kernel, Registers, Simd};

/// AVX2 and FMA, with AVX-VNNI or without; a value exists only where [`Avx2::detect`] saw them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>(());

/// AVX-512F (and what [`Avx2`] has), with AVX-512-VNNI or without; a value exists only where
/// [`Avx512::detect`] saw them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>(());

impl<const VNNI: bool> Avx2<VNNI> {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && (!VNNI || is_x86_feature_detected!("avxvnni"));
        all.then_some(Self(()))
    }

    pub fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx2,fma")]
        fn plain<K: Kernel, const VNNI: bool>(simd: Avx2<VNNI>, kernel: K) {
            kernel.run(simd);
        }
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn vnni<K: Kernel, const VNNI: bool>(simd: Avx2<VNNI>, kernel: K) {
            kernel.run(simd);
        }
        if VNNI {
            // SAFETY: `self` exists, so the machine has AVX2, FMA and AVX-VNNI.
            unsafe { vnni(self, kernel) }
        } else {
            // SAFETY: `self` exists, so the machine has AVX2 and FMA.
            unsafe { plain(self, kernel) }
        }
    }
}

impl<const VNNI: bool> Avx512<VNNI> {
    pub fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
            && (!VNNI || is_x86_feature_detected!("avx512vnni"));
        all.then_some(Self(()))
    }

    pub fn run<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn plain<K: Kernel, const VNNI: bool>(simd: Avx512<VNNI>, kernel: K) {
            kernel.run(simd);
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
        fn vnni<K: Kernel, const VNNI: bool>(simd: Avx512<VNNI>, kernel: K) {
            kernel.run(simd);
        }
        if VNNI {
            // SAFETY: `self` exists, so the machine has these parts of AVX-512, AVX-512-VNNI and FMA
            // (AVX2 comes with AVX-512F).
            unsafe { vnni(self, kernel) }
        } else {
            // SAFETY: `self` exists, so the machine has these parts of AVX-512 and FMA (AVX2 comes
            // with AVX-512F).
            unsafe { plain(self, kernel) }
        }
    }
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
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
    fn blocks(data: &[f32]) -> (&[[f32; 8]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 8]] {
        data.as_chunks_mut().0
    }

    type Bytes = __m256i;
    type Quad = __m256i;
    type Sums = __m256i;
    const PANEL_VECTORS: usize = 2;

    #[inline(always)]
    fn bytes(self, data: &[u8]) -> __m256i {
        let data = &data[..32];
        // SAFETY: `self` exists, so the machine has AVX2; 32 bytes are readable, and the load asks
        // for no alignment.
        unsafe { _mm256_loadu_si256(data.as_ptr().cast()) }
    }

    #[inline(always)]
    fn quad(self, data: &[u8; 4]) -> __m256i {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_set1_epi32(i32::from_le_bytes(*data)) }
    }

    #[inline(always)]
    fn start(self, value: i32) -> __m256i {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_set1_epi32(value) }
    }

    #[inline(always)]
    fn start_from(self, values: &[i32]) -> __m256i {
        let values = &values[..8];
        // SAFETY: `self` exists, so the machine has AVX2; 8 numbers are readable, and the load asks
        // for no alignment.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }

    #[inline(always)]
    fn dot_signed(self, sums: __m256i, weights: __m256i, x: __m256i) -> __m256i {
        if VNNI {
            // SAFETY: `self` exists with VNNI, so the machine has AVX-VNNI.
            unsafe { _mm256_dpbusd_avx_epi32(sums, x, weights) }
        } else {
            // SAFETY: `self` exists, so the machine has AVX2.
            unsafe { dot_8(sums, x, weights) }
        }
    }

    type NibbleSums = __m256i;
    const PAIRS: bool = !VNNI;

    #[inline(always)]
    fn nibble_start(self, start: i32) -> __m256i {
        self.start(start)
    }

    #[inline(always)]
    fn dot_nibbles(self, sums: __m256i, weights: __m256i, x: __m256i) -> __m256i {
        if VNNI {
            self.dot_signed(sums, x, weights)
        } else {
            // SAFETY: `self` exists, so the machine has AVX2.
            unsafe { pairs_8(sums, weights, x) }
        }
    }

    #[inline(always)]
    fn widen_nibbles(self, sums: __m256i) -> __m256 {
        if VNNI {
            self.widen(sums)
        } else {
            // SAFETY: `self` exists, so the machine has AVX2.
            self.widen(unsafe { sums_of_pairs_8(sums) })
        }
    }

    #[inline(always)]
    fn nibbles(self, packed: __m256i) -> (__m256i, __m256i) {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { nibbles_256(packed) }
    }

    #[inline(always)]
    fn less(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn negated(self, sums: __m256i, out: &mut [i32]) {
        let out = &mut out[..8];
        // SAFETY: `self` exists, so the machine has AVX2.
        let negated = unsafe { _mm256_sub_epi32(self.start(0), sums) };
        // SAFETY: `self` exists, so the machine has AVX2; 8 numbers are writable, and the store
        // asks for no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), negated) }
    }

    #[inline(always)]
    fn widen(self, sums: __m256i) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2. The instruction's second operand is
        // its result where either is not a number.
        unsafe { _mm256_max_ps(b, a) }
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2. The instruction's second operand is
        // its result where either is not a number.
        unsafe { _mm256_min_ps(b, a) }
    }

    #[inline(always)]
    fn select_less(self, a: __m256, b: __m256, then: __m256, otherwise: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { select_less_8(a, b, then, otherwise) }
    }

    #[inline(always)]
    fn low_bits_as_exponent(self, a: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { low_bits_as_exponent_8(a) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` exists, so the machine has AVX2.
        unsafe { _mm256_mul_ps(a, b) }
    }
}

impl<const VNNI: bool> Simd for Avx512<VNNI> {
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
    fn blocks(data: &[f32]) -> (&[[f32; 16]], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [[f32; 16]] {
        data.as_chunks_mut().0
    }

    type Bytes = __m512i;
    type Quad = __m512i;
    type Sums = __m512i;
    const PANEL_VECTORS: usize = 4;

    #[inline(always)]
    fn bytes(self, data: &[u8]) -> __m512i {
        let data = &data[..64];
        // SAFETY: `self` exists, so the machine has AVX-512F; 64 bytes are readable, and the load asks
        // for no alignment.
        unsafe { _mm512_loadu_si512(data.as_ptr().cast()) }
    }

    #[inline(always)]
    fn quad(self, data: &[u8; 4]) -> __m512i {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_set1_epi32(i32::from_le_bytes(*data)) }
    }

    #[inline(always)]
    fn start(self, value: i32) -> __m512i {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_set1_epi32(value) }
    }

    #[inline(always)]
    fn start_from(self, values: &[i32]) -> __m512i {
        let values = &values[..16];
        // SAFETY: `self` exists, so the machine has AVX-512F; 16 numbers are readable, and the load asks
        // for no alignment.
        unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
    }

    #[inline(always)]
    fn dot_signed(self, sums: __m512i, weights: __m512i, x: __m512i) -> __m512i {
        if VNNI {
            // SAFETY: `self` exists with VNNI, so the machine has AVX-512-VNNI.
            unsafe { _mm512_dpbusd_epi32(sums, x, weights) }
        } else {
            // SAFETY: `self` exists, so the machine has AVX-512F and AVX-512BW.
            unsafe { dot_16(sums, x, weights) }
        }
    }

    type NibbleSums = __m512i;
    const PAIRS: bool = !VNNI;

    #[inline(always)]
    fn nibble_start(self, start: i32) -> __m512i {
        self.start(start)
    }

    #[inline(always)]
    fn dot_nibbles(self, sums: __m512i, weights: __m512i, x: __m512i) -> __m512i {
        if VNNI {
            self.dot_signed(sums, x, weights)
        } else {
            // SAFETY: `self` exists, so the machine has AVX-512F and AVX-512BW.
            unsafe { pairs_16(sums, weights, x) }
        }
    }

    #[inline(always)]
    fn widen_nibbles(self, sums: __m512i) -> __m512 {
        if VNNI {
            self.widen(sums)
        } else {
            // SAFETY: `self` exists, so the machine has AVX-512F and AVX-512BW.
            self.widen(unsafe { sums_of_pairs_16(sums) })
        }
    }

    #[inline(always)]
    fn nibbles(self, packed: __m512i) -> (__m512i, __m512i) {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { nibbles_512(packed) }
    }

    #[inline(always)]
    fn less(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_sub_epi32(a, b) }
    }

    #[inline(always)]
    fn negated(self, sums: __m512i, out: &mut [i32]) {
        let out = &mut out[..16];
        // SAFETY: `self` exists, so the machine has AVX-512F.
        let negated = unsafe { _mm512_sub_epi32(self.start(0), sums) };
        // SAFETY: `self` exists, so the machine has AVX-512F; 16 numbers are writable, and the store
        // asks for no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), negated) }
    }

    #[inline(always)]
    fn widen(self, sums: __m512i) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F. The instruction's second operand is
        // its result where either is not a number.
        unsafe { _mm512_max_ps(b, a) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F. The instruction's second operand is
        // its result where either is not a number.
        unsafe { _mm512_min_ps(b, a) }
    }

    #[inline(always)]
    fn select_less(self, a: __m512, b: __m512, then: __m512, otherwise: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { select_less_16(a, b, then, otherwise) }
    }

    #[inline(always)]
    fn low_bits_as_exponent(self, a: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { low_bits_as_exponent_16(a) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` exists, so the machine has AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }
}

/// Dot products of four bytes each in 0..=127 and signed ones, added to `sums`. Pairs of products stay
/// within 2 * 127 * 128 = 32512, so the 16-bit sums between never saturate.
#[inline]
#[target_feature(enable = "avx2")]
fn dot_8(sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(unsigned, signed);
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}

/// Dot products of two bytes each, in 0..=15 and signed ones, added to 16-bit sums.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs_8(sums: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
    _mm256_add_epi16(sums, _mm256_maddubs_epi16(unsigned, signed))
}

/// Neighbouring 16-bit sums added.
#[inline]
#[target_feature(enable = "avx2")]
fn sums_of_pairs_8(sums: __m256i) -> __m256i {
    _mm256_madd_epi16(sums, _mm256_set1_epi16(1))
}

/// Low and high nibbles.
#[inline]
#[target_feature(enable = "avx2")]
fn nibbles_256(packed: __m256i) -> (__m256i, __m256i) {
    let mask = _mm256_set1_epi8(15);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(packed), mask);
    (_mm256_and_si256(packed, mask), high)
}

/// Low and high nibbles.
#[inline]
#[target_feature(enable = "avx512f")]
fn nibbles_512(packed: __m512i) -> (__m512i, __m512i) {
    let mask = _mm512_set1_epi8(15);
    let high = _mm512_and_si512(_mm512_srli_epi32::<4>(packed), mask);
    (_mm512_and_si512(packed, mask), high)
}

/// [`dot_8`] on twice as many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn dot_16(sums: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
    let pairs = _mm512_maddubs_epi16(unsigned, signed);
    _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
}

/// [`pairs_8`] on twice as many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pairs_16(sums: __m512i, unsigned: __m512i, signed: __m512i) -> __m512i {
    _mm512_add_epi16(sums, _mm512_maddubs_epi16(unsigned, signed))
}

/// [`sums_of_pairs_8`] on twice as many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sums_of_pairs_16(sums: __m512i) -> __m512i {
    _mm512_madd_epi16(sums, _mm512_set1_epi16(1))
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

/// `then` where `a < b`, else `otherwise`.
#[inline]
#[target_feature(enable = "avx2")]
fn select_less_8(a: __m256, b: __m256, then: __m256, otherwise: __m256) -> __m256 {
    _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
}

/// `then` where `a < b`, else `otherwise`.
#[inline]
#[target_feature(enable = "avx512f")]
fn select_less_16(a: __m512, b: __m512, then: __m512, otherwise: __m512) -> __m512 {
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), otherwise, then)
}

/// The bits of each number shifted to the left by 23.
#[inline]
#[target_feature(enable = "avx2")]
fn low_bits_as_exponent_8(a: __m256) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(a)))
}

/// The bits of each number shifted to the left by 23.
#[inline]
#[target_feature(enable = "avx512f")]
fn low_bits_as_exponent_16(a: __m512) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(a)))
}
