//! The trait's operations: checks, allocation, and splitting into tasks.

use std::sync::Arc;

use llavaguard_backend::tables::{rotary_frequencies, taps};
use llavaguard_backend::{
    AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue, Rounding, RowRef, check,
};

use crate::attention::{Attention, Cache, QUERIES, Tiles};
use crate::buffers::{BufferUse, Buffers};
use crate::epilogue::{Finish, Finishing};
use crate::gemm::Plainly;
use crate::integer::Integer;
use crate::linear::{Gated, Linear};
use crate::matrix::{Matrix, Rect, RoundedForms, rectangles};
use crate::packed::Packed;
use crate::rounded::{Partner, Rounded};
use crate::rows::{self, LayerNorm, RmsNorm};
use crate::simd::{Dispatch, Isa};
use crate::weight::{Storage, Weight};
use crate::workers::{Threads, Workers};

/// The CPU.
#[derive(Debug)]
pub struct CpuDevice {
    isa: Isa,
    dispatch: Dispatch,
    workers: Workers,
    buffers: Arc<Buffers>,
}

impl CpuDevice {
    /// The best instruction set here on `threads` threads, or on as many as the machine has: its own
    /// natively, on WebAssembly those of the process's pool (which is the calling thread alone unless
    /// `llavaguard-web` has made threads of workers).
    pub fn new(threads: Option<usize>) -> Result<Self, DeviceError> {
        let threads = match threads {
            None if cfg!(target_arch = "wasm32") => Threads::Global,
            None => Threads::Own(std::thread::available_parallelism().map_or(1, usize::from)),
            Some(0 | 1) => Threads::Caller,
            Some(_) if cfg!(target_arch = "wasm32") => Threads::Global,
            Some(count) => Threads::Own(count),
        };
        Self::with(Isa::best(), threads)
    }

    /// A chosen instruction set and chosen threads; an error if this machine or build lacks the
    /// instruction set.
    pub fn with(isa: Isa, threads: Threads) -> Result<Self, DeviceError> {
        let dispatch = Dispatch::detect(isa).ok_or_else(|| {
            DeviceError::Lost(format!("this machine or build has no {}", isa.name()))
        })?;
        Ok(Self {
            isa,
            dispatch,
            workers: Workers::new(threads)?,
            buffers: Arc::default(),
        })
    }

    /// What its buffers for activations amount to.
    pub fn buffer_use(&self) -> BufferUse {
        self.buffers.usage()
    }

    /// An output of `rows` x `features`, computed rectangle by rectangle.
    fn in_rectangles(
        &self,
        operation: &'static str,
        (rows, features): (usize, usize),
        (rect_rows, rect_cols): (usize, usize),
        compute: impl Fn(&mut Rect<'_>) + Send + Sync,
    ) -> Result<Matrix, DeviceError> {
        let mut out = Matrix::unset(operation, rows, features, &self.buffers)?;
        let rects = rectangles(&mut out.data, features, rect_rows, rect_cols);
        self.workers.run(rects, |mut rect| compute(&mut rect));
        Ok(out)
    }

    /// What multiplies `x` by `w`.
    fn linear_of<'a>(
        &self,
        x: &'a Matrix,
        w: &'a Weight,
        finishing: Finishing<'a>,
    ) -> Result<Linear<'a>, DeviceError> {
        Ok(match &w.storage {
            Storage::Plain(plain) => Linear::Plain(Plainly {
                x,
                w: plain,
                ids: None,
                finishing,
            }),
            Storage::Packed(packed) => Linear::Packed(Integer {
                x: self.rounded(x, packed)?,
                w: packed,
                finishing,
            }),
        })
    }

    /// `x` as the integer kernels read it beside `w`.
    fn rounded<'a>(&self, x: &'a Matrix, w: &Packed) -> Result<&'a Rounded, DeviceError> {
        let (form, partner, dtype) = if w.nibbles {
            (&x.rounded.nibbles, Partner::Nibbles, DType::Q4_0)
        } else {
            (&x.rounded.bytes, Partner::Bytes, DType::Q8_0)
        };
        if let Some(rounded) = form.get() {
            return Ok(rounded);
        }
        let rounding = Rounding::before(dtype).unwrap_or(Rounding { levels: 63 });
        let at = (self.dispatch, &self.workers);
        let rounded = Rounded::new(&x.data, x.cols, rounding, partner, at, &self.buffers)?;
        Ok(form.get_or_init(|| rounded))
    }

    fn attend(&self, attention: Attention<'_>) -> Result<Matrix, DeviceError> {
        let q = attention.q;
        let mut out = Matrix::unset("attention", q.rows, q.cols, &self.buffers)?;
        let group = attention.group();
        let width = group * attention.shape.head_dim;
        let rects = rectangles(&mut out.data, q.cols, (QUERIES / group).max(1), width);
        self.workers.run(rects, |rect: Rect<'_>| {
            attention.compute(self.dispatch, rect)
        });
        Ok(out)
    }
}

