//! WebAssembly's 128-bit vectors, with the relaxed fused multiply-add where the build has it.

use core::arch::wasm32::*;

use llavaguard_backend::BLOCK;

use super::{HALF_BITS, HALF_SCALE, Kernel, ROUND, Registers, Simd};
use crate::rounded::PACK;

const ROUND_BITS: i32 = ROUND.to_bits().cast_signed();

/// simd128 (and relaxed-simd, if so built): part of the build, so it is always there. `PAIRS`: with
/// the dot product of two bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wasm<const PAIRS: bool> {
    /// Eight times 1. A constant in the code would be made anew wherever it is used, in four
    /// instructions (V8); a value that comes from memory stays in a register.
    ones: v128,
    /// Sixteen times 15.
    low_nibbles: v128,
    half_bits: v128,
    half_scale: v128,
    /// [`PACK`].
    pack: usize,
    /// Four times [`ROUND`].
    round: v128,
}

impl<const PAIRS: bool> Wasm<PAIRS> {
    pub fn new() -> Self {
        Self {
            ones: i16x8_splat(1),
            low_nibbles: u8x16_splat(15),
            half_bits: i32x4_splat(HALF_BITS),
            half_scale: f32x4_splat(HALF_SCALE),
            pack: PACK,
            round: f32x4_splat(ROUND),
        }
    }

    /// A function for each kernel: engines compile small ones better.
    #[inline(never)]
    pub fn run<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }
}

impl<const PAIRS: bool> Simd for Wasm<PAIRS> {
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

    /// Out of memory: knowing it, LLVM makes one piece of a block's steps and adds up sum after sum (its
    /// reassociation moves additions to the last of them), and 64 products do not fit the registers.
    /// Besides, engines fold no constant offset into a load that spreads what it loads, so that one moved
    /// address takes fewer instructions than four offsets.
    #[inline(always)]
    fn pack(self) -> usize {
        self.pack
    }

    type Bytes = v128;
    type Quad = v128;
    type Sums = Sums;
    const PANEL_VECTORS: usize = 2;
    /// The plain build has two sums for each lane.
    const TILE_ROWS: usize = if cfg!(target_feature = "relaxed-simd") {
        4
    } else {
        2
    };

    #[inline(always)]
    fn bytes(self, data: &[u8]) -> v128 {
        let data = &data[..16];
        // SAFETY: 16 bytes are readable, and the load asks for no alignment.
        unsafe { v128_load(data.as_ptr().cast()) }
    }

    #[inline(always)]
    fn quad(self, data: &[u8; 4]) -> v128 {
        let quad = i32x4_splat(i32::from_le_bytes(*data));
        if cfg!(target_feature = "relaxed-simd") {
            quad
        } else {
            // The same twice, so one half is enough. Bytes up to 127 are the same of either sign.
            i16x8_extend_low_i8x16(quad)
        }
    }

    #[inline(always)]
    fn start(self, value: i32) -> Sums {
        Sums::new(i32x4_splat(value))
    }

    #[inline(always)]
    fn start_from(self, values: &[i32]) -> Sums {
        let values = &values[..4];
        // SAFETY: 4 numbers are readable, and the load asks for no alignment.
        Sums::new(unsafe { v128_load(values.as_ptr().cast()) })
    }

    #[inline(always)]
    fn dot_signed(self, sums: Sums, weights: v128, x: v128) -> Sums {
        #[cfg(target_feature = "relaxed-simd")]
        if PAIRS {
            return sums.add(i32x4_dot_i16x8(dot_of_pairs(weights, x), self.ones));
        }
        sums.dot_signed(weights, x)
    }

    type NibbleSums = Sums;
    const PAIRS: bool = PAIRS;

    /// Sums that are not pairs start from the bits of [`ROUND`]: read as floats they are it plus the sum,
    /// since a block's sum stays far below 2^22. Taking it off again does what a conversion would, on
    /// ports that the products leave free.
    #[inline(always)]
    fn pack_nibble_start(first: i32, last: i32) -> i32 {
        if PAIRS {
            (first & 0xffff) | (last << 16)
        } else {
            first + last + ROUND_BITS
        }
    }

    #[inline(always)]
    fn nibble_start(self, start: i32) -> Sums {
        Sums::new(i32x4_splat(start))
    }

