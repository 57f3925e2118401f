//! Whether operands fit one another: the shape contract of [`Device`](crate::Device), in one place
//! for every device. A size is `(rows, cols)`.

use crate::{AttentionShape, CacheShape, DType, DeviceError, RowRef};

/// Rows and columns of a matrix or a weight.
pub type Size = (usize, usize);

fn fit(
    holds: bool,
    operation: &'static str,
    detail: impl FnOnce() -> String,
) -> Result<(), DeviceError> {
    if holds {
        Ok(())
    } else {
        Err(DeviceError::Shape {
            operation,
            detail: detail(),
        })
    }
}

/// Number of elements of a matrix, refused where it overflows.
pub fn elements(operation: &'static str, (rows, cols): Size) -> Result<usize, DeviceError> {
    rows.checked_mul(cols).ok_or_else(|| DeviceError::Shape {
        operation,
        detail: format!("{rows} x {cols} elements are more than can be counted"),
    })
}

/// [`Device::upload`](crate::Device::upload): `len` values for a matrix of `size`.
pub fn upload(size: Size, len: usize) -> Result<(), DeviceError> {
    fit(elements("upload", size)? == len, "upload", || {
        format!("{len} values for a matrix of {} x {}", size.0, size.1)
    })
}

/// [`Device::load_weight`](crate::Device::load_weight); gives the bytes of one row.
pub fn load_weight((rows, cols): Size, dtype: DType, found: usize) -> Result<usize, DeviceError> {
    let refuse = |expected| DeviceError::WeightBytes {
        rows,
        cols,
        dtype,
        expected,
        found,
    };
    let row = dtype.row_bytes(cols).ok_or_else(|| refuse(0))?;
    let expected = row.checked_mul(rows).ok_or_else(|| refuse(0))?;
    if expected == found {
        Ok(row)
    } else {
        Err(refuse(expected))
    }
}

/// [`Device::linear`](crate::Device::linear); `added` is the epilogue's matrix.
pub fn linear(
    x: Size,
    w: Size,
    bias: Option<Size>,
    added: Option<Size>,
) -> Result<(), DeviceError> {
    fit(x.1 == w.1, "linear", || {
        format!(
            "input of {} x {} for a weight of {} x {} [out, in]",
            x.0, x.1, w.0, w.1
        )
    })?;
    if let Some(bias) = bias {
        row_of("linear", "bias", bias, w.0)?;
    }
    if let Some(added) = added {
        same("linear", "output and added matrix", (x.0, w.0), added)?;
    }
    Ok(())
}

/// [`Device::gated`](crate::Device::gated).
pub fn gated(x: Size, gate: Size, up: Size) -> Result<(), DeviceError> {
    fit(x.1 == gate.1, "gated", || {
        format!(
            "input of {} x {} for weights of {} x {} [out, in]",
            x.0, x.1, gate.0, gate.1
        )
    })?;
    same("gated", "gate and up", gate, up)
}

/// [`Device::linear_rows`](crate::Device::linear_rows).
pub fn linear_rows(x: Size, w: Size, ids: &[u32]) -> Result<(), DeviceError> {
    fit(x.1 == w.1, "linear_rows", || {
        format!(
            "input of {} x {} for a weight of {} x {} [out, in]",
            x.0, x.1, w.0, w.1
        )
    })?;
    indices("linear_rows", ids, w.0)
}

/// A `[1, n]` parameter such as a bias or a gain.
pub fn row_of(
    operation: &'static str,
    what: &str,
    size: Size,
    n: usize,
) -> Result<(), DeviceError> {
    fit(size == (1, n), operation, || {
        format!("{what} must be 1 x {n} and is {} x {}", size.0, size.1)
    })
}

/// Two matrices of one size.
pub fn same(operation: &'static str, what: &str, a: Size, b: Size) -> Result<(), DeviceError> {
    fit(a == b, operation, || {
        format!("{what} are {} x {} and {} x {}", a.0, a.1, b.0, b.1)
    })
}

/// Indices below `len`.
pub fn indices(operation: &'static str, ids: &[u32], len: usize) -> Result<(), DeviceError> {
    match ids.iter().find(|id| **id as usize >= len) {
        Some(id) => Err(DeviceError::OutOfRange {
            operation,
            index: *id as usize,
            len,
        }),
        None => Ok(()),
    }
}

/// [`Device::rotary`](crate::Device::rotary): rows of whole heads with an even width, positions that
/// f32 counts exactly.
pub fn rotary(x: Size, head_dim: usize, first: usize) -> Result<(), DeviceError> {
    fit(
        head_dim > 0 && head_dim.is_multiple_of(2) && x.1.is_multiple_of(head_dim),
        "rotary",
        || {
            format!(
                "rows of {} values do not divide into heads of an even width {head_dim}",
                x.1
            )
        },
    )?;
    let end = first.checked_add(x.0);
    fit(end.is_some_and(|end| end <= 1 << 24), "rotary", || {
        format!("{} rows from position {first} on pass position 2^24", x.0)
    })
}

/// The heads of `q`, `k` and `v` of an attention operation; `kv` is the size of `k` and of `v`.
fn heads(
    operation: &'static str,
    q: Size,
    kv_cols: usize,
    shape: AttentionShape,
) -> Result<(), DeviceError> {
    let AttentionShape {
        heads,
        kv_heads,
        head_dim,
    } = shape;
    fit(
        heads > 0 && kv_heads > 0 && head_dim > 0 && heads.is_multiple_of(kv_heads),
        operation,
        || format!("{heads} query heads over {kv_heads} key/value heads of width {head_dim}"),
    )?;
    fit(
        heads.checked_mul(head_dim) == Some(q.1) && kv_heads.checked_mul(head_dim) == Some(kv_cols),
        operation,
        || {
            format!(
                "queries {} wide and keys {kv_cols} wide for {heads} and {kv_heads} heads of {head_dim}",
                q.1
            )
        },
    )
}

