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
    fn scale_bytes(self, scale: f32, bytes: &[u8; 32], out: &mut [f32; 32]) {
        for (value, byte) in out.iter_mut().zip(bytes) {
            *value = scale * f32::from(byte.cast_signed());
        }
    }

    #[inline(always)]
    fn blocks(data: &[f32]) -> (&[Self::Block], &[f32]) {
        data.as_chunks()
    }

    #[inline(always)]
    fn blocks_mut(data: &mut [f32]) -> &mut [Self::Block] {
        data.as_chunks_mut().0
    }
}
