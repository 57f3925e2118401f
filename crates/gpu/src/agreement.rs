//! Whether kernels for few and for many rows give the same bits on this adapter.
//!
//! By the trait's contract a row's bits depend on that row alone. Kernels for one row, a few and many
//! add up in the same order, written as the same `fma`s; but WGSL lets a compiler contract and
//! reorder, so what one adapter's driver makes of two kernels cannot be proven from their text. It is
//! looked at instead, on every adapter, before a model is used. Where two differ the device runs
//! every number of rows through one kernel: slower, and the contract holds.

use llavaguard_backend::{AttentionShape, DType, Device, DeviceError, Epilogue, quant};

use crate::device::GpuDevice;
use crate::tiles::ATTENTION_CHUNK;

/// Inner size of the products compared: several blocks and a part of one.
const INNER: usize = 320;
/// Output features compared.
const FEATURES: usize = 48;

impl GpuDevice {
    /// Compares kernels for `weights` and heads of `head_dim`, and turns to one kernel for every
    /// number of rows where they differ. Gives whether they agree.
    pub async fn settle_rows(
        &self,
        weights: &[DType],
        head_dim: usize,
    ) -> Result<bool, DeviceError> {
        self.set_alike(false);
        let mut agree = self.attention_agrees(head_dim).await?;
        for &weight in weights {
            agree = agree && self.products_agree(weight).await?;
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
        let w = self.load_weight(FEATURES, INNER, dtype, bytes)?;
        let values: Vec<f32> = waves(130 * INNER, 0.5).collect();
        let mut first: Option<Vec<f32>> = None;
        for rows in [1, 2, 3, 8, 17, 40, 130] {
            let x = self.upload(rows, INNER, &values[..rows * INNER])?;
            let out = self.linear(&x, &w, None, Epilogue::None)?;
            let out = self.read(&out).await?;
            let row = &out[..FEATURES];
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
        let kv = self.upload(keys, head_dim, &values[..keys * head_dim])?;
        let mut first: Option<Vec<f32>> = None;
        // The last number of rows is too much to be split over the keys.
        for rows in [1, 20, 2048] {
            let q = self.upload(rows, head_dim, &values[..rows * head_dim])?;
            let out = self.attention(&q, &kv, &kv, shape)?;
            let out = self.read(&out).await?;
            let row = &out[..head_dim];
            match &first {
                None => first = Some(row.to_vec()),
                Some(first) if same_bits(first, row) => {}
                Some(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Values between -1 and 1 without a pattern.
fn waves(len: usize, phase: f32) -> impl Iterator<Item = f32> {
    (0..len).map(move |i| (i as f32 * 0.731 + phase).sin() * ((i % 89) as f32 * 0.071).cos())
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
