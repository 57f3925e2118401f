//! The plainest reading of every operation: scalar loops that add up in f64.
//!
//! Slow, and meant to be: nothing here is clever enough to be wrong in an interesting way.

use crate::{
    AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue, Rounding, RowRef, check,
    quant,
};

/// The reference device.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    q8_0: Option<Rounding>,
    q4_0: Option<Rounding>,
}

impl Reference {
    /// Rounds no activations.
    pub const EXACT: Reference = Reference {
        q8_0: None,
        q4_0: None,
    };

    /// Rounds activations where, and as, `device` does.
    pub fn like<D: Device>(device: &D) -> Self {
        Reference {
            q8_0: device.rounding(DType::Q8_0),
            q4_0: device.rounding(DType::Q4_0),
        }
    }
}

/// A weight of the reference device, decoded at load.
#[derive(Debug, Clone)]
pub struct Weight {
    matrix: Matrix,
    rounding: Option<Rounding>,
}

/// A matrix of the reference device.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Matrix {
    fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..][..self.cols]
    }

    /// A matrix whose element `(row, col)` is `value(row, col)`, rounded once.
    fn from_fn(rows: usize, cols: usize, mut value: impl FnMut(usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(rows * cols);
        for row in 0..rows {
            for col in 0..cols {
                data.push(value(row, col) as f32);
            }
        }
        Self { rows, cols, data }
    }
}

/// Keys and values of the reference device.
#[derive(Debug, Clone)]
pub struct Cache {
    shape: CacheShape,
    /// Keys and values written so far, by layer.
    layers: Vec<(Matrix, Matrix)>,
}

impl Device for Reference {
    type Matrix = Matrix;
    type Weight = Weight;
    type Cache = Cache;

    fn name(&self) -> String {
        "reference (scalar, f64 sums)".to_owned()
    }

    fn rounding(&self, weight: DType) -> Option<Rounding> {
        match weight {
            DType::F32 | DType::F16 => None,
            DType::Q8_0 => self.q8_0,
            DType::Q4_0 => self.q4_0,
        }
    }

    fn upload(&self, rows: usize, cols: usize, data: &[f32]) -> Result<Matrix, DeviceError> {
        check::upload((rows, cols), data.len())?;
        Ok(Matrix {
            rows,
            cols,
            data: data.to_vec(),
        })
    }

    fn shape(&self, matrix: &Matrix) -> (usize, usize) {
        matrix.size()
    }

    async fn read(&self, matrix: &Matrix) -> Result<Vec<f32>, DeviceError> {
        Ok(matrix.data.clone())
    }