    #[inline(always)]
    fn dot_nibbles(self, sums: Sums, weights: v128, x: v128) -> Sums {
        #[cfg(target_feature = "relaxed-simd")]
        if PAIRS {
            return sums.add_pairs(dot_of_pairs(x, weights));
        }
        sums.dot_nibbles(weights, x)
    }

    #[inline(always)]
    fn widen_nibbles(self, sums: Sums) -> v128 {
        let total = sums.total();
        if PAIRS {
            f32x4_convert_i32x4(i32x4_dot_i16x8(total, self.ones))
        } else {
            f32x4_sub(total, self.round)
        }
    }

    #[inline(always)]
    fn nibbles(self, packed: v128) -> (v128, v128) {
        let mask = self.low_nibbles;
        // A shift of bytes would be two shifts of words in most engines.
        (v128_and(packed, mask), v128_and(u16x8_shr(packed, 4), mask))
    }

    #[inline(always)]
    fn less(self, a: Sums, b: Sums) -> Sums {
        a.less(b)
    }

    #[inline(always)]
    fn negated(self, sums: Sums, out: &mut [i32]) {
        let out = &mut out[..4];
        // SAFETY: 4 numbers are writable, and the store asks for no alignment.
        unsafe { v128_store(out.as_mut_ptr().cast(), i32x4_neg(sums.total())) }
    }

    #[inline(always)]
    fn widen(self, sums: Sums) -> v128 {
        f32x4_convert_i32x4(sums.total())
    }

    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn sub(self, a: v128, b: v128) -> v128 {
        f32x4_sub(a, b)
    }

    #[inline(always)]
    fn div(self, a: v128, b: v128) -> v128 {
        f32x4_div(a, b)
    }

    #[inline(always)]
    fn max(self, a: v128, b: v128) -> v128 {
        f32x4_pmax(a, b)
    }

    #[inline(always)]
    fn min(self, a: v128, b: v128) -> v128 {
        f32x4_pmin(a, b)
    }

    #[inline(always)]
    fn select_less(self, a: v128, b: v128, then: v128, otherwise: v128) -> v128 {
        v128_bitselect(then, otherwise, f32x4_lt(a, b))
    }

    #[inline(always)]
    fn low_bits_as_exponent(self, a: v128) -> v128 {
        i32x4_shl(a, 23)
    }

    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    #[inline(always)]
    fn halves(self, halves: &[u16]) -> v128 {
        let halves = &halves[..4];
        // SAFETY: 8 bytes are readable, and the load asks for no alignment.
        let halves = unsafe { i32x4_load_extend_i16x4(halves.as_ptr().cast()) };
        let moved = v128_and(i32x4_shl(halves, 13), self.half_bits);
        f32x4_mul(moved, self.half_scale)
    }

    /// A block's sums of pairs stay within 16 * 127 * 8 = 16256.
    #[inline(always)]
    fn nibble_start_of(self, quants: &[u8; BLOCK]) -> i32 {
        let [low, high] = [&quants[..16], &quants[16..]]
            .map(|half| i16x8_extadd_pairwise_i8x16(self.bytes(half)));
        // The first two and the last two of every four, in turns.
        let pairs = i16x8_add(low, high);
        let pairs = i16x8_add(pairs, i32x4_shuffle::<2, 3, 0, 1>(pairs, pairs));
        let pairs = i16x8_add(pairs, i32x4_shuffle::<1, 0, 3, 2>(pairs, pairs));
        let starts = i16x8_neg(i16x8_shl(pairs, 3));
        if PAIRS {
            i32x4_extract_lane::<0>(starts)
        } else {
            i32x4_extract_lane::<0>(i32x4_extadd_pairwise_i16x8(starts)) + ROUND_BITS
        }
    }

