//! Pillow's 8-bit antialiased resampling with the bicubic filter (`libImaging/Resample.c`),
//! reproduced operation by operation: weights in doubles, rounded to 22 fractional bits, a
//! pass along each axis, each rounded to 8 bits.

use std::borrow::Cow;

use crate::error::ImageError;
use crate::image::Rgb8Image;

/// Eight bits for the pixel, two for the filter's overshoot, the rest for the fraction.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Half the filter's width, in pixels of the larger scale.
const SUPPORT: f64 = 2.0;

/// Resizes as Pillow's `Image.resize((width, height), Image.Resampling.BICUBIC)` of Pillow 13
/// does, to the last bit.
///
/// # Errors
/// [`ImageError::ZeroSize`] where `width` or `height` is 0.
pub fn resize(image: &Rgb8Image, width: u32, height: u32) -> Result<Rgb8Image, ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::ZeroSize { width, height });
    }
    let mut data = Cow::Borrowed(image.data());
    let mut columns = image.width();
    // Pillow 13's choice. Until 12 the horizontal pass always came first; the rounding between the
    // passes then makes a level's difference here and there.
    let vertical_first = height < image.height()
        && i64::from(image.height()) - i64::from(height)
            > 2 * (i64::from(image.width()) - i64::from(width));
    let passes = [Axis::Vertical, Axis::Horizontal, Axis::Vertical];
    for axis in if vertical_first {
        &passes[..2]
    } else {
        &passes[1..]
    } {
        match axis {
            Axis::Horizontal if width != image.width() => {
                let kernel = Kernel::new(image.width() as usize, width as usize);
                data = Cow::Owned(horizontal(&data, image.width() as usize, &kernel));
                columns = width;
            }
            Axis::Vertical if height != image.height() => {
                let kernel = Kernel::new(image.height() as usize, height as usize);
                data = Cow::Owned(vertical(&data, 3 * columns as usize, &kernel));
            }
            _ => {}
        }
    }
    Rgb8Image::from_rgb(width, height, data.into_owned())
}

enum Axis {
    Horizontal,
    Vertical,
}

/// For every output position along one axis: the first input position and the weights from there.
struct Kernel {
    taps: Vec<Taps>,
    weights: Vec<i32>,
}

struct Taps {
    first: usize,
    /// Into [`Kernel::weights`].
    weights: std::ops::Range<usize>,
}

impl Kernel {
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        // Downscaling widens the filter (that is the antialiasing), upscaling does not narrow it.
        let filter_scale = scale.max(1.0);
        let support = SUPPORT * filter_scale;
        let step = 1.0 / filter_scale;
        let mut taps = Vec::with_capacity(output);
        let mut weights = Vec::new();
        let mut exact = Vec::new();
        for position in 0..output {
            let center = (position as f64 + 0.5) * scale;
            // Pillow truncates towards zero, and so does `as`.
            let first = ((center - support + 0.5) as i64).max(0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            exact.clear();
            exact.extend((first..end).map(|x| {
                // Pillow's order of operations: (x + first) - center + 0.5, then scaled.
                bicubic((x as f64 - center + 0.5) * step)
            }));
            let mut sum = 0.0;
            for weight in &exact {
                sum += weight;
            }
            let start = weights.len();
            weights.extend(
                exact
                    .iter()
                    .map(|weight| fixed_point(if sum == 0.0 { *weight } else { weight / sum })),
            );
            taps.push(Taps {
                first,
                weights: start..weights.len(),
            });
        }
        Self { taps, weights }
    }

    /// First input position and weights of every output position.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.taps
            .iter()
            .map(|taps| (taps.first, &self.weights[taps.weights.clone()]))
    }
}

/// Keys' cubic convolution with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION_BITS);
    (if weight < 0.0 {
        scaled - 0.5
    } else {
        scaled + 0.5
    }) as i32
}

fn to_u8(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// Every row of `3 · width` bytes to the kernel's output width.
fn horizontal(data: &[u8], width: usize, kernel: &Kernel) -> Vec<u8> {
    let rows = data.chunks_exact(3 * width);
    let mut output = Vec::with_capacity(rows.len() * 3 * kernel.taps.len());
    for row in rows {
        let (pixels, _) = row.as_chunks::<3>();
        for (first, weights) in kernel.iter() {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in pixels[first..].iter().zip(weights) {
                sums[0] += i32::from(pixel[0]) * weight;
                sums[1] += i32::from(pixel[1]) * weight;
                sums[2] += i32::from(pixel[2]) * weight;
            }
            output.extend(sums.map(to_u8));
        }
    }
    output
}

/// Rows of `stride` bytes to the kernel's output height.
fn vertical(data: &[u8], stride: usize, kernel: &Kernel) -> Vec<u8> {
    let mut output = Vec::with_capacity(kernel.taps.len() * stride);
    let mut sums = vec![HALF; stride];
    for (first, weights) in kernel.iter() {
        sums.fill(HALF);
        for (row, &weight) in data.chunks_exact(stride).skip(first).zip(weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        output.extend(sums.iter().map(|&sum| to_u8(sum)));
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_lie_within_the_input() {
        for (input, output) in [
            (1, 7),
            (7, 1),
            (2, 3),
            (30_000, 1),
            (1, 3000),
            (384, 383),
            (5, 64),
        ] {
            let kernel = Kernel::new(input, output);
            assert_eq!(kernel.taps.len(), output);
            for (first, weights) in kernel.iter() {
                assert!(!weights.is_empty() && first + weights.len() <= input);
                let sum: i64 = weights.iter().map(|&w| i64::from(w)).sum();
                let off = (sum - (1 << PRECISION_BITS)).abs();
                assert!(off <= weights.len() as i64, "{input} -> {output}: {off}");
                // No sum of bytes can leave 32 bits.
                let most: i64 = weights.iter().map(|&w| i64::from(w).abs()).sum();
                assert!(most * 255 + i64::from(HALF) <= i64::from(i32::MAX));
            }
        }
    }

    #[test]
    fn the_same_size_is_a_copy_and_zero_an_error() {
        let image = Rgb8Image::from_rgb(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(resize(&image, 2, 1).unwrap(), image);
        assert_eq!(resize(&image, 0, 1).unwrap_err().code(), "image.zero_size");
    }
}