    fn load_weight(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<Weight, DeviceError> {
        let row_bytes = check::load_weight((rows, cols), dtype, bytes.len())?;
        let mut data = vec![0.0; rows * cols];
        for row in 0..rows {
            quant::decode_row(
                dtype,
                &bytes[row * row_bytes..][..row_bytes],
                &mut data[row * cols..][..cols],
            )
            .map_err(|error| DeviceError::Lost(error.to_string()))?;
        }
        Ok(Weight {
            matrix: Matrix { rows, cols, data },
            rounding: self.rounding(dtype),
        })
    }

    fn linear(
        &self,
        x: &Matrix,
        w: &Weight,
        bias: Option<&Matrix>,
        epilogue: Epilogue<'_, Matrix>,
    ) -> Result<Matrix, DeviceError> {
        let added = if let Epilogue::Add(added) = &epilogue {
            Some(added.size())
        } else {
            None
        };
        check::linear(x.size(), w.matrix.size(), bias.map(Matrix::size), added)?;
        let x = &rounded(x, w.rounding);
        let w = &w.matrix;
        Ok(Matrix::from_fn(x.rows, w.rows, |row, col| {
            let sum = dot(x.row(row), w.row(col)) + bias.map_or(0.0, |b| f64::from(b.data[col]));
            match &epilogue {
                Epilogue::None => sum,
                Epilogue::GeluTanh => gelu_tanh(sum),
                Epilogue::GeluErf => gelu_erf(sum),
                Epilogue::Add(added) => sum + f64::from(added.row(row)[col]),
            }
        }))
    }

    fn linear_rows(&self, x: &Matrix, w: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::linear_rows(x.size(), w.matrix.size(), ids)?;
        let x = &rounded(x, w.rounding);
        let w = &w.matrix;
        Ok(Matrix::from_fn(x.rows, ids.len(), |row, col| {
            dot(x.row(row), w.row(ids[col] as usize))
        }))
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
        let moments: Vec<(f64, f64)> = (0..x.rows)
            .map(|row| {
                let values = x.row(row).iter().map(|value| f64::from(*value));
                let mean = values.clone().sum::<f64>() / x.cols as f64;
                let variance = values.map(|v| (v - mean) * (v - mean)).sum::<f64>() / x.cols as f64;
                (mean, (variance + f64::from(eps)).sqrt())
            })
            .collect();
        Ok(Matrix::from_fn(x.rows, x.cols, |row, col| {
            let (mean, deviation) = moments[row];
            (f64::from(x.row(row)[col]) - mean) / deviation * f64::from(gain.data[col])
                + f64::from(bias.data[col])
        }))
    }

    fn rms_norm(&self, x: &Matrix, gain: &Matrix, eps: f32) -> Result<Matrix, DeviceError> {
        check::row_of("rms_norm", "gain", gain.size(), x.cols)?;
        let roots: Vec<f64> = (0..x.rows)
            .map(|row| (dot(x.row(row), x.row(row)) / x.cols as f64 + f64::from(eps)).sqrt())
            .collect();
        Ok(Matrix::from_fn(x.rows, x.cols, |row, col| {
            f64::from(x.row(row)[col]) / roots[row] * f64::from(gain.data[col])
        }))
    }

    fn rotary(
        &self,
        x: &mut Matrix,
        head_dim: usize,
        first: usize,
        theta: f32,
    ) -> Result<(), DeviceError> {
        check::rotary(x.size(), head_dim, first)?;
        let half = head_dim / 2;
        for row in 0..x.rows {
            for head in x.data[row * x.cols..][..x.cols].chunks_exact_mut(head_dim) {
                for i in 0..half {
                    let (sin, cos) = rotary_angle(first + row, i, head_dim, theta).sin_cos();
                    let (a, b) = (f64::from(head[i]), f64::from(head[i + half]));
                    head[i] = (a * cos - b * sin) as f32;
                    head[i + half] = (b * cos + a * sin) as f32;
                }
            }
        }
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
        Ok(attend(q, k, v, shape, |_| k.rows))
    }

    fn new_cache(&self, shape: CacheShape) -> Result<Cache, DeviceError> {
        check::new_cache(shape)?;
        let empty = || Matrix {
            rows: 0,
            cols: shape.width,
            data: Vec::new(),
        };
        Ok(Cache {
            shape,
            layers: (0..shape.layers).map(|_| (empty(), empty())).collect(),
        })
    }

    fn cache_write(
        &self,
        cache: &mut Cache,
        layer: usize,
        first: usize,
        k: &Matrix,
        v: &Matrix,
    ) -> Result<(), DeviceError> {
        let len = cache.layers.get(layer).map_or(0, |(keys, _)| keys.rows);
        check::cache_write(cache.shape, layer, len, first, k.size(), v.size())?;
        let (keys, values) = &mut cache.layers[layer];
        for (kept, new) in [(keys, k), (values, v)] {
            let end = first + new.rows;
            if kept.rows < end {
                kept.rows = end;
                kept.data.resize(end * kept.cols, 0.0);
            }
            kept.data[first * kept.cols..end * kept.cols].copy_from_slice(&new.data);
        }
        Ok(())
    }

    fn cached_attention(
        &self,
        q: &Matrix,
        cache: &Cache,
        layer: usize,
        first: usize,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        let len = cache.layers.get(layer).map_or(0, |(keys, _)| keys.rows);
        check::cached_attention(q.size(), cache.shape, layer, len, first, shape)?;
        let (keys, values) = &cache.layers[layer];
        Ok(attend(q, keys, values, shape, |row| first + row + 1))
    }

    fn gated(&self, x: &Matrix, gate: &Weight, up: &Weight) -> Result<Matrix, DeviceError> {
        check::gated(x.size(), gate.matrix.size(), up.matrix.size())?;
        let (for_gate, for_up) = (rounded(x, gate.rounding), rounded(x, up.rounding));
        Ok(Matrix::from_fn(x.rows, gate.matrix.rows, |row, col| {
            let gate = dot(for_gate.row(row), gate.matrix.row(col));
            gate / (1.0 + (-gate).exp()) * dot(for_up.row(row), up.matrix.row(col))
        }))
    }

    fn embed(&self, table: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::indices("embed", ids, table.matrix.rows)?;
        let data = ids
            .iter()
            .flat_map(|id| table.matrix.row(*id as usize))
            .copied()
            .collect();
        Ok(Matrix {
            rows: ids.len(),
            cols: table.matrix.cols,
            data,
        })
    }

    fn gather(&self, sources: &[&Matrix], rows: &[RowRef]) -> Result<Matrix, DeviceError> {
        let sizes: Vec<_> = sources.iter().map(|source| source.size()).collect();
        let cols = check::gather(&sizes, rows)?;
        let row = |row: &RowRef| sources[row.source as usize].row(row.row as usize);
        Ok(Matrix {
            rows: rows.len(),
            cols,
            data: rows.iter().flat_map(row).copied().collect(),
        })
    }

    fn pool_bilinear(
        &self,
        x: &Matrix,
        from: (usize, usize),
        to: (usize, usize),
    ) -> Result<Matrix, DeviceError> {
        check::pool_bilinear(x.size(), from, to)?;
        Ok(Matrix::from_fn(to.0 * to.1, x.cols, |row, col| {
            let (y0, y1, fy) = bilinear_tap(row / to.1, from.0, to.0);
            let (x0, x1, fx) = bilinear_tap(row % to.1, from.1, to.1);
            let at = |y: usize, column: usize| f64::from(x.row(y * from.1 + column)[col]);
            (1.0 - fy) * ((1.0 - fx) * at(y0, x0) + fx * at(y0, x1))
                + fy * ((1.0 - fx) * at(y1, x0) + fx * at(y1, x1))
        }))
    }

    async fn argmax(&self, logits: &Matrix, banned: &[u32]) -> Result<u32, DeviceError> {
        check::argmax(logits.size(), banned)?;
        let (mut best, mut nan) = (None::<u32>, false);
        for index in (0..logits.cols as u32).filter(|index| !banned.contains(index)) {
            let value = logits.data[index as usize];
            nan |= value.is_nan();
            if best.is_none_or(|best| value > logits.data[best as usize]) {
                best = Some(index);
            }
        }
        check::winner(best, nan)
    }
}

/// Activations as a quantised weight meets them.
fn rounded(x: &Matrix, rounding: Option<Rounding>) -> Matrix {
    let mut x = x.clone();
    if let Some(rounding) = rounding {
        // Rows are whole blocks, or the weight could not have been stored.
        x.data
            .as_chunks_mut()
            .0
            .iter_mut()
            .for_each(|block| rounding.apply(block));
    }
    x
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

/// `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, Hendrycks and Gimpel, arXiv:1606.08415.
fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

/// `x` times the normal distribution's cumulative probability of `x`, same paper.
fn gelu_erf(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
}

/// The angle by which pair `i` of a head turns at `position`.
///
/// Frequency and angle are rounded to f32 as transformers rounds them (`Qwen2RotaryEmbedding`):
/// the networks were trained with those angles, and at position 8,000 an exact one is 2e-4 off.
fn rotary_angle(position: usize, i: usize, head_dim: usize, theta: f32) -> f64 {
    let frequency = f64::from(theta).powf(-((2 * i) as f64) / head_dim as f64) as f32;
    f64::from(position as f32 * frequency)
}

/// Attention of every row of `q` over the first `visible(row)` rows of `k` and `v`.
fn attend(
    q: &Matrix,
    k: &Matrix,
    v: &Matrix,
    shape: AttentionShape,
    visible: impl Fn(usize) -> usize,
) -> Matrix {
    let d = shape.head_dim;
    let group = shape.heads / shape.kv_heads;
    let mut out = Matrix {
        rows: q.rows,
        cols: q.cols,
        data: vec![0.0; q.data.len()],
    };
    for row in 0..q.rows {
        for head in 0..shape.heads {
            let query = &q.row(row)[head * d..][..d];
            let shared = (head / group) * d;
            let scores: Vec<f64> = (0..visible(row))
                .map(|key| dot(query, &k.row(key)[shared..][..d]) / (d as f64).sqrt())
                .collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
            let total: f64 = weights.iter().sum();
            for i in 0..d {
                let sum: f64 = weights
                    .iter()
                    .enumerate()
                    .map(|(key, weight)| weight * f64::from(v.row(key)[shared + i]))
                    .sum();
                out.data[row * q.cols + head * d + i] = (sum / total) as f32;
            }
        }
    }
    out
}

/// The two source indices output index `i` lies between, and how far it is towards the second.
fn bilinear_tap(i: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let scale = from as f64 / to as f64;
    let source = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
    let low = (source.floor() as usize).min(from - 1);
    (low, (low + 1).min(from - 1), source - low as f64)
}

#[cfg(test)]
mod tests;
