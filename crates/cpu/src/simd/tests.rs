//! Every instruction set at the edges of what its operations touch. Operands lie in boxes of exactly
//! their size, at every alignment a float can have, so that an address sanitiser or Miri sees a byte
//! too many.

use super::*;

/// Checks one instruction set; how many checks were made goes to `count`.
struct Edges<'a> {
    count: &'a mut usize,
}

impl Kernel for Edges<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for offset in 0..S::LANES {
            let len = offset + 2 * S::LANES;
            let values: Box<[f32]> = (0..len).map(|i| i as f32 - 3.5).collect();
            let (blocks, rest) = S::blocks(&values[offset..]);
            assert_eq!((blocks.len(), rest.len()), (2, 0));
            let mut out: Box<[f32]> = vec![f32::NAN; len].into();
            let (a, b) = (simd.load(&blocks[0]), simd.load(&blocks[1]));
            let product = simd.mul_add(a, b, simd.splat(0.25));
            let target = S::blocks_mut(&mut out[offset..]);
            assert_eq!(target.len(), 2);
            simd.store(product, &mut target[1]);
            for i in 0..S::LANES {
                assert!(out[i + offset].is_nan() && out[..offset].iter().all(|v| v.is_nan()));
                let (a, b) = (values[offset + i], values[offset + S::LANES + i]);
                assert_eq!(out[offset + S::LANES + i], a * b + 0.25);
            }
            assert_eq!(
                simd.sum(a),
                values[offset..offset + S::LANES].iter().sum::<f32>()
            );
            let (blocks, rest) = S::blocks(&values[..offset]);
            assert_eq!((blocks.len(), rest.len()), (0, offset));
            let partial = simd.load_partial(rest);
            assert_eq!(simd.sum(partial), rest.iter().sum::<f32>());
            *self.count += 1;
        }
        for (a, b) in [(3.0, -2.0), (-0.5, 4.0), (7.0, 7.0), (f32::NAN, 1.0)] {
            let found = |vector: S::Vector| {
                let mut block = S::Block::default();
                simd.store(vector, &mut block);
                let lanes = block.as_mut().to_vec();
                assert!(lanes.iter().all(|x| x.to_bits() == lanes[0].to_bits()));
                lanes[0]
            };
            let same = |x: f32, y: f32| assert!(x == y || (x.is_nan() && y.is_nan()), "{x} {y}");
            let (x, y) = (simd.splat(a), simd.splat(b));
            same(found(simd.add(x, y)), a + b);
            same(found(simd.sub(x, y)), a - b);
            same(found(simd.mul(x, y)), a * b);
            same(found(simd.div(x, y)), a / b);
            same(found(simd.max(x, y)), if b > a { b } else { a });
            same(found(simd.min(x, y)), if b < a { b } else { a });
            let less = simd.select_less(x, y, simd.splat(1.0), simd.splat(2.0));
            same(found(less), if a < b { 1.0 } else { 2.0 });
            *self.count += 1;
        }
        for exponent in [1, 126, 127, 254] {
            let mut block = S::Block::default();
            let low = simd.splat(12_582_912.0 + exponent as f32);
            simd.store(simd.low_bits_as_exponent(low), &mut block);
            let expected = 2.0f32.powi(exponent - 127);
            assert!(block.as_mut().iter().all(|found| *found == expected));
        }
        let finite = (0..=u16::MAX).filter(|half| half & 0x7c00 != 0x7c00);
        let finite: Vec<u16> = finite.collect();
        for halves in finite.chunks_exact(S::LANES) {
            let halves: Box<[u16]> = halves.into();
            let mut singles = S::Block::default();
            simd.store(simd.halves(&halves), &mut singles);
            for (half, single) in halves.iter().zip(singles.as_mut()) {
                assert_eq!(single.to_bits(), crate::weight::from_f16(*half).to_bits());
            }
        }
        for len in 0..S::LANES {
            let mut out: Box<[f32]> = vec![f32::NAN; len].into();
            simd.store_partial(simd.splat(2.0), &mut out);
            assert!(out.iter().all(|value| *value == 2.0));
        }
        // Every pair of a signed and an unsigned byte of one magnitude or another, the extremes among
        // them, in boxes of exactly the bytes read.
        for round in 0..64usize {
            let signed = |i: usize| match (i + round) % 5 {
                0 => -128i8,
                1 => 127,
                _ => ((i * 37 + round * 101) % 256) as u8 as i8,
            };
            let unsigned = |i: usize| match (i + round) % 3 {
                0 => 127u8,
                _ => ((i * 53 + round * 29) % 128) as u8,
            };
            let starts: Box<[i32]> = (0..S::LANES as i32).map(|i| i * 1000 - 1).collect();
            let (quad, other): ([u8; 4], [u8; 4]) = (
                std::array::from_fn(unsigned),
                std::array::from_fn(|i| signed(i).cast_unsigned()),
            );
            let bytes = |byte: &dyn Fn(usize) -> u8| -> Box<[u8]> {
                (0..4 * S::LANES).map(|i| byte(i + 4)).collect()
            };
            let weights = bytes(&|i| signed(i).cast_unsigned());
            let nibble = |i: usize| unsigned(i) & 15;
            let nibbles = bytes(&nibble);
            let from = simd.start_from(&starts);
            let sums = simd.dot_signed(from, simd.bytes(&weights), simd.quad(&quad));
            let mut out: Box<[i32]> = vec![0; S::LANES].into();
            simd.negated(sums, &mut out);
            let mut floats = S::Block::default();
            // As far down as a block's start goes.
            let from = simd.nibble_start(S::pack_nibble_start(-16256, -7));
            let other_sums = simd.dot_nibbles(from, simd.bytes(&nibbles), simd.quad(&other));
            simd.store(simd.widen_nibbles(other_sums), &mut floats);
            for lane in 0..S::LANES {
                let product = |w: &dyn Fn(usize) -> i32, x: &dyn Fn(usize) -> i32| -> i32 {
                    (0..4).map(|i| w(lane * 4 + i + 4) * x(i)).sum()
                };
                let (s, u) = (|i| i32::from(signed(i)), |i| i32::from(unsigned(i)));
                assert_eq!(out[lane], -(starts[lane] + product(&s, &u)));
                let n = |i| i32::from(nibble(i));
                assert_eq!(floats.as_mut()[lane], (product(&n, &s) - 16263) as f32);
            }
            let quants: [u8; BLOCK] =
                std::array::from_fn(|i| signed(i + round).max(-127).cast_unsigned());
            let start = simd.nibble_start(simd.nibble_start_of(&quants));
            simd.store(simd.widen_nibbles(start), &mut floats);
            let sum: i32 = quants
                .map(|quant| i32::from(quant.cast_signed()))
                .iter()
                .sum();
            assert!(
                floats
                    .as_mut()
                    .iter()
                    .all(|lane| *lane == (-8 * sum) as f32)
            );
            *self.count += 1;
        }
        for extreme in [127u8, 129] {
            let start = simd.nibble_start(simd.nibble_start_of(&[extreme; BLOCK]));
            let mut floats = S::Block::default();
            simd.store(simd.widen_nibbles(start), &mut floats);
            let expected = -8 * 32 * i32::from(extreme.cast_signed());
            assert!(floats.as_mut().iter().all(|lane| *lane == expected as f32));
            *self.count += 1;
        }
    }
}

#[test]
fn every_instruction_set_stays_within_its_operands() {
    for isa in Isa::available() {
        let mut count = 0;
        Dispatch::detect(isa)
            .unwrap()
            .run(Edges { count: &mut count });
        assert!(count >= 4 + 4 + 64 + 2, "{}", isa.name());
    }
}

#[test]
fn the_best_is_available() {
    assert!(Isa::available().contains(&Isa::Scalar));
    assert_eq!(Isa::available().last(), Some(&Isa::best()));
}
