//! Choosing a token from logits.

use serde::{Deserialize, Serialize};

/// How the rationale's tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Sampling {
    /// The likeliest token each time.
    #[default]
    Greedy,
    /// Nucleus sampling (Holtzman et al. 2020). LlavaGuard's evaluation uses 0.2 and 0.95.
    Nucleus {
        /// Logits are divided by it; above 0.
        temperature: f32,
        /// Only the likeliest tokens that together reach this probability are kept; in (0, 1].
        top_p: f32,
        /// The same seed gives the same text on the same device.
        seed: u64,
    },
}

/// The sampler's random numbers: SplitMix64 (Steele et al. 2014), the same on every platform.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with the given seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Uniform in `0..1`.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Probabilities of logits, computed in f64; the sum is 1. Logits that are not numbers count as
/// impossible; where none is a number, all are equally likely.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    let best = logits
        .iter()
        .copied()
        .filter(|x| !x.is_nan())
        .fold(f32::NEG_INFINITY, f32::max);
    if !best.is_finite() {
        return vec![1.0 / logits.len().max(1) as f64; logits.len()];
    }
    let weight = |x: &f32| {
        if x.is_nan() {
            0.0
        } else {
            (f64::from(*x) - f64::from(best)).exp()
        }
    };
    let sum: f64 = logits.iter().map(weight).sum();
    logits.iter().map(|x| weight(x) / sum).collect()
}

/// Draws a token by nucleus sampling from `logits`, none of `banned` (sorted).
pub fn draw(
    logits: &[f32],
    banned: &[u32],
    temperature: f32,
    top_p: f32,
    random: &mut Random,
) -> u32 {
    let mut candidates: Vec<u32> = (0..logits.len() as u32)
        .filter(|id| banned.binary_search(id).is_err())
        .collect();
    let scaled: Vec<f32> = candidates
        .iter()
        .map(|id| logits[*id as usize] / temperature.max(1e-4))
        .collect();
    let probabilities = softmax(&scaled);
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| {
        probabilities[*b]
            .total_cmp(&probabilities[*a])
            .then(a.cmp(b))
    });
    let mut kept = 0.0;
    let cut = order.iter().position(|at| {
        kept += probabilities[*at];
        kept >= f64::from(top_p)
    });
    order.truncate(cut.map_or(order.len(), |at| at + 1));
    let mut left = random.uniform() * kept;
    let chosen = order.iter().find(|at| {
        left -= probabilities[**at];
        left < 0.0
    });
    let at = chosen.or(order.last()).copied().unwrap_or(0);
    candidates.swap_remove(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_sums_to_one_whatever_comes() {
        for logits in [
            vec![0.0, 1.0, -3.0],
            vec![1e30, -1e30],
            vec![f32::NAN, 2.0],
            vec![f32::NAN],
        ] {
            let sum: f64 = softmax(&logits).iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{logits:?} gave {sum}");
        }
        assert_eq!(softmax(&[f32::NAN, 2.0]), vec![0.0, 1.0]);
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_bans() {
        let logits = [1.0f32, 2.0, 3.0, 9.0];
        let mut random = Random::new(7);
        let mut counts = [0usize; 4];
        for _ in 0..20_000 {
            counts[draw(&logits, &[3], 1.0, 1.0, &mut random) as usize] += 1;
        }
        assert_eq!(counts[3], 0);
        for (count, expected) in counts.iter().zip(softmax(&logits[..3])) {
            assert!(
                (*count as f64 / 20_000.0 - expected).abs() < 0.015,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn a_small_nucleus_is_greedy_and_a_seed_repeats() {
        let logits = [0.5f32, 4.0, 1.0];
        let mut random = Random::new(1);
        assert!((0..100).all(|_| draw(&logits, &[], 0.7, 0.1, &mut random) == 1));
        let text = |seed| {
            let mut random = Random::new(seed);
            (0..50)
                .map(|_| draw(&logits, &[], 2.0, 1.0, &mut random))
                .collect::<Vec<_>>()
        };
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
    }
}
