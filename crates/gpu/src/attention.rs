//! Attention, and the keys and values it keeps.

use std::rc::Rc;

use llavaguard_backend::{AttentionShape, DeviceError};

use crate::buffers::Buffer;
use crate::cache::{Cache, Layer};
use crate::device::GpuDevice;
use crate::kernels::{Kernel, can_split};
use crate::matrix::{self, Matrix};
use crate::pipelines::Bound;
use crate::recorder::{Cost, Dispatch};
use crate::tiles::{ATTENTION_CHUNK, WIDEST_HEAD, attention_tile};

/// Workgroups below which attention is split over its keys.
const FEW_WORKGROUPS: usize = 64;

/// An attention operation; `first` where it is causal.
pub(crate) struct Attending<'a> {
    pub q: &'a Matrix,
    pub k: &'a Buffer,
    pub v: &'a Buffer,
    pub keys: usize,
    pub kv_quads: usize,
    pub first: Option<usize>,
    pub shape: AttentionShape,
}

impl GpuDevice {
    pub(crate) fn attend(&self, job: &Attending<'_>) -> Result<Matrix, DeviceError> {
        let AttentionShape {
            heads,
            kv_heads,
            head_dim,
        } = job.shape;
        let q = job.q;
        if head_dim > WIDEST_HEAD {
            return Err(DeviceError::Shape {
                operation: "attention",
                detail: format!("heads of {head_dim}; the GPU's kernels take up to {WIDEST_HEAD}"),
            });
        }
        let out = self.unset(q.rows, q.cols)?;
        if out.is_empty() {
            return Ok(out);
        }
        let sharing = heads / kv_heads;
        let head_quads = head_dim.div_ceil(4);
        let (lanes, _) = attention_tile(head_quads);
        let across = (q.rows * sharing).div_ceil(lanes);
        let chunks = job.keys.div_ceil(ATTENTION_CHUNK);
        let split = can_split(head_dim)
            && chunks > 1
            && across * kv_heads < FEW_WORKGROUPS
            && !self.alike.get();
        let unit = if head_dim.is_multiple_of(4) { 1 } else { 4 };
        let (first, causal) = job.first.map_or((0, 0), |first| (first as u32, 1));
        let scale = 1.0 / (head_dim as f32).sqrt();
        let uniforms = [
            q.rows as u32,
            job.keys as u32,
            first,
            causal,
            heads as u32,
            sharing as u32,
            (q.quads() * unit) as u32,
            (job.kv_quads * unit) as u32,
            scale.to_bits(),
            out.quads() as u32,
        ];
        let pairs = (q.rows * job.keys * heads) as f64;
        let cost = Cost {
            flops: 4.0 * pairs * head_dim as f64,
            bytes: 2.0 * q.bytes() as f64 + 32.0 * (job.keys * job.kv_quads) as f64,
        };
        let partial = if split {
            let bytes = 16 * (chunks * q.rows * heads * (head_quads + 1)) as u64;
            Some(self.pool.take(bytes, None)?)
        } else {
            None
        };
        let target = match &partial {
            Some(partial) => Bound::whole(self.buffer(partial)?),
            None => self.bound(&out)?,
        };
        self.dispatch(&Dispatch {
            kernel: Kernel::Attention { head_dim, split },
            uniforms: &uniforms,
            storage: &[
                self.bound(q)?,
                Bound::whole(job.k),
                Bound::whole(job.v),
                target,
            ],
            groups: (across, kv_heads, if split { chunks } else { 1 }),
            cost,
        })?;
        if let Some(partial) = &partial {
            self.dispatch(&Dispatch {
                kernel: Kernel::AttentionMerge { head_dim },
                uniforms: &uniforms,
                storage: &[Bound::whole(self.buffer(partial)?), self.bound(&out)?],
                groups: ((heads * head_quads).div_ceil(64), q.rows, 1),
                cost: Cost {
                    flops: 0.0,
                    bytes: q.bytes() as f64 * (chunks + 1) as f64,
                },
            })?;
        }
        Ok(out)
    }

    /// Writes keys and values behind each other from position `first` on.
    pub(crate) fn keep(
        &self,
        cache: &mut Cache,
        layer: usize,
        first: usize,
        (k, v): (&Matrix, &Matrix),
    ) -> Result<(), DeviceError> {
        let len = cache.len(layer);
        if k.is_empty() {
            return Ok(());
        }
        let end = first + k.rows;
        let quads = k.quads();
        if let Some(positions) = cache.growth(layer, end) {
            let bytes = matrix::bytes(positions, cache.shape.width);
            let grown = Layer {
                keys: Rc::new(self.pool.take(bytes, None)?),
                values: Rc::new(self.pool.take(bytes, None)?),
                positions,
                len,
            };
            if let Some(old) = cache.layer(layer) {
                for (from, to) in [(&old.keys, &grown.keys), (&old.values, &grown.values)] {
                    self.copy(self.buffer(from)?, 0, self.buffer(to)?, 0, len * quads)?;
                }
            }
            cache.replace(layer, grown);
        }
        if let Some(kept) = cache.layer(layer) {
            for (new, kept) in [(k, &kept.keys), (v, &kept.values)] {
                let (from, to) = (self.buffer(&new.storage)?, self.buffer(kept)?);
                self.copy(from, 0, to, first * quads, new.rows * quads)?;
            }
        }
        cache.written(layer, end);
        Ok(())
    }
}
