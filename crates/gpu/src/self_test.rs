//! What is asked of an adapter before a model is used on it.
//!
//! First that it computes rightly: products in the model's formats and attention over its heads are
//! compared with plain loops. A driver that gets them wrong is not used.
//!
//! Then whether kernels for few and for many rows give the same bits. By the trait's contract a row's
//! bits depend on that row alone. Kernels for one row, a few and many add up in the same order,
//! written as the same `fma`s; but WGSL lets a compiler contract and reorder, so what one adapter's
//! driver makes of two kernels cannot be proven from their text. It is looked at instead. Where two
//! differ the device runs every number of rows through one kernel: slower, and the contract holds.

use llavaguard_backend::{AttentionShape, BLOCK, DType, Device, DeviceError, Epilogue, quant};

use crate::device::GpuDevice;
use crate::kernels::Kernel;
use crate::tiles::ATTENTION_CHUNK;
use crate::weight::device_bytes;

/// Inner size of the products compared: several blocks and a part of one.
const INNER: usize = 320;
/// Error allowed, relative to the largest value: ten times what sums in f32 come to.
const TOLERANCE: f64 = 2e-4;
/// Output features compared.
const FEATURES: usize = 48;

impl GpuDevice {
    /// Whether a model may be loaded that takes `bytes` of device memory, and begins to compile the
    /// kernels for its weights in `formats` and its heads so wide, beside what follows.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] where the device has not so much.
    pub async fn admit(
        &self,
        bytes: u64,
        formats: &[DType],
        heads: &[usize],
    ) -> Result<(), DeviceError> {
        self.reserve(bytes).await?;
        let all = Kernel::all(self.extras(), formats, heads).into_iter();
        self.prepare(all.filter(|kernel| !matches!(kernel, Kernel::Ceiling { .. })));
        Ok(())
    }

    /// Tests the adapter for weights in `formats` and heads so wide. Gives whether kernels for few and
    /// many rows agree; where they do not, one kernel serves all from now on.
    ///
    /// # Errors
    /// [`DeviceError::Wrong`] where it does.
    pub async fn self_test(&self, formats: &[DType], heads: &[usize]) -> Result<bool, DeviceError> {
        self.set_alike(false);
        let mut agree = true;
        for &head_dim in heads {
            agree = agree && self.attention_agrees(head_dim).await?;
        }
        for &format in formats {
            agree = agree && self.products_agree(format).await?;
        }
        self.set_alike(!agree);
        Ok(agree)
    }

    async fn products_agree(&self, dtype: DType) -> Result<bool, DeviceError> {
        let mut bytes = Vec::new();
        for row in 0..FEATURES {
            let values: Vec<f32> = waves(INNER, row as f32).collect();
            quant::encode_row(dtype, &values, &mut bytes)
                .map_err(|error| DeviceError::Lost(error.to_string()))?;
        }
        let row_bytes = bytes.len() / FEATURES;
        let mut stored = vec![0.0; INNER];
        let mut expected = Vec::new();
        let mut x: Vec<f32> = waves(INNER, 0.5).collect();
        if let Some(rounding) = self.rounding(dtype) {
            let blocks = x.as_chunks_mut::<BLOCK>().0.iter_mut();
            blocks.for_each(|block| rounding.apply(block));
        }
        for row in bytes.chunks(row_bytes) {
            quant::decode_row(dtype, row, &mut stored)
                .map_err(|error| DeviceError::Lost(error.to_string()))?;
            let products = x.iter().zip(&stored);
            expected.push(products.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum());
        }
        let w = self.load_weight(FEATURES, INNER, dtype, bytes)?;
        let values: Vec<f32> = waves(130 * INNER, 0.5).collect();
        let mut first: Option<Vec<f32>> = None;
        for rows in [1, 2, 3, 8, 17, 40, 130] {
            let x = self.upload(rows, INNER, &values[..rows * INNER])?;
            let out = self.linear(&x, &w, None, Epilogue::None)?;
            let out = self.read(&out).await?;
            let row = &out[..FEATURES];
            close(&format!("products with {dtype}"), row, &expected)?;
            match &first {
                None => first = Some(row.to_vec()),
                Some(first) if same_bits(first, row) => {}
                Some(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn attention_agrees(&self, head_dim: usize) -> Result<bool, DeviceError> {
        let keys = 2 * ATTENTION_CHUNK + 40;
        let shape = AttentionShape {
            heads: 1,
            kv_heads: 1,
            head_dim,
        };
        let values: Vec<f32> = waves(2048 * head_dim, 0.25).collect();
        let expected = attended(&values[..head_dim], &values[..keys * head_dim]);
        let kv = self.upload(keys, head_dim, &values[..keys * head_dim])?;
        let mut first: Option<Vec<f32>> = None;
        // The last number of rows is too much to be split over the keys.
        for rows in [1, 20, 2048] {
            let q = self.upload(rows, head_dim, &values[..rows * head_dim])?;
            let out = self.attention(&q, &kv, &kv, shape)?;
            let out = self.read(&out).await?;
            let row = &out[..head_dim];
            close(
                &format!("attention over heads of {head_dim}"),
                row,
                &expected,
            )?;
            match &first {
                None => first = Some(row.to_vec()),
                Some(first) if same_bits(first, row) => {}
                Some(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Bytes of device memory that weights of these rows, columns and formats take.
pub fn weights_bytes(weights: &[(usize, usize, DType)]) -> u64 {
    let bytes = |&(rows, cols, dtype): &(usize, usize, DType)| device_bytes(rows, cols, dtype);
    weights.iter().map(bytes).sum()
}

/// Values between -1 and 1 without a pattern.
fn waves(len: usize, phase: f32) -> impl Iterator<Item = f32> {
    (0..len).map(move |i| (i as f32 * 0.731 + phase).sin() * ((i % 89) as f32 * 0.071).cos())
}

/// What a query sees of keys that are their own values.
fn attended(query: &[f32], keys: &[f32]) -> Vec<f64> {
    let width = query.len();
    let scores: Vec<f64> = keys
        .chunks(width)
        .map(|key| {
            let products = query.iter().zip(key);
            let dot: f64 = products.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
            dot / (width as f64).sqrt()
        })
        .collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut sums, mut total) = (vec![0.0; width], 0.0);
    for (key, score) in keys.chunks(width).zip(scores) {
        let weight = (score - highest).exp();
        total += weight;
        for (sum, value) in sums.iter_mut().zip(key) {
            *sum += weight * f64::from(*value);
        }
    }
    sums.iter().map(|sum| sum / total).collect()
}

/// Refuses what is further off than rounding explains.
fn close(what: &str, found: &[f32], expected: &[f64]) -> Result<(), DeviceError> {
    let scale = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, |worst: f64, off| {
            if off.is_nan() {
                f64::INFINITY
            } else {
                worst.max(off)
            }
        });
    if found.len() == expected.len() && worst <= TOLERANCE * scale {
        return Ok(());
    }
    Err(DeviceError::Wrong(format!(
        "{what} are off by {worst:.1e} where the largest value is {scale:.1e}"
    )))
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounding_is_forgiven() {
        let expected = [1.0, -2.0, 0.5];
        assert!(close("x", &[1.0, -2.0, 0.5001], &expected).is_ok());
        for wrong in [
            [1.0, -2.0, 0.51],
            [1.0, f32::NAN, 0.5],
            [1.0, f32::INFINITY, 0.5],
        ] {
            let error = close("products", &wrong, &expected).unwrap_err();
            assert!(error.to_string().contains("products"), "{error}");
        }
        assert!(close("x", &[1.0], &expected).is_err());
    }
}
