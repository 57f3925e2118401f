//! Operands that do not fit are refused, with an error and not a panic.

use super::{Failure, named};
use crate::{AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue, RowRef};

/// Which error a misfit deserves.
#[derive(Clone, Copy)]
enum Kind {
    Shape,
    Range,
    Bytes,
    Lost,
}

/// Tries every misfit and counts them.
pub(super) async fn all<D: Device>(device: &D) -> Result<usize, Failure> {
    let zeros = |rows: usize, cols: usize| {
        named(
            "upload",
            &format!("{rows} x {cols}"),
            device.upload(rows, cols, &vec![0.0; rows * cols]),
        )
    };
    let w = named(
        "load_weight",
        "3 x 8",
        device.load_weight(3, 8, DType::F32, vec![0; 96]),
    )?;
    let small = named(
        "load_weight",
        "2 x 8",
        device.load_weight(2, 8, DType::F32, vec![0; 64]),
    )?;
    let (x, thin, tall, row) = (zeros(2, 8)?, zeros(2, 7)?, zeros(3, 8)?, zeros(1, 8)?);
    let load =
        |rows, cols, dtype, bytes| device.load_weight(rows, cols, dtype, vec![0; bytes]).err();
    let linear = |x: &D::Matrix, bias: Option<&D::Matrix>, epilogue| {
        device.linear(x, &w, bias, epilogue).err()
    };
    use Kind::{Bytes, Range, Shape};
    let mut tried = vec![
        (
            "upload",
            "too few values",
            Shape,
            device.upload(2, 3, &[0.0; 5]).err(),
        ),
        (
            "upload",
            "sizes that overflow",
            Shape,
            device.upload(usize::MAX, 2, &[]).err(),
        ),
        (
            "load_weight",
            "too few bytes",
            Bytes,
            load(3, 8, DType::F32, 95),
        ),
        (
            "load_weight",
            "too many bytes",
            Bytes,
            load(3, 32, DType::Q8_0, 103),
        ),
        (
            "load_weight",
            "part of a block",
            Bytes,
            load(1, 33, DType::Q4_0, 18),
        ),
        (
            "load_weight",
            "sizes that overflow",
            Bytes,
            load(usize::MAX / 2, 8, DType::F16, 16),
        ),
        (
            "linear",
            "another inner size",
            Shape,
            linear(&thin, None, Epilogue::None),
        ),
        (
            "linear",
            "a bias of another width",
            Shape,
            linear(&x, Some(&row), Epilogue::None),
        ),
        (
            "linear",
            "an added matrix of another size",
            Shape,
            linear(&x, None, Epilogue::Add(&tall)),
        ),
        (
            "linear_rows",
            "another inner size",
            Shape,
            device.linear_rows(&thin, &w, &[0]).err(),
        ),
        (
            "linear_rows",
            "a feature too far",
            Range,
            device.linear_rows(&x, &w, &[0, 3]).err(),
        ),
        (
            "layer_norm",
            "a gain of another width",
            Shape,
            device.layer_norm(&thin, &row, &row, 0.0).err(),
        ),
        (
            "layer_norm",
            "a bias of two rows",
            Shape,
            device.layer_norm(&x, &row, &x, 0.0).err(),
        ),
        (
            "rms_norm",
            "a gain of another width",
            Shape,
            device.rms_norm(&thin, &row, 0.0).err(),
        ),
        (
            "gated",
            "another inner size",
            Shape,
            device.gated(&thin, &w, &w).err(),
        ),
        (
            "gated",
            "weights of two sizes",
            Shape,
            device.gated(&x, &w, &small).err(),
        ),
        (
            "embed",
            "an id beyond the table",
            Range,
            device.embed(&w, &[3]).err(),
        ),
        (
            "pool_bilinear",
            "another grid",
            Shape,
            device.pool_bilinear(&tall, (2, 2), (1, 1)).err(),
        ),
        (
            "pool_bilinear",
            "an empty grid",
            Shape,
            device.pool_bilinear(&tall, (3, 1), (0, 1)).err(),
        ),
    ];
    let mut heads = zeros(2, 8)?;
    for (what, width) in [
        ("an odd width", 1),
        ("heads that do not fill a row", 6),
        ("no width", 0),
    ] {
        tried.push((
            "rotary",
            what,
            Shape,
            device.rotary(&mut heads, width, 0, 1e4).err(),
        ));
    }
    let beyond = device.rotary(&mut heads, 4, usize::MAX, 1e4).err();
    tried.push(("rotary", "a position that overflows", Shape, beyond));
    let gather = |source, row| device.gather(&[&x, &tall], &[RowRef { source, row }]).err();
    tried.push(("gather", "a source too far", Range, gather(2, 0)));
    tried.push(("gather", "a row too far", Range, gather(0, 2)));
    tried.push((
        "gather",
        "sources of two widths",
        Shape,
        device.gather(&[&x, &thin], &[]).err(),
    ));
    let orphan = RowRef { source: 0, row: 0 };
    tried.push((
        "gather",
        "a row of no source",
        Shape,
        device.gather(&[], &[orphan]).err(),
    ));
    attention(device, &zeros, &mut tried)?;
    argmax(device, &mut tried).await?;
    for (case, what, kind, error) in &tried {
        let Some(error) = error else {
            return Err(Failure::Accepted { case, what });
        };
        let right = match error {
            DeviceError::Shape { .. } => matches!(kind, Kind::Shape),
            DeviceError::OutOfRange { .. } => matches!(kind, Kind::Range),
            DeviceError::WeightBytes { .. } => matches!(kind, Kind::Bytes),
            DeviceError::Wrong(_) => false,
            DeviceError::Lost(_) => matches!(kind, Kind::Lost),
            DeviceError::OutOfMemory { .. } | DeviceError::WeightNotFinite { .. } => false,
        };
        if !right {
            return Err(Failure::WrongError {
                case,
                what,
                error: error.clone(),
            });
        }
    }
    Ok(tried.len())
}