    /// By saturating narrowings, which the compiler does not see are exact here.
    #[inline(always)]
    fn round(self, values: &[f32; BLOCK], inverse: f32, offset: i32) -> [u8; BLOCK] {
        let (inverse, shift) = (f32x4_splat(inverse), f32x4_splat(ROUND));
        let back = i32x4_splat(offset.wrapping_sub(ROUND_BITS));
        let four = |values: &[f32; 4]| {
            let shifted = f32x4_add(f32x4_mul(self.load(values), inverse), shift);
            i32x4_add(shifted, back)
        };
        let mut bytes = [0; BLOCK];
        let halves = bytes.as_chunks_mut::<16>().0;
        for (bytes, values) in halves.iter_mut().zip(values.as_chunks::<16>().0) {
            let quarters = values.as_chunks::<4>().0;
            let low = i16x8_narrow_i32x4(four(&quarters[0]), four(&quarters[1]));
            let high = i16x8_narrow_i32x4(four(&quarters[2]), four(&quarters[3]));
            // SAFETY: 16 bytes are writable, and the store asks for no alignment.
            unsafe { v128_store(bytes.as_mut_ptr().cast(), i8x16_narrow_i16x8(low, high)) }
        }
        bytes
    }
}

/// Dot products of two bytes each. Both relaxed dot products are implementation-defined where the
/// second operand's top bit is set, or where a pair of products leaves 16 bits: with second operands in
/// 0..=127 neither happens, since 2 * 127 * 128 = 32512.
#[cfg(target_feature = "relaxed-simd")]
#[inline(always)]
fn dot_of_pairs(signed: v128, unsigned: v128) -> v128 {
    i16x8_relaxed_dot_i8x16_i7x16(signed, unsigned)
}

/// Four whole numbers, or eight of 16 bits.
#[cfg(target_feature = "relaxed-simd")]
#[derive(Clone, Copy)]
pub(crate) struct Sums(v128);

#[cfg(target_feature = "relaxed-simd")]
impl Sums {
    #[inline(always)]
    fn new(sums: v128) -> Self {
        Self(sums)
    }

    #[inline(always)]
    fn dot_signed(self, weights: v128, x: v128) -> Self {
        Self(i32x4_relaxed_dot_i8x16_i7x16_add(weights, x, self.0))
    }

    #[inline(always)]
    fn dot_nibbles(self, weights: v128, x: v128) -> Self {
        Self(i32x4_relaxed_dot_i8x16_i7x16_add(x, weights, self.0))
    }

    #[inline(always)]
    fn add(self, other: v128) -> Self {
        Self(i32x4_add(self.0, other))
    }

    #[inline(always)]
    fn add_pairs(self, other: v128) -> Self {
        Self(i16x8_add(self.0, other))
    }

    #[inline(always)]
    fn less(self, other: Self) -> Self {
        Self(i32x4_sub(self.0, other.0))
    }

    #[inline(always)]
    fn total(self) -> v128 {
        self.0
    }
}

/// Four whole numbers, each in two parts that are added at the end: what a dot product of 16-bit
/// numbers gives of the low and of the high half of 16 bytes.
#[cfg(not(target_feature = "relaxed-simd"))]
#[derive(Clone, Copy)]
pub(crate) struct Sums(v128, v128);

#[cfg(not(target_feature = "relaxed-simd"))]
impl Sums {
    #[inline(always)]
    fn new(sums: v128) -> Self {
        let zero = i32x4_splat(0);
        Self(
            i32x4_shuffle::<0, 4, 1, 4>(sums, zero),
            i32x4_shuffle::<2, 4, 3, 4>(sums, zero),
        )
    }

    /// `x` in 16 bits, four numbers twice.
    #[inline(always)]
    fn dot_signed(self, weights: v128, x: v128) -> Self {
        let low = i32x4_dot_i16x8(i16x8_extend_low_i8x16(weights), x);
        let high = i32x4_dot_i16x8(i16x8_extend_high_i8x16(weights), x);
        Self(i32x4_add(self.0, low), i32x4_add(self.1, high))
    }

    #[inline(always)]
    fn dot_nibbles(self, weights: v128, x: v128) -> Self {
        self.dot_signed(weights, x)
    }

    #[inline(always)]
    fn less(self, other: Self) -> Self {
        Self(i32x4_sub(self.0, other.0), i32x4_sub(self.1, other.1))
    }

    #[inline(always)]
    fn total(self) -> v128 {
        i32x4_add(
            i32x4_shuffle::<0, 2, 4, 6>(self.0, self.1),
            i32x4_shuffle::<1, 3, 5, 7>(self.0, self.1),
        )
    }
}
