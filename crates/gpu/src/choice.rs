//! The likeliest token, which is all that is read of a vocabulary's logits.

use llavaguard_backend::{DeviceError, check};

use crate::buffers::Storage;
use crate::device::GpuDevice;
use crate::kernels::Kernel;
use crate::matrix::Matrix;
use crate::pipelines::Bound;
use crate::recorder::{Cost, Dispatch};
use crate::tiles::{ARGMAX_EACH, ARGMAX_THREADS};

/// Values that may not win an arg-max, as bits on the device.
pub(crate) struct Banned {
    ids: Vec<u32>,
    len: usize,
    bits: Storage,
}

impl GpuDevice {
    /// The index of the largest value that is not banned.
    pub(crate) async fn largest(
        &self,
        logits: &Matrix,
        banned: &[u32],
    ) -> Result<u32, DeviceError> {
        let count = logits.cols;
        let groups = count.div_ceil(ARGMAX_THREADS * ARGMAX_EACH);
        let found = self.pool.take(16 * groups as u64, None)?;
        let best = self.pool.take(16, None)?;
        self.ban(banned, count)?;
        {
            let kept = self.banned.borrow();
            let bits = match &*kept {
                Some(banned) => Bound::whole(self.buffer(&banned.bits)?),
                None => Bound::whole(&self.nothing),
            };
            self.dispatch(&Dispatch {
                kernel: Kernel::Argmax,
                uniforms: &[count as u32],
                storage: &[
                    self.bound(logits)?,
                    bits,
                    Bound::whole(self.buffer(&found)?),
                ],
                groups: (groups, 1, 1),
                cost: Cost {
                    flops: 0.0,
                    bytes: logits.bytes() as f64,
                },
            })?;
        }
        self.dispatch(&Dispatch {
            kernel: Kernel::ArgmaxFinal,
            uniforms: &[groups as u32],
            storage: &[
                Bound::whole(self.buffer(&found)?),
                Bound::whole(self.buffer(&best)?),
            ],
            groups: (1, 1, 1),
            cost: Cost::default(),
        })?;
        let bytes = self.read_bytes(self.buffer(&best)?, 16).await?;
        let words: Vec<u32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect();
        match words[..] {
            [key, index, nan, _] => check::winner((key > 0).then_some(index), nan != 0),
            _ => Err(DeviceError::Lost("an arg-max gave no answer".to_owned())),
        }
    }

    /// Brings the bits of what may not win to the device, unless they are there.
    fn ban(&self, ids: &[u32], len: usize) -> Result<(), DeviceError> {
        let mut kept = self.banned.borrow_mut();
        if matches!(&*kept, Some(banned) if banned.len == len && banned.ids == ids) {
            return Ok(());
        }
        let mut bits = vec![0u32; len.div_ceil(32)];
        for &id in ids {
            bits[id as usize / 32] |= 1 << (id % 32);
        }
        let bytes: Vec<u8> = bits.iter().flat_map(|word| word.to_le_bytes()).collect();
        *kept = Some(Banned {
            ids: ids.to_vec(),
            len,
            bits: self.uploaded(&bytes)?,
        });
        Ok(())
    }
}