type Tried = Vec<(&'static str, &'static str, Kind, Option<DeviceError>)>;

fn attention<D: Device>(
    device: &D,
    zeros: &impl Fn(usize, usize) -> Result<D::Matrix, Failure>,
    tried: &mut Tried,
) -> Result<(), Failure> {
    use Kind::{Range, Shape};
    let shape = |heads, kv_heads, head_dim| AttentionShape {
        heads,
        kv_heads,
        head_dim,
    };
    let (q, kv, none) = (zeros(2, 8)?, zeros(3, 4)?, zeros(0, 4)?);
    for (what, k, v, shape) in [
        ("heads that are no multiple", &kv, &kv, shape(3, 2, 2)),
        ("no heads", &kv, &kv, shape(0, 0, 2)),
        ("queries of another width", &kv, &kv, shape(2, 2, 2)),
        ("keys of another width", &q, &q, shape(4, 2, 2)),
        ("keys and values of two sizes", &kv, &none, shape(4, 2, 2)),
        ("no keys", &none, &none, shape(4, 2, 2)),
    ] {
        tried.push((
            "attention",
            what,
            Shape,
            device.attention(&q, k, v, shape).err(),
        ));
    }
    let cache = CacheShape {
        layers: 2,
        width: 4,
        capacity: 5,
    };
    let huge = CacheShape {
        layers: usize::MAX,
        width: 2,
        capacity: 2,
    };
    tried.push((
        "new_cache",
        "sizes that overflow",
        Shape,
        device.new_cache(huge).err(),
    ));
    let mut cache = named("new_cache", "2 x 5 x 4", device.new_cache(cache))?;
    named(
        "cache_write",
        "3 x 4",
        device.cache_write(&mut cache, 0, 0, &kv, &kv),
    )?;
    for (what, kind, layer, first, k, v) in [
        ("a layer too far", Range, 2, 0, &kv, &kv),
        ("more than it can hold", Range, 0, 3, &kv, &kv),
        ("positions behind a gap", Range, 1, 1, &kv, &kv),
        ("a position that overflows", Range, 0, usize::MAX, &kv, &kv),
        ("another width", Shape, 0, 0, &q, &q),
        ("keys and values of two sizes", Shape, 0, 0, &kv, &none),
    ] {
        let error = device.cache_write(&mut cache, layer, first, k, v).err();
        tried.push(("cache_write", what, kind, error));
    }
    for (what, kind, layer, first, shape) in [
        ("a layer too far", Range, 2, 0, shape(4, 2, 2)),
        ("positions nobody wrote", Range, 0, 2, shape(4, 2, 2)),
        ("a layer nobody wrote", Range, 1, 0, shape(4, 2, 2)),
        (
            "a position that overflows",
            Range,
            0,
            usize::MAX,
            shape(4, 2, 2),
        ),
        ("queries of another width", Shape, 0, 0, shape(2, 2, 2)),
        ("heads of another width", Shape, 0, 0, shape(8, 2, 1)),
    ] {
        let error = device
            .cached_attention(&q, &cache, layer, first, shape)
            .err();
        tried.push(("cached_attention", what, kind, error));
    }
    Ok(())
}

async fn argmax<D: Device>(device: &D, tried: &mut Tried) -> Result<(), Failure> {
    use Kind::{Lost, Range, Shape};
    for (what, kind, rows, values, banned) in [
        ("two rows", Shape, 2, &[0.0, 1.0][..], &[][..]),
        ("no values", Shape, 1, &[], &[]),
        ("a banned index too far", Range, 1, &[0.0, 1.0], &[2]),
        ("every index banned", Shape, 1, &[0.0, 1.0], &[1, 0]),
        ("a NaN", Lost, 1, &[0.0, f32::NAN, 1.0], &[]),
    ] {
        let logits = device.upload(rows, values.len() / rows, values);
        let logits = named("upload", what, logits)?;
        tried.push((
            "argmax",
            what,
            kind,
            device.argmax(&logits, banned).await.err(),
        ));
    }
    Ok(())
}
