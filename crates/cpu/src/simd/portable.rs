//! Arrays the compiler may or may not turn into vectors.

use super::{Registers, Simd};

/// No instruction set in particular.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 4;

impl Simd for Portable {
    type Vector = [f32; LANES];
    type Block = [f32; LANES];
    const LANES: usize = LANES;
    const REGISTERS: Registers = Registers::Few;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Vector {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, block: &Self::Block) -> Self::Vector {
        *block
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, block: &mut Self::Block) {
        *block = vector;
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, mut c: Self::Vector) -> Self::Vector {
        for lane in 0..LANES {
            c[lane] += a[lane] * b[lane];
        }
        c
    }

    #[inline(always)]
    fn sum(self, vector: Self::Vector) -> f32 {
        (vector[0] + vector[2]) + (vector[1] + vector[3])
    }

    #[inline(always)]
    fn blocks(data: &[f32]) -> (&[Self::Block], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [Self::Block] {
        data.as_chunks_mut().0
    }

    type Bytes = [[u8; 4]; LANES];
    type Quad = [u8; 4];
    type Sums = [i32; LANES];
    const PANEL_VECTORS: usize = 2;

    #[inline(always)]
    fn bytes(self, data: &[u8]) -> Self::Bytes {
        let mut bytes = [[0; 4]; LANES];
        for (to, from) in bytes.iter_mut().zip(data[..4 * LANES].as_chunks().0) {
            *to = *from;
        }
        bytes
    }

    #[inline(always)]
    fn quad(self, data: &[u8; 4]) -> [u8; 4] {
        *data
    }

    #[inline(always)]
    fn start(self, value: i32) -> Self::Sums {
        [value; LANES]
    }

    #[inline(always)]
    fn start_from(self, values: &[i32]) -> Self::Sums {
        let mut sums = [0; LANES];
        sums.copy_from_slice(&values[..LANES]);
        sums
    }

    #[inline(always)]
    fn dot_signed(self, sums: Self::Sums, weights: Self::Bytes, x: [u8; 4]) -> Self::Sums {
        dot(sums, |lane, i| {
            i32::from(weights[lane][i].cast_signed()) * i32::from(x[i])
        })
    }

    type NibbleSums = Self::Sums;
    const PAIRS: bool = false;

    #[inline(always)]
    fn nibble_start(self, start: i32) -> Self::Sums {
        self.start(start)
    }

    #[inline(always)]
    fn widen_nibbles(self, sums: Self::Sums) -> Self::Vector {
        self.widen(sums)
    }

    #[inline(always)]
    fn dot_nibbles(self, sums: Self::Sums, weights: Self::Bytes, x: [u8; 4]) -> Self::Sums {
        dot(sums, |lane, i| {
            i32::from(weights[lane][i]) * i32::from(x[i].cast_signed())
        })
    }

    #[inline(always)]
    fn nibbles(self, packed: Self::Bytes) -> (Self::Bytes, Self::Bytes) {
        (
            packed.map(|lane| lane.map(|byte| byte & 15)),
            packed.map(|lane| lane.map(|byte| byte >> 4)),
        )
    }

    #[inline(always)]
    fn less(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        std::array::from_fn(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn negated(self, sums: Self::Sums, out: &mut [i32]) {
        for (out, sum) in out[..LANES].iter_mut().zip(sums) {
            *out = -sum;
        }
    }

    #[inline(always)]
    fn widen(self, sums: Self::Sums) -> Self::Vector {
        sums.map(|sum| sum as f32)
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| if b[i] > a[i] { b[i] } else { a[i] })
    }

    #[inline(always)]
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|i| if b[i] < a[i] { b[i] } else { a[i] })
    }

    #[inline(always)]
    fn select_less(
        self,
        a: Self::Vector,
        b: Self::Vector,
        then: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector {
        std::array::from_fn(|i| if a[i] < b[i] { then[i] } else { otherwise[i] })
    }

    #[inline(always)]
    fn low_bits_as_exponent(self, a: Self::Vector) -> Self::Vector {
        a.map(|a| f32::from_bits(a.to_bits() << 23))
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }
}

#[inline(always)]
fn dot(mut sums: [i32; LANES], product: impl Fn(usize, usize) -> i32) -> [i32; LANES] {
    for (lane, sum) in sums.iter_mut().enumerate() {
        for i in 0..4 {
            *sum += product(lane, i);
        }
    }
    sums
}
