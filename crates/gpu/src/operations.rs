//! The trait's operations: arguments are checked, kernels do the rest.

use llavaguard_backend::{
    AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue, Rounding, RowRef, check,
};

use crate::attention::Attending;
use crate::cache::Cache;
use crate::device::GpuDevice;
use crate::kernels::Extras;
use crate::matrix::{self, Matrix};
use crate::products::Finish;
use crate::weight::{Filling, IN_FLIGHT, Weight, device_bytes};

impl GpuDevice {
    fn filling(
        &self,
        size: check::Size,
        dtype: DType,
        stored: usize,
    ) -> Result<Filling<'_>, DeviceError> {
        Filling::new(size, dtype, stored, self.largest_binding, &self.pool)
    }

    fn filled(&self, filling: Filling<'_>) -> Weight {
        let weight = filling.finish();
        let taken = device_bytes(weight.rows, weight.cols, weight.dtype);
        self.weight_bytes.set(self.weight_bytes.get() + taken);
        weight
    }

    /// Notes bytes of weights that are on their way; gives whether it is time to wait for them.
    fn sending(&self, bytes: usize) -> bool {
        let sent = self.in_flight.get() + bytes;
        let wait = sent >= IN_FLIGHT;
        self.in_flight.set(if wait { 0 } else { sent });
        wait
    }
}

impl Device for GpuDevice {
    type Matrix = Matrix;
    type Weight = Weight;
    type Cache = Cache;

    fn name(&self) -> String {
        let Extras {
            half,
            subgroups,
            byte_dots,
            direct,
        } = self.extras;
        let mut name = format!("gpu ({}", self.summary.name);
        for (has, what) in [
            (half, "f16"),
            (subgroups, "subgroups"),
            (byte_dots, "byte dot products"),
            (direct, "products straight from memory"),
        ] {
            if has {
                name.push_str(", ");
                name.push_str(what);
            }
        }
        name + ")"
    }

    fn rounding(&self, weight: DType) -> Option<Rounding> {
        if self.extras.byte_dots {
            Rounding::before(weight)
        } else {
            None
        }
    }