/// [`Device::attention`](crate::Device::attention).
pub fn attention(q: Size, k: Size, v: Size, shape: AttentionShape) -> Result<(), DeviceError> {
    same("attention", "keys and values", k, v)?;
    heads("attention", q, k.1, shape)?;
    fit(k.0 > 0 || q.0 == 0, "attention", || {
        "there are no keys to attend to".to_owned()
    })
}

/// [`Device::new_cache`](crate::Device::new_cache); gives the number of values of keys and values.
pub fn new_cache(shape: CacheShape) -> Result<usize, DeviceError> {
    let CacheShape {
        layers,
        width,
        capacity,
    } = shape;
    layers
        .checked_mul(width)
        .and_then(|n| n.checked_mul(capacity))
        .and_then(|n| n.checked_mul(2))
        .ok_or_else(|| DeviceError::Shape {
            operation: "new_cache",
            detail: format!("{layers} layers of {capacity} positions {width} wide are too many"),
        })
}

/// [`Device::cache_write`](crate::Device::cache_write); `len` positions of the layer are written
/// so far. Positions follow one another: a gap would hold nothing anybody wrote.
pub fn cache_write(
    cache: CacheShape,
    layer: usize,
    len: usize,
    first: usize,
    k: Size,
    v: Size,
) -> Result<(), DeviceError> {
    let operation = "cache_write";
    same(operation, "keys and values", k, v)?;
    fit(k.1 == cache.width, operation, || {
        format!("keys {} wide for a cache {} wide", k.1, cache.width)
    })?;
    if layer >= cache.layers {
        return Err(DeviceError::OutOfRange {
            operation,
            index: layer,
            len: cache.layers,
        });
    }
    if first > len {
        return Err(DeviceError::OutOfRange {
            operation,
            index: first,
            len,
        });
    }
    match first.checked_add(k.0) {
        Some(end) if end <= cache.capacity => Ok(()),
        _ => Err(DeviceError::OutOfRange {
            operation,
            index: first.saturating_add(k.0).saturating_sub(1),
            len: cache.capacity,
        }),
    }
}

/// [`Device::cached_attention`](crate::Device::cached_attention); `len` positions of the layer are
/// written.
pub fn cached_attention(
    q: Size,
    cache: CacheShape,
    layer: usize,
    len: usize,
    first: usize,
    shape: AttentionShape,
) -> Result<(), DeviceError> {
    let operation = "cached_attention";
    heads(operation, q, cache.width, shape)?;
    if layer >= cache.layers {
        return Err(DeviceError::OutOfRange {
            operation,
            index: layer,
            len: cache.layers,
        });
    }
    match first.checked_add(q.0) {
        Some(end) if end <= len => Ok(()),
        _ => Err(DeviceError::OutOfRange {
            operation,
            index: first.saturating_add(q.0).saturating_sub(1),
            len,
        }),
    }
}

/// [`Device::gather`](crate::Device::gather); gives the width of the rows.
pub fn gather(sources: &[Size], rows: &[RowRef]) -> Result<usize, DeviceError> {
    let operation = "gather";
    let Some(&(_, cols)) = sources.first() else {
        fit(rows.is_empty(), operation, || {
            format!("{} rows of no source", rows.len())
        })?;
        return Ok(0);
    };
    if let Some(other) = sources.iter().find(|size| size.1 != cols) {
        return fit(false, operation, || {
            format!("sources {cols} and {} wide", other.1)
        })
        .map(|()| 0);
    }
    for row in rows {
        let (source, index) = (row.source as usize, row.row as usize);
        let len = sources
            .get(source)
            .ok_or(DeviceError::OutOfRange {
                operation,
                index: source,
                len: sources.len(),
            })?
            .0;
        if index >= len {
            return Err(DeviceError::OutOfRange {
                operation,
                index,
                len,
            });
        }
    }
    Ok(cols)
}

/// [`Device::pool_bilinear`](crate::Device::pool_bilinear).
pub fn pool_bilinear(x: Size, from: Size, to: Size) -> Result<(), DeviceError> {
    fit(
        from.0.checked_mul(from.1) == Some(x.0) && x.0 > 0 && to.0 > 0 && to.1 > 0,
        "pool_bilinear",
        || {
            format!(
                "{} rows as a grid of {} x {} to {} x {}",
                x.0, from.0, from.1, to.0, to.1
            )
        },
    )?;
    elements("pool_bilinear", to).map(|_| ())
}

/// [`Device::argmax`](crate::Device::argmax).
pub fn argmax(logits: Size, banned: &[u32]) -> Result<(), DeviceError> {
    fit(
        logits.0 == 1 && logits.1 > 0 && u32::try_from(logits.1).is_ok(),
        "argmax",
        || format!("logits must be 1 x n and are {} x {}", logits.0, logits.1),
    )?;
    indices("argmax", banned, logits.1)
}

/// The winner of an [`argmax`](crate::Device::argmax): refuses a NaN, and having nothing to choose
/// from. A network that computes NaN is broken, and an answer chosen from what is left would be
/// made up.
pub fn winner(best: Option<u32>, nan: bool) -> Result<u32, DeviceError> {
    if nan {
        return Err(DeviceError::Lost("a logit is not a number".to_owned()));
    }
    best.ok_or_else(|| DeviceError::Shape {
        operation: "argmax",
        detail: "every index is banned".to_owned(),
    })
}
