//! An output row depends on its own inputs alone, to the last bit.

use std::ops::Range;

use super::random::Random;
use super::{Failure, named, same_bits};
use crate::{AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue};

/// Runs all comparisons and counts them.
pub(super) async fn all<D: Device>(device: &D) -> Result<usize, Failure> {
    let mut count = linear(device).await?;
    count += norms(device).await?;
    count += rotary(device).await?;
    count += attention(device).await?;
    count += prefill(device).await?;
    Ok(count)
}

/// Computes rows together, split in two places, and one by one.
async fn compare<D: Device>(
    device: &D,
    case: &'static str,
    sizes: &str,
    rows: usize,
    mut compute: impl FnMut(Range<usize>) -> Result<D::Matrix, DeviceError>,
) -> Result<usize, Failure> {
    let whole = named(case, sizes, compute(0..rows))?;
    let whole = named(case, sizes, device.read(&whole).await)?;
    let cuts = [
        vec![0, rows / 3, rows],
        vec![0, rows / 2 + 1, rows],
        (0..=rows).collect(),
    ];
    for cuts in &cuts {
        let mut pieces = Vec::new();
        for pair in cuts.windows(2) {
            let piece = named(case, sizes, compute(pair[0]..pair[1]))?;
            pieces.extend(named(case, sizes, device.read(&piece).await)?);
        }
        let how = format!("{rows} rows in {} pieces", cuts.len() - 1);
        same_bits(case, sizes, &how, &whole, &pieces)?;
    }
    Ok(cuts.len())
}

/// Rows of a row-major matrix.
fn slice(values: &[f32], cols: usize, rows: &Range<usize>) -> Vec<f32> {
    values[rows.start * cols..rows.end * cols].to_vec()
}

async fn linear<D: Device>(device: &D) -> Result<usize, Failure> {
    let mut random = Random::new(21);
    let mut count = 0;
    for dtype in DType::ALL {
        for (m, k, n) in [(7, 64, 5), (23, 2080, 9), (101, 96, 131)] {
            let x = random.values(m * k, 1.0);
            let w = random.weight(device, n, k, dtype)?;
            let bias = random.matrix(device, 1, n, 1.0)?;
            let ids = random.indices(5, n);
            let sizes = format!("{m}x{k}x{n} {dtype}");
            count += compare(device, "linear", &sizes, m, |rows| {
                let x = device.upload(rows.len(), k, &slice(&x, k, &rows))?;
                device.linear(&x, &w, Some(&bias), Epilogue::GeluTanh)
            })
            .await?;
            let up = random.weight(device, n, k, dtype)?;
            count += compare(device, "gated", &sizes, m, |rows| {
                let x = device.upload(rows.len(), k, &slice(&x, k, &rows))?;
                device.gated(&x, &w, &up)
            })
            .await?;
            count += compare(device, "linear_rows", &sizes, m, |rows| {
                let x = device.upload(rows.len(), k, &slice(&x, k, &rows))?;
                device.linear_rows(&x, &w, &ids)
            })
            .await?;
        }
    }
    Ok(count)
}

async fn norms<D: Device>(device: &D) -> Result<usize, Failure> {
    let mut random = Random::new(22);
    let (m, n) = (37, 333);
    let x = random.values(m * n, 3.0);
    let gain = random.matrix(device, 1, n, 1.0)?;
    let bias = random.matrix(device, 1, n, 1.0)?;
    let sizes = format!("{m}x{n}");
    let mut count = compare(device, "layer_norm", &sizes, m, |rows| {
        let x = device.upload(rows.len(), n, &slice(&x, n, &rows))?;
        device.layer_norm(&x, &gain, &bias, 1e-6)
    })
    .await?;
    count += compare(device, "rms_norm", &sizes, m, |rows| {
        let x = device.upload(rows.len(), n, &slice(&x, n, &rows))?;
        device.rms_norm(&x, &gain, 1e-6)
    })
    .await?;
    Ok(count)
}

async fn rotary<D: Device>(device: &D) -> Result<usize, Failure> {
    let mut random = Random::new(23);
    let (m, cols) = (37, 128);
    let x = random.values(m * cols, 1.0);
    compare(
        device,
        "rotary",
        "37 rows, 2 heads of 64 from 1000",
        m,
        |rows| {
            let mut x = device.upload(rows.len(), cols, &slice(&x, cols, &rows))?;
            device.rotary(&mut x, 64, 1000 + rows.start, 1e6)?;
            Ok(x)
        },
    )
    .await
}

async fn attention<D: Device>(device: &D) -> Result<usize, Failure> {
    let mut random = Random::new(24);
    let mut count = 0;
    for (m, n, heads, kv_heads, head_dim) in [(71, 100, 2, 2, 72), (40, 65, 7, 1, 64)] {
        let shape = AttentionShape {
            heads,
            kv_heads,
            head_dim,
        };
        let width = heads * head_dim;
        let q = random.values(m * width, 2.0);
        let k = random.matrix(device, n, kv_heads * head_dim, 2.0)?;
        let v = random.matrix(device, n, kv_heads * head_dim, 1.0)?;
        let sizes = format!("{m} over {n}, {heads}/{kv_heads} heads of {head_dim}");
        count += compare(device, "attention", &sizes, m, |rows| {
            let q = device.upload(rows.len(), width, &slice(&q, width, &rows))?;
            device.attention(&q, &k, &v, shape)
        })
        .await?;
    }
    Ok(count)
}

/// A prompt prefilled at once, in two pieces and token by token.
async fn prefill<D: Device>(device: &D) -> Result<usize, Failure> {
    let mut random = Random::new(25);
    let mut count = 0;
    for (m, heads, kv_heads, head_dim) in [(131, 14, 2, 64), (67, 3, 3, 37)] {
        let shape = AttentionShape {
            heads,
            kv_heads,
            head_dim,
        };
        let (wide, narrow) = (heads * head_dim, kv_heads * head_dim);
        let q = random.values(m * wide, 2.0);
        let k = random.values(m * narrow, 2.0);
        let v = random.values(m * narrow, 1.0);
        let sizes = format!("{m} positions, {heads}/{kv_heads} heads of {head_dim}");
        let cache_shape = CacheShape {
            layers: 1,
            width: narrow,
            capacity: m,
        };
        let mut cache = named("new_cache", &sizes, device.new_cache(cache_shape))?;
        count += compare(device, "cached_attention", &sizes, m, |rows| {
            if rows.start == 0 {
                cache = device.new_cache(cache_shape)?;
            }
            let first = rows.start;
            let q = device.upload(rows.len(), wide, &slice(&q, wide, &rows))?;
            let k = device.upload(rows.len(), narrow, &slice(&k, narrow, &rows))?;
            let v = device.upload(rows.len(), narrow, &slice(&v, narrow, &rows))?;
            device.cache_write(&mut cache, 0, first, &k, &v)?;
            device.cached_attention(&q, &cache, 0, first, shape)
        })
        .await?;
    }
    Ok(count)
}
