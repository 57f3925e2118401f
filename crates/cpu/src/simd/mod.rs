//! Vectors of f32 under each instruction set.
//!
//! A kernel is written once over [`Simd`] and implements [`Kernel`]; [`Dispatch::run`] compiles it
//! for every instruction set and picks one at run time. All of a kernel is `#[inline(always)]`, so
//! that it ends up inside the one function that has the instruction set enabled. A value of an
//! instruction set's type exists only where the machine has it: that is what makes its methods safe
//! to call.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use portable::Portable;

use llavaguard_backend::BLOCK;

use crate::rounded::PACK;

/// An instruction set the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, whatever the compiler makes of it.
    Scalar,
    /// x86-64 AVX2 with FMA.
    Avx2,
    /// The same with AVX-VNNI's byte dot products.
    AvxVnni,
    /// x86-64 AVX-512F.
    Avx512,
    /// The same with AVX-512-VNNI's byte dot products.
    Avx512Vnni,
    /// aarch64 NEON.
    Neon,
    /// The same with the dot product extension.
    NeonDot,
    /// WebAssembly's fixed-width SIMD.
    Simd128,
    /// WebAssembly's relaxed SIMD, with its dot product of four bytes: one instruction where the
    /// processor has such a one (ARM's dot product extension, AVX-VNNI), five elsewhere.
    RelaxedSimd,
    /// The same with its dot product of two bytes, which is one instruction on every x86.
    RelaxedPairs,
}

impl Isa {
    /// All, best last.
    const ALL: [Isa; 10] = [
        Isa::Scalar,
        Isa::Simd128,
        Isa::RelaxedSimd,
        Isa::RelaxedPairs,
        Isa::Neon,
        Isa::NeonDot,
        Isa::Avx2,
        Isa::AvxVnni,
        Isa::Avx512,
        Isa::Avx512Vnni,
    ];

    /// Those this machine and this build can run, best last; never empty.
    pub fn available() -> Vec<Isa> {
        Isa::ALL
            .into_iter()
            .filter(|isa| Dispatch::detect(*isa).is_some())
            .collect()
    }

    /// The best one this machine and this build can run. Which of WebAssembly's two relaxed ones is
    /// better depends on the processor, of which a module knows nothing: time both.
    pub fn best() -> Isa {
        Isa::available().last().copied().unwrap_or(Isa::Scalar)
    }

    /// Its name in lower case: `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avx-vnni",
            Isa::Avx512 => "avx512",
            Isa::Avx512Vnni => "avx512-vnni",
            Isa::Neon => "neon",
            Isa::NeonDot => "neon-dot",
            Isa::Simd128 => "simd128",
            Isa::RelaxedSimd => "relaxed-simd",
            Isa::RelaxedPairs => "relaxed-simd-pairs",
        }
    }
}

/// How many registers the tiles of a kernel may fill.
#[allow(
    dead_code,
    reason = "which of them are constructed depends on the target"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registers {
    /// 32 vectors.
    Many,
    /// 16 vectors, and operands of an instruction may come from memory.
    Some,
    /// 16 vectors, some of which a WebAssembly compiler keeps to itself.
    Few,
}

impl Registers {
    /// Keys whose scores attention computes together: with its vectors of queries and what is broadcast,
    /// their sums fill the registers.
    pub const fn keys(self) -> usize {
        match self {
            Registers::Many => 8,
            Registers::Some => 4,
            Registers::Few => 3,
        }
    }
}

/// How an instruction set wants operands to lie in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Features of a panel of packed weights.
    pub panel: usize,
    /// Keys that lie side by side, number by number.
    pub keys: usize,
}

/// What has to be taken off a nibble.
const NIBBLE_OFFSET: i32 = 8;

/// Added to a float of small magnitude, it leaves the nearest whole number (half to even) in the lowest
/// bits: 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;

/// Sign, exponent and fraction of a half whose bits were extended by its sign and moved by 13.
const HALF_BITS: i32 = 0x8fff_e000_u32.cast_signed();
/// 2^112.
const HALF_SCALE: f32 = f32::from_bits((127 + 112) << 23);

