//! What the adapter can do at best, to hold kernels against: a copy and arithmetic alone.

use std::time::Instant;

use llavaguard_backend::{Device, DeviceError};

use crate::device::GpuDevice;
use crate::kernels::Kernel;
use crate::pipelines::Bound;
use crate::recorder::{Cost, Dispatch};
use crate::tiles::{CEILING_SUMS, CEILING_THREADS};

/// Bytes copied to and fro.
const COPIED: usize = 64 << 20;
/// Workgroups that multiply and add: enough for the largest GPU, several times over.
const WORKGROUPS: usize = 2048;
/// Seconds a measurement takes at least.
const LEAST: f64 = 0.2;

/// What an adapter can do at best, by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Ceilings {
    /// Bytes read and written a second by a copy.
    pub copied_bytes: f64,
    /// Additions and multiplications of f32 a second.
    pub flops: f64,
    /// The same of bytes by dot products, where they are used.
    pub byte_ops: Option<f64>,
}

impl GpuDevice {
    /// Measures them; takes a second or two. Natively only, since a browser's clock is its page's.
    pub async fn ceilings(&self) -> Result<Ceilings, DeviceError> {
        let (a, b) = (
            self.pool.take(COPIED as u64, None)?,
            self.pool.take(COPIED as u64, None)?,
        );
        let (a, b) = (self.buffer(&a)?, self.buffer(&b)?);
        let quads = COPIED / 16;
        let copies = self
            .rate(|rounds| (0..rounds).try_for_each(|_| self.copy(a, 0, b, 0, quads)))
            .await?;
        let mut sums = [0.0; 2];
        for (bytes, sum) in [false, true].into_iter().zip(&mut sums) {
            if bytes && !self.extras().byte_dots {
                continue;
            }
            // Four additions and four multiplications a dot product of four bytes.
            let each = if bytes { 8 } else { 2 } * 4 * CEILING_SUMS * CEILING_THREADS * WORKGROUPS;
            let storage = [Bound::whole(a), Bound::whole(b)];
            let rounds = self
                .rate(|rounds| {
                    self.dispatch(&Dispatch {
                        kernel: Kernel::Ceiling { bytes },
                        uniforms: &[rounds],
                        storage: &storage,
                        groups: (WORKGROUPS, 1, 1),
                        cost: Cost::default(),
                    })
                })
                .await?;
            *sum = rounds * each as f64;
        }
        let [flops, byte_ops] = sums;
        Ok(Ceilings {
            copied_bytes: copies * 2.0 * COPIED as f64,
            flops,
            byte_ops: self.extras().byte_dots.then_some(byte_ops),
        })
    }

    /// Rounds a second of what `run` records, which is told how many.
    async fn rate(&self, run: impl Fn(u32) -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
        run(1)?;
        self.settle().await?;
        let mut rounds = 1u32;
        loop {
            let start = Instant::now();
            run(rounds)?;
            self.settle().await?;
            let seconds = start.elapsed().as_secs_f64();
            if seconds > LEAST || rounds >= 1 << 16 {
                return Ok(f64::from(rounds) / seconds);
            }
            rounds *= 2;
        }
    }
}
