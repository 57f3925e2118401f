//! Small tables that devices compute the same way before an operation begins.

/// How fast each pair of a head turns, in radians a position: rounded to f32, as transformers rounds
/// it (and the angle), because the networks were trained with those angles.
pub fn rotary_frequencies(head_dim: usize, theta: f32) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| f64::from(theta).powf(-((2 * i) as f64) / head_dim as f64) as f32)
        .collect()
}

/// Sine and cosine of what a pair of this frequency turns by at a position.
pub fn rotary_turn(position: usize, frequency: f32) -> (f32, f32) {
    let (sin, cos) = f64::from(position as f32 * frequency).sin_cos();
    (sin as f32, cos as f32)
}

/// Two neighbours in a row of sources and how far between them a bilinear output lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tap {
    /// The lower source.
    pub low: usize,
    /// The upper source, the lower one itself at the end.
    pub high: usize,
    /// 0 at the lower source, towards 1 at the upper.
    pub part: f32,
}

/// The taps of [`Device::pool_bilinear`](crate::Device::pool_bilinear) along one side; `from` is not
/// zero.
pub fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let source = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
            let low = (source as usize).min(from - 1);
            Tap {
                low,
                high: (low + 1).min(from - 1),
                part: (source - low as f64) as f32,
            }
        })
        .collect()
}