/// Vectors of one instruction set.
pub(crate) trait Simd: Copy + Send + Sync {
    /// A vector.
    type Vector: Copy;
    /// As many numbers in memory: `[f32; LANES]`.
    type Block: Copy + Default + AsMut<[f32]>;
    /// Numbers in a vector.
    const LANES: usize;
    /// Its register file.
    const REGISTERS: Registers;

    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, block: &Self::Block) -> Self::Vector;
    fn store(self, vector: Self::Vector, block: &mut Self::Block);
    /// `a * b + c`, fused where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Sum of the lanes, in an order of its own.
    fn sum(self, vector: Self::Vector) -> f32;
    /// Whole blocks, and what is left.
    fn blocks(data: &[f32]) -> (&[Self::Block], &[f32]);
    /// Whole blocks to write to.
    fn blocks_mut(data: &mut [f32]) -> &mut [Self::Block];
    /// Four activations of each row of a pack further on: always `crate::rounded::PACK`. An implementation
    /// may take it from memory, so that the compiler does not know it: then the steps of a block stay
    /// apart, each with its loads, its products and its sums.
    #[inline(always)]
    fn pack(self) -> usize {
        PACK
    }
    /// Four bytes for each lane, loaded from `4 * LANES` bytes.
    type Bytes: Copy;
    /// Four bytes, the same for every lane.
    type Quad: Copy;
    /// A whole number for each lane.
    type Sums: Copy;
    /// Vectors of a panel of packed weights (`crate::packed`): as many as a tile of four rows is wide.
    const PANEL_VECTORS: usize;

    /// Rows of a tile of packed weights at most: as many as leave all its sums in registers. Divides
    /// `crate::rounded::PACK`.
    const TILE_ROWS: usize = 4;

    /// Loads `4 * LANES` bytes.
    fn bytes(self, data: &[u8]) -> Self::Bytes;
    /// Loads four bytes.
    fn quad(self, data: &[u8; 4]) -> Self::Quad;
    /// The same number in every lane.
    fn start(self, value: i32) -> Self::Sums;
    /// Loads `LANES` numbers.
    fn start_from(self, values: &[i32]) -> Self::Sums;
    /// Adds to each lane the dot product of its four signed weights with four activations in 0..=127.
    fn dot_signed(self, sums: Self::Sums, weights: Self::Bytes, x: Self::Quad) -> Self::Sums;
    /// Sums of a block's products with nibbles. Where [`Simd::PAIRS`] says so, a lane has two of 16
    /// bits, one for the first two of every four inputs and one for the last two: a block of 32
    /// inputs stays within 16 * 8 * 127 = 16256 then, and the step from 16 to 32 bits is taken once a
    /// block instead of once for every four inputs.
    type NibbleSums: Copy;
    /// Whether [`Simd::NibbleSums`] are pairs of 16 bits.
    const PAIRS: bool;
    /// The same start in every lane, as [`Simd::pack_nibble_start`] packs it.
    fn nibble_start(self, start: i32) -> Self::NibbleSums;
    /// Adds to each lane the dot product of its four weights in 0..=15 with four activations in
    /// -127..=127.
    fn dot_nibbles(
        self,
        sums: Self::NibbleSums,
        weights: Self::Bytes,
        x: Self::Quad,
    ) -> Self::NibbleSums;
    /// The sums as floats; exact.
    fn widen_nibbles(self, sums: Self::NibbleSums) -> Self::Vector;
    /// What sums start from, `first` being the first two inputs' share of every four. With
    /// [`Simd::PAIRS`] both have to fit 16 bits.
    #[inline(always)]
    fn pack_nibble_start(first: i32, last: i32) -> i32 {
        if Self::PAIRS {
            (first & 0xffff) | (last << 16)
        } else {
            first + last
        }
    }
    /// The low and the high nibble of each byte, as bytes.
    fn nibbles(self, packed: Self::Bytes) -> (Self::Bytes, Self::Bytes);
    /// `a - b`.
    fn less(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// Writes the sums with the other sign to `LANES` numbers.
    fn negated(self, sums: Self::Sums, out: &mut [i32]);
    /// The sums as floats; exact, since no sum of a block reaches 2^24.
    fn widen(self, sums: Self::Sums) -> Self::Vector;

    /// `LANES` finite numbers of half precision. A half's exponent and fraction, moved to where a
    /// single's are, are a number 2^112 times too small, subnormal halves included.
    #[inline(always)]
    fn halves(self, halves: &[u16]) -> Self::Vector {
        let mut block = Self::Block::default();
        for (single, half) in block.as_mut().iter_mut().zip(halves) {
            let moved = i32::from(half.cast_signed()) << 13 & HALF_BITS;
            *single = f32::from_bits(moved.cast_unsigned()) * HALF_SCALE;
        }
        self.load(&block)
    }

    /// Each value times `inverse`, rounded to the nearest whole number (half to even), plus `offset`;
    /// the results fit a byte, of whichever sign.
    #[inline(always)]
    fn round(self, values: &[f32; BLOCK], inverse: f32, offset: i32) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        for (byte, value) in bytes.iter_mut().zip(values) {
            *byte = (value * inverse + ROUND)
                .to_bits()
                .wrapping_add_signed(offset) as u8;
        }
        bytes
    }

    /// What a block's sums of products with nibbles start from: minus eight times the sum of its
    /// activations `quants` (a nibble is its weight plus eight), as [`Simd::pack_nibble_start`] packs it.
    #[inline(always)]
    fn nibble_start_of(self, quants: &[u8; BLOCK]) -> i32 {
        let mut sums = [0; 2];
        for four in quants.as_chunks::<4>().0 {
            for (at, byte) in four.iter().enumerate() {
                sums[at / 2] += i32::from(byte.cast_signed());
            }
        }
        let [first, last] = sums.map(|sum: i32| -NIBBLE_OFFSET * sum);
        Self::pack_nibble_start(first, last)
    }

    /// Loads fewer than `LANES` numbers, zeros behind them.
    #[inline(always)]
    fn load_partial(self, data: &[f32]) -> Self::Vector {
        let mut block = Self::Block::default();
        for (to, from) in block.as_mut().iter_mut().zip(data) {
            *to = *from;
        }
        self.load(&block)
    }

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `b` where it is the larger, else `a`; not a number where `a` is not.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `b` where it is the smaller, else `a`; not a number where `a` is not.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `then` where `a < b`, else `otherwise`.
    fn select_less(
        self,
        a: Self::Vector,
        b: Self::Vector,
        then: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector;
    /// The bits of each number shifted to the left by 23: the low bits become the exponent.
    fn low_bits_as_exponent(self, a: Self::Vector) -> Self::Vector;
    /// Writes the first `data.len()` lanes, fewer than `LANES`.
    #[inline(always)]
    fn store_partial(self, vector: Self::Vector, data: &mut [f32]) {
        let mut block = Self::Block::default();
        self.store(vector, &mut block);
        for (to, from) in data.iter_mut().zip(block.as_mut()) {
            *to = *from;
        }
    }
}

