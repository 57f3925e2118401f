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
        for start in [-128i32, -16, 0, 96] {
            let bytes = Box::new(std::array::from_fn::<u8, 32, _>(|i| {
                (start + i as i32) as u8
            }));
            let mut out = Box::new([f32::NAN; 32]);
            simd.scale_bytes(0.5, &bytes, &mut out);
            for (i, value) in out.iter().enumerate() {
                assert_eq!(*value, (start + i as i32) as f32 * 0.5);
            }
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
        assert!(count >= 4 + 4, "{}", isa.name());
    }
}

#[test]
fn the_best_is_available() {
    assert!(Isa::available().contains(&Isa::Scalar));
    assert_eq!(Isa::available().last(), Some(&Isa::best()));
}