impl Device for CpuDevice {
    type Matrix = Matrix;
    type Weight = Weight;
    type Cache = Cache;

    fn name(&self) -> String {
        let count = self.workers.count();
        let plural = if count == 1 { "" } else { "s" };
        format!("cpu ({}, {count} thread{plural})", self.isa.name())
    }

    fn rounding(&self, weight: DType) -> Option<Rounding> {
        Rounding::before(weight)
    }

    fn upload(&self, rows: usize, cols: usize, data: &[f32]) -> Result<Matrix, DeviceError> {
        check::upload((rows, cols), data.len())?;
        Matrix::of(rows, cols, data, &self.buffers)
    }

    fn shape(&self, matrix: &Matrix) -> (usize, usize) {
        matrix.size()
    }

    async fn read(&self, matrix: &Matrix) -> Result<Vec<f32>, DeviceError> {
        Ok(matrix.data.to_vec())
    }

    fn load_weight(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<Weight, DeviceError> {
        Weight::new(rows, cols, dtype, bytes, self.dispatch.layout().panel)
    }

    fn linear(
        &self,
        x: &Matrix,
        w: &Weight,
        bias: Option<&Matrix>,
        epilogue: Epilogue<'_, Matrix>,
    ) -> Result<Matrix, DeviceError> {
        let (finish, added) = match epilogue {
            Epilogue::None => (Finish::Nothing, None),
            Epilogue::GeluTanh => (Finish::GeluTanh, None),
            Epilogue::GeluErf => (Finish::GeluErf, None),
            Epilogue::Add(added) => (Finish::Add(added), Some(added.size())),
        };
        check::linear(x.size(), w.size(), bias.map(Matrix::size), added)?;
        let linear = self.linear_of(x, w, Finishing { bias, finish })?;
        let tiling = linear.tiling(x.rows, self.workers.count());
        self.in_rectangles("linear", (x.rows, w.rows), tiling, |rect| {
            linear.compute(self.dispatch, rect);
        })
    }

    fn linear_rows(&self, x: &Matrix, w: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::linear_rows(x.size(), w.size(), ids)?;
        let finishing = Finishing::NONE;
        match &w.storage {
            Storage::Plain(plain) => {
                let linear = Linear::Plain(Plainly {
                    x,
                    w: plain,
                    ids: Some(ids),
                    finishing,
                });
                let tiling = linear.tiling(x.rows, self.workers.count());
                self.in_rectangles("linear_rows", (x.rows, ids.len()), tiling, |rect| {
                    linear.compute(self.dispatch, rect);
                })
            }
            Storage::Packed(packed) => {
                let mut out = Matrix::unset("linear_rows", x.rows, ids.len(), &self.buffers)?;
                let integer = Integer {
                    x: self.rounded(x, packed)?,
                    w: packed,
                    finishing,
                };
                for (row, out) in out.data.chunks_mut(ids.len().max(1)).enumerate() {
                    integer.compute_ids(self.dispatch, row, ids, out);
                }
                Ok(out)
            }
        }
    }

    fn layer_norm(
        &self,
        x: &Matrix,
        gain: &Matrix,
        bias: &Matrix,
        eps: f32,
    ) -> Result<Matrix, DeviceError> {
        check::row_of("layer_norm", "gain", gain.size(), x.cols)?;
        check::row_of("layer_norm", "bias", bias.size(), x.cols)?;
        let mut out = Matrix::unset("layer_norm", x.rows, x.cols, &self.buffers)?;
        self.workers.bands(&mut out.data, x.cols, 2, |band, rows| {
            rows.copy_from_slice(&x.data[band * x.cols..][..rows.len()]);
            self.dispatch.run(LayerNorm {
                rows,
                gain: &gain.data,
                bias: &bias.data,
                eps,
            });
        });
        Ok(out)
    }

    fn rms_norm(&self, x: &Matrix, gain: &Matrix, eps: f32) -> Result<Matrix, DeviceError> {
        check::row_of("rms_norm", "gain", gain.size(), x.cols)?;
        let mut out = Matrix::unset("rms_norm", x.rows, x.cols, &self.buffers)?;
        self.workers.bands(&mut out.data, x.cols, 2, |band, rows| {
            rows.copy_from_slice(&x.data[band * x.cols..][..rows.len()]);
            self.dispatch.run(RmsNorm {
                rows,
                gain: &gain.data,
                eps,
            });
        });
        Ok(out)
    }

    fn rotary(
        &self,
        x: &mut Matrix,
        head_dim: usize,
        first: usize,
        theta: f32,
    ) -> Result<(), DeviceError> {
        check::rotary(x.size(), head_dim, first)?;
        let frequencies = rotary_frequencies(head_dim, theta);
        let cols = x.cols;
        x.rounded = RoundedForms::default();
        self.workers.bands(&mut x.data, cols, 8, |band, rows| {
            let mut turn = Vec::with_capacity(frequencies.len());
            for (row, values) in rows.chunks_mut(cols).enumerate() {
                rows::rotate(values, first + band + row, &frequencies, &mut turn);
            }
        });
        Ok(())
    }

    fn attention(
        &self,
        q: &Matrix,
        k: &Matrix,
        v: &Matrix,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        check::attention(q.size(), k.size(), v.size(), shape)?;
        let mut kv = Tiles::new(k.cols, shape.head_dim, self.dispatch, &self.buffers);
        kv.write(0, (k, v), &self.workers)?;
        self.attend(Attention {
            q,
            kv: &kv,
            shape,
            first: None,
        })
    }

    fn new_cache(&self, shape: CacheShape) -> Result<Cache, DeviceError> {
        check::new_cache(shape)?;
        Ok(Cache::new(shape, self.dispatch))
    }

    fn cache_write(
        &self,
        cache: &mut Cache,
        layer: usize,
        first: usize,
        k: &Matrix,
        v: &Matrix,
    ) -> Result<(), DeviceError> {
        let len = cache.layers.get(layer).map_or(0, Tiles::len);
        check::cache_write(cache.shape, layer, len, first, k.size(), v.size())?;
        cache.layers[layer].write(first, (k, v), &self.workers)
    }

    fn cached_attention(
        &self,
        q: &Matrix,
        cache: &Cache,
        layer: usize,
        first: usize,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        let len = cache.layers.get(layer).map_or(0, Tiles::len);
        check::cached_attention(q.size(), cache.shape, layer, len, first, shape)?;
        self.attend(Attention {
            q,
            kv: &cache.layers[layer],
            shape,
            first: Some(first),
        })
    }

    fn gated(&self, x: &Matrix, gate: &Weight, up: &Weight) -> Result<Matrix, DeviceError> {
        check::gated(x.size(), gate.size(), up.size())?;
        let features = gate.rows;
        let gated = Gated {
            gate: self.linear_of(x, gate, Finishing::NONE)?,
            up: self.linear_of(x, up, Finishing::NONE)?,
        };
        let tiling = gated.tiling(x.rows, self.workers.count());
        self.in_rectangles("gated", (x.rows, features), tiling, |rect| {
            gated.compute(self.dispatch, rect);
        })
    }

    fn embed(&self, table: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::indices("embed", ids, table.rows)?;
        let mut out = Matrix::unset("embed", ids.len(), table.cols, &self.buffers)?;
        table.decode_rows(ids, &mut out.data);
        Ok(out)
    }

    fn gather(&self, sources: &[&Matrix], rows: &[RowRef]) -> Result<Matrix, DeviceError> {
        let sizes: Vec<_> = sources.iter().map(|source| source.size()).collect();
        let cols = check::gather(&sizes, rows)?;
        let mut out = Matrix::unset("gather", rows.len(), cols, &self.buffers)?;
        if cols > 0 {
            for (out, row) in out.data.chunks_mut(cols).zip(rows) {
                out.copy_from_slice(sources[row.source as usize].row(row.row as usize));
            }
        }
        Ok(out)
    }

    fn pool_bilinear(
        &self,
        x: &Matrix,
        from: (usize, usize),
        to: (usize, usize),
    ) -> Result<Matrix, DeviceError> {
        check::pool_bilinear(x.size(), from, to)?;
        let (down, across) = (taps(from.0, to.0), taps(from.1, to.1));
        let cols = x.cols;
        let mut out = Matrix::unset("pool_bilinear", to.0 * to.1, cols, &self.buffers)?;
        self.workers.bands(&mut out.data, cols, 2, |band, rows| {
            for (row, values) in rows.chunks_mut(cols).enumerate() {
                let (y, column) = ((band + row) / to.1, (band + row) % to.1);
                rows::blend(x, from.1, down[y], across[column], values);
            }
        });
        Ok(out)
    }

    async fn argmax(&self, logits: &Matrix, banned: &[u32]) -> Result<u32, DeviceError> {
        check::argmax(logits.size(), banned)?;
        let mut banned = banned.to_vec();
        banned.sort_unstable();
        let mut banned = banned.into_iter().peekable();
        let (mut best, mut nan) = (None, false);
        for (index, &value) in (0u32..).zip(&logits.data[..]) {
            if banned.next_if(|next| *next <= index).is_some() {
                while banned.next_if_eq(&index).is_some() {}
                continue;
            }
            nan |= value.is_nan();
            if best.is_none_or(|(_, highest)| value > highest) {
                best = Some((index, value));
            }
        }
        check::winner(best.map(|(index, _)| index), nan)
    }
}
