//! How fast a device multiplies: what benchmarks print and what a loader judges a machine by.

use crate::{DType, Device, DeviceError, Epilogue, quant};

/// Operands of [`Device::linear`], timed as often as is asked.
#[derive(Debug)]
pub struct Product<M, W> {
    x: M,
    w: W,
    /// Operations of one product; a multiplication and an addition are two.
    operations: f64,
}

impl<M, W> Product<M, W> {
    /// `rows` by `inputs` activations and an `outputs` by `inputs` weight in `format`, all of them
    /// uniform noise. The product is run once, so that buffers are there and pages are touched.
    ///
    /// # Errors
    /// Of the device; [`DeviceError::WeightBytes`] where `inputs` are no whole blocks of the format.
    pub async fn new<D: Device<Matrix = M, Weight = W>>(
        device: &D,
        (rows, inputs, outputs): (usize, usize, usize),
        format: DType,
    ) -> Result<Self, DeviceError> {
        let mut noise = noise();
        let x: Vec<f32> = (0..rows * inputs).map(|_| noise()).collect();
        let mut bytes = Vec::new();
        for _ in 0..outputs {
            let row: Vec<f32> = (0..inputs).map(|_| noise() / 32.0).collect();
            quant::encode_row(format, &row, &mut bytes).map_err(|_| DeviceError::WeightBytes {
                rows: outputs,
                cols: inputs,
                dtype: format,
                expected: 0,
                found: 0,
            })?;
        }
        let product = Product {
            x: device.upload(rows, inputs, &x)?,
            w: device.load_weight(outputs, inputs, format, bytes)?,
            // Not counted in usize, which has 32 bits in a browser.
            operations: 2.0 * rows as f64 * inputs as f64 * outputs as f64,
        };
        product.run(device, 1).await?;
        Ok(product)
    }

    /// Giga-operations a second, from as many products as fill `least_ms` milliseconds of the clock
    /// `now_ms`: one, then two, then four and so on. The device is waited for behind each of these
    /// series alone, so that one that records first has something to record.
    pub async fn rate<D: Device<Matrix = M, Weight = W>>(
        &self,
        device: &D,
        least_ms: f64,
        now_ms: impl Fn() -> f64,
    ) -> Result<f64, DeviceError> {
        let start = now_ms();
        let (mut count, mut series) = (0.0, 1);
        loop {
            self.run(device, series).await?;
            count += f64::from(series);
            let taken = now_ms() - start;
            if taken >= least_ms && taken > 0.0 {
                return Ok(count * self.operations / taken / 1e6);
            }
            series *= 2;
        }
    }

    async fn run<D: Device<Matrix = M, Weight = W>>(
        &self,
        device: &D,
        count: u32,
    ) -> Result<(), DeviceError> {
        for _ in 0..count {
            device.linear(&self.x, &self.w, None, Epilogue::None)?;
        }
        device.settle().await
    }
}

/// Uniform noise in -1..1 (a linear congruential generator is random enough to time with).
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{block_on, reference::Reference};
    use std::cell::Cell;

    #[test]
    fn the_clock_decides_how_often() {
        let device = Reference::EXACT;
        let product = block_on(Product::new(&device, (3, 64, 5), DType::Q8_0)).unwrap();
        // Two milliseconds go by between looks, so the fifth look sees ten: behind 1 + 2 + 4 + 8 + 16.
        let time = Cell::new(0.0);
        let clock = || time.replace(time.get() + 2.0);
        let rate = block_on(product.rate(&device, 10.0, clock)).unwrap();
        assert_eq!(time.get(), 12.0);
        assert_eq!(rate, 31.0 * (2 * 3 * 64 * 5) as f64 / 10.0 / 1e6);
    }

    #[test]
    fn inputs_that_fill_no_blocks_are_refused() {
        let device = Reference::EXACT;
        let error = block_on(Product::new(&device, (1, 33, 2), DType::Q4_0)).unwrap_err();
        assert!(
            matches!(error, DeviceError::WeightBytes { cols: 33, .. }),
            "{error}"
        );
    }
}