/// A piece of work compiled for every instruction set.
pub(crate) trait Kernel {
    /// Does it. Implementations are `#[inline(always)]`, and so is all they call.
    fn run<S: Simd>(self, simd: S);
}

/// An instruction set that has been seen to be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dispatch {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2<false>),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(x86::Avx2<true>),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512<false>),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(x86::Avx512<true>),
    #[cfg(target_arch = "aarch64")]
    Neon(neon::Neon<false>),
    #[cfg(target_arch = "aarch64")]
    NeonDot(neon::Neon<true>),
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Wasm(wasm::Wasm<false>),
    #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
    WasmPairs(wasm::Wasm<true>),
}

impl Dispatch {
    /// The instruction set if it is there.
    pub fn detect(isa: Isa) -> Option<Self> {
        match isa {
            Isa::Scalar => Some(Dispatch::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::Avx2::detect().map(Dispatch::Avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => x86::Avx2::detect().map(Dispatch::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::Avx512::detect().map(Dispatch::Avx512),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Vnni => x86::Avx512::detect().map(Dispatch::Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => neon::Neon::detect().map(Dispatch::Neon),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDot => neon::Neon::detect().map(Dispatch::NeonDot),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Isa::Simd128 | Isa::RelaxedSimd => {
                let relaxed = cfg!(target_feature = "relaxed-simd");
                let wasm = Dispatch::Wasm(wasm::Wasm::new());
                (relaxed == (isa == Isa::RelaxedSimd)).then_some(wasm)
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Isa::RelaxedPairs => Some(Dispatch::WasmPairs(wasm::Wasm::new())),
            _ => None,
        }
    }

    /// How operands are to lie.
    pub fn layout(self) -> Layout {
        struct Ask<'a>(&'a mut Layout);

        impl Kernel for Ask<'_> {
            #[inline(always)]
            fn run<S: Simd>(self, _: S) {
                *self.0 = Layout {
                    panel: S::LANES * S::PANEL_VECTORS,
                    keys: S::REGISTERS.keys(),
                };
            }
        }

        let mut layout = Layout { panel: 0, keys: 0 };
        self.run(Ask(&mut layout));
        layout
    }

    /// Runs a kernel.
    pub fn run<K: Kernel>(self, kernel: K) {
        match self {
            Dispatch::Portable(simd) => kernel.run(simd),
            #[cfg(target_arch = "x86_64")]
            Dispatch::Avx2(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Dispatch::AvxVnni(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Dispatch::Avx512(simd) => simd.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Dispatch::Avx512Vnni(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Dispatch::Neon(simd) => simd.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Dispatch::NeonDot(simd) => simd.run(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Dispatch::Wasm(simd) => simd.run(kernel),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Dispatch::WasmPairs(simd) => simd.run(kernel),
        }
    }
}

#[cfg(test)]
mod tests;
