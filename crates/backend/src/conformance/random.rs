//! Random operands, the same on every device.

use super::{Failure, named};
use crate::{DType, Device, quant};

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `-scale..scale`.
    pub fn value(&mut self, scale: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * scale
    }

    pub fn values(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| self.value(scale)).collect()
    }

    /// Below `end`, which is not zero.
    pub fn index(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn indices(&mut self, count: usize, end: usize) -> Vec<u32> {
        (0..count).map(|_| self.index(end) as u32).collect()
    }

    /// A matrix of values in `-scale..scale`.
    pub fn matrix<D: Device>(
        &mut self,
        device: &D,
        rows: usize,
        cols: usize,
        scale: f32,
    ) -> Result<D::Matrix, Failure> {
        let values = self.values(rows * cols, scale);
        named(
            "upload",
            &format!("{rows} x {cols}"),
            device.upload(rows, cols, &values),
        )
    }

    /// A weight whose products with values in -1..1 stay about that large.
    pub fn weight<D: Device>(
        &mut self,
        device: &D,
        rows: usize,
        cols: usize,
        dtype: DType,
    ) -> Result<D::Weight, Failure> {
        let sizes = format!("{rows} x {cols} {dtype}");
        let scale = 2.0 / (cols.max(1) as f32).sqrt();
        let mut bytes = Vec::new();
        for _ in 0..rows {
            let encoded = quant::encode_row(dtype, &self.values(cols, scale), &mut bytes);
            let encoded = encoded.map_err(|error| crate::DeviceError::Lost(error.to_string()));
            named("load_weight", &sizes, encoded)?;
        }
        named(
            "load_weight",
            &sizes,
            device.load_weight(rows, cols, dtype, bytes),
        )
    }
}