    fn upload(&self, rows: usize, cols: usize, data: &[f32]) -> Result<Matrix, DeviceError> {
        check::upload((rows, cols), data.len())?;
        self.fits_binding(matrix::bytes(rows, cols))?;
        let mut bytes = Vec::with_capacity(matrix::bytes(rows, cols) as usize);
        for row in data.chunks(cols.max(1)) {
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(16), 0);
        }
        Ok(Matrix::new(rows, cols, self.uploaded(&bytes)?))
    }

    fn shape(&self, matrix: &Matrix) -> (usize, usize) {
        matrix.size()
    }

    async fn read(&self, matrix: &Matrix) -> Result<Vec<f32>, DeviceError> {
        if matrix.is_empty() {
            return Ok(Vec::new());
        }
        let buffer = self.buffer(&matrix.storage)?;
        let bytes = self.read_bytes(buffer, matrix.bytes()).await?;
        let mut values = Vec::with_capacity(matrix.rows * matrix.cols);
        for row in bytes.chunks(16 * matrix.quads()) {
            let row = row.as_chunks::<4>().0.iter().take(matrix.cols);
            values.extend(row.map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(values)
    }

    async fn settle(&self) -> Result<(), DeviceError> {
        self.read_bytes(&self.nothing, 16).await.map(drop)
    }

    fn load_weight(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<Weight, DeviceError> {
        self.health.check()?;
        let mut filling = self.filling((rows, cols), dtype, bytes.len())?;
        let mut rest = bytes.as_slice();
        while let Some((piece, behind)) = rest.split_at_checked(filling.next_bytes())
            && !piece.is_empty()
        {
            rest = behind;
            if self.sending(filling.put(piece, &self.queue)?) {
                self.queue.submit([]);
                // Natively the thread waits, a browser goes on by itself.
                let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
                waited.map_err(|error| DeviceError::Lost(error.to_string()))?;
            }
        }
        Ok(self.filled(filling))
    }

    async fn stream_weight<E: From<DeviceError>>(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        next: &mut dyn FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Weight, E> {
        self.health.check()?;
        let stored = dtype.row_bytes(cols).unwrap_or_default() * rows;
        let mut filling = self.filling((rows, cols), dtype, stored)?;
        let mut piece = vec![0; filling.next_bytes()];
        while !piece.is_empty() {
            next(&mut piece)?;
            if self.sending(filling.put(&piece, &self.queue)?) {
                self.settle().await?;
            }
            piece.resize(filling.next_bytes(), 0);
        }
        Ok(self.filled(filling))
    }

    fn linear(
        &self,
        x: &Matrix,
        w: &Weight,
        bias: Option<&Matrix>,
        epilogue: Epilogue<'_, Matrix>,
    ) -> Result<Matrix, DeviceError> {
        let finish = match epilogue {
            Epilogue::None => Finish::Nothing,
            Epilogue::GeluTanh => Finish::GeluTanh,
            Epilogue::GeluErf => Finish::GeluErf,
            Epilogue::Add(added) => Finish::Add(added),
        };
        let added = finish.other().map(Matrix::size);
        check::linear(x.size(), w.size(), bias.map(Matrix::size), added)?;
        self.product(x, w, bias, finish)
    }

    fn linear_rows(&self, x: &Matrix, w: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::linear_rows(x.size(), w.size(), ids)?;
        self.candidates(x, w, ids)
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
        self.norm(x, gain, Some(bias), eps)
    }

    fn rms_norm(&self, x: &Matrix, gain: &Matrix, eps: f32) -> Result<Matrix, DeviceError> {
        check::row_of("rms_norm", "gain", gain.size(), x.cols)?;
        self.norm(x, gain, None, eps)
    }

    fn rotary(
        &self,
        x: &mut Matrix,
        head_dim: usize,
        first: usize,
        theta: f32,
    ) -> Result<(), DeviceError> {
        check::rotary(x.size(), head_dim, first)?;
        self.rotate(x, head_dim, first, theta)
    }

    fn attention(
        &self,
        q: &Matrix,
        k: &Matrix,
        v: &Matrix,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        check::attention(q.size(), k.size(), v.size(), shape)?;
        self.attend(&Attending {
            q,
            k: self.buffer(&k.storage)?,
            v: self.buffer(&v.storage)?,
            keys: k.rows,
            kv_quads: k.quads(),
            first: None,
            shape,
        })
    }

    fn new_cache(&self, shape: CacheShape) -> Result<Cache, DeviceError> {
        check::new_cache(shape)?;
        // A layer's keys have to fit one binding when the cache is full.
        self.fits_binding(matrix::bytes(shape.capacity, shape.width))?;
        Ok(Cache::new(shape))
    }

    fn cache_write(
        &self,
        cache: &mut Cache,
        layer: usize,
        first: usize,
        k: &Matrix,
        v: &Matrix,
    ) -> Result<(), DeviceError> {
        let len = cache.len(layer);
        check::cache_write(cache.shape, layer, len, first, k.size(), v.size())?;
        self.keep(cache, layer, first, (k, v))
    }

    fn cached_attention(
        &self,
        q: &Matrix,
        cache: &Cache,
        layer: usize,
        first: usize,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        let len = cache.len(layer);
        check::cached_attention(q.size(), cache.shape, layer, len, first, shape)?;
        let Some(kept) = cache.layer(layer) else {
            // Only no query at all can be asked of a layer that holds nothing.
            return self.unset(q.rows, q.cols);
        };
        self.attend(&Attending {
            q,
            k: self.buffer(&kept.keys)?,
            v: self.buffer(&kept.values)?,
            keys: first + q.rows,
            kv_quads: cache.shape.width.div_ceil(4),
            first: Some(first),
            shape,
        })
    }

    fn gated(&self, x: &Matrix, gate: &Weight, up: &Weight) -> Result<Matrix, DeviceError> {
        check::gated(x.size(), gate.size(), up.size())?;
        let gated = self.product(x, gate, None, Finish::Nothing)?;
        self.product(x, up, None, Finish::Gate(&gated))
    }

    fn embed(&self, table: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::indices("embed", ids, table.rows)?;
        self.rows_of(table, ids)
    }

    fn gather(&self, sources: &[&Matrix], rows: &[RowRef]) -> Result<Matrix, DeviceError> {
        let sizes: Vec<_> = sources.iter().map(|source| source.size()).collect();
        let cols = check::gather(&sizes, rows)?;
        self.gathered(sources, rows, cols)
    }

    fn pool_bilinear(
        &self,
        x: &Matrix,
        from: (usize, usize),
        to: (usize, usize),
    ) -> Result<Matrix, DeviceError> {
        check::pool_bilinear(x.size(), from, to)?;
        self.resized(x, from, to)
    }

    async fn argmax(&self, logits: &Matrix, banned: &[u32]) -> Result<u32, DeviceError> {
        check::argmax(logits.size(), banned)?;
        self.largest(logits, banned).await
    }
}
