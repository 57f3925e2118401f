//! Every operation on random operands.

use super::random::Random;
use super::{Failure, Output, named};
use crate::{AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue, RowRef};

/// For sums of f32 products in any order over a few thousand terms.
const SUMS: f64 = 2e-5;
/// For the product of two such sums, one through an activation.
const GATED: f64 = 5e-5;
/// For a few roundings and a division, root or exponential.
const ELEMENTS: f64 = 3e-6;
/// For values that are copied or decoded.
const EXACT: f64 = 0.0;

struct Recorder<'a, D: Device> {
    device: &'a D,
    outputs: Vec<Output>,
}

impl<D: Device> Recorder<'_, D> {
    async fn record(
        &mut self,
        case: &'static str,
        sizes: String,
        tolerance: f64,
        result: Result<D::Matrix, DeviceError>,
    ) -> Result<(), Failure> {
        let matrix = named(case, &sizes, result)?;
        let (rows, cols) = self.device.shape(&matrix);
        let values = named(case, &sizes, self.device.read(&matrix).await)?;
        if values.len() != rows * cols {
            let (expected, found) = (rows * cols, values.len());
            return Err(Failure::Length {
                case,
                sizes,
                expected,
                found,
            });
        }
        self.outputs.push(Output {
            case,
            sizes,
            tolerance,
            cols,
            values,
        });
        Ok(())
    }
}

/// Results of all operations; the same list on every device.
pub(super) async fn all<D: Device>(device: &D) -> Result<Vec<Output>, Failure> {
    let mut recorder = Recorder {
        device,
        outputs: Vec::new(),
    };
    linear(&mut recorder).await?;
    linear_rows(&mut recorder).await?;
    norms(&mut recorder).await?;
    rotary(&mut recorder).await?;
    attention(&mut recorder).await?;
    cached_attention(&mut recorder).await?;
    gated(&mut recorder).await?;
    embed(&mut recorder).await?;
    gather(&mut recorder).await?;
    pool_bilinear(&mut recorder).await?;
    argmax(&mut recorder).await?;
    Ok(recorder.outputs)
}

async fn linear<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let plain = [
        (1, 1, 1),
        (1, 3, 27),
        (3, 37, 1),
        (5, 72, 3),
        (7, 4304, 27),
        (27, 1031, 65),
        (37, 64, 130),
        (0, 8, 4),
    ];
    let blocks = [
        (1, 32, 1),
        (1, 896, 131),
        (3, 96, 27),
        (37, 64, 3),
        (19, 2080, 67),
        (130, 1152, 70),
    ];
    let mut random = Random::new(1);
    for dtype in DType::ALL {
        let ragged = if dtype.block_len() == 1 {
            &plain[..]
        } else {
            &[]
        };
        for (case, &(m, k, n)) in ragged.iter().chain(&blocks).enumerate() {
            let x = random.matrix(to.device, m, k, 1.0)?;
            let w = random.weight(to.device, n, k, dtype)?;
            let bias = random.matrix(to.device, 1, n, 0.5)?;
            let added = random.matrix(to.device, m, n, 2.0)?;
            let epilogues = [
                ("plain", None, Epilogue::None),
                ("bias", Some(&bias), Epilogue::None),
                ("bias gelu_tanh", Some(&bias), Epilogue::GeluTanh),
                ("bias gelu_erf", Some(&bias), Epilogue::GeluErf),
                ("add", None, Epilogue::Add(&added)),
                ("bias add", Some(&bias), Epilogue::Add(&added)),
            ];
            // Small ones with every epilogue, large ones with one each: the reference is slow.
            let all = m * k * n < 20_000;
            for (number, (name, bias, epilogue)) in epilogues.into_iter().enumerate() {
                if all || number == case % 6 {
                    let sizes = format!("{m}x{k}x{n} {dtype} {name}");
                    let result = to.device.linear(&x, &w, bias, epilogue);
                    to.record("linear", sizes, SUMS, result).await?;
                }
            }
        }
    }
    gelu(to).await
}

/// Both GELUs over their whole range, through a 1 x 1 weight of one. The error counts against the
/// largest value, 12: far in the negative tail the result is a difference of nearly equal numbers.
async fn gelu<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let values: Vec<f32> = (-600..=600).map(|i| i as f32 / 50.0).collect();
    let one = 1.0f32.to_le_bytes().to_vec();
    let w = named(
        "load_weight",
        "1 x 1",
        to.device.load_weight(1, 1, DType::F32, one),
    )?;
    let x = named("upload", "gelu", to.device.upload(values.len(), 1, &values))?;
    for (name, epilogue) in [("tanh", Epilogue::GeluTanh), ("erf", Epilogue::GeluErf)] {
        let result = to.device.linear(&x, &w, None, epilogue);
        to.record("gelu", format!("{name} over -12..12"), 1e-7, result)
            .await?;
        if let Some(output) = to.outputs.last_mut() {
            output.cols = values.len();
        }
    }
    Ok(())
}

async fn linear_rows<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(2);
    for dtype in DType::ALL {
        for (m, k, n, count) in [(1, 64, 40, 0), (1, 64, 40, 3), (3, 1056, 300, 77)] {
            let x = random.matrix(to.device, m, k, 1.0)?;
            let w = random.weight(to.device, n, k, dtype)?;
            let ids = random.indices(count, n);
            let sizes = format!("{m}x{k}, {count} of {n} {dtype}");
            to.record(
                "linear_rows",
                sizes,
                SUMS,
                to.device.linear_rows(&x, &w, &ids),
            )
            .await?;
        }
    }
    Ok(())
}

async fn norms<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(3);
    for (m, n, scale) in [
        (1, 1, 1.0),
        (3, 27, 1.0),
        (1, 37, 1e-3),
        (27, 72, 100.0),
        (3, 896, 1.0),
        (5, 1152, 30.0),
    ] {
        let x = random.matrix(to.device, m, n, scale)?;
        let gain = random.matrix(to.device, 1, n, 2.0)?;
        let bias = random.matrix(to.device, 1, n, 1.0)?;
        let sizes = format!("{m}x{n} of {scale}");
        let result = to.device.layer_norm(&x, &gain, &bias, 1e-6);
        to.record("layer_norm", sizes.clone(), ELEMENTS, result)
            .await?;
        let result = to.device.rms_norm(&x, &gain, 1e-6);
        to.record("rms_norm", sizes, ELEMENTS, result).await?;
    }
    // A mean a thousand times the deviation: a one-pass variance loses it.
    let values: Vec<f32> = random
        .values(3 * 896, 0.1)
        .iter()
        .map(|value| value + 100.0)
        .collect();
    let x = named("upload", "3x896", to.device.upload(3, 896, &values))?;
    let gain = random.matrix(to.device, 1, 896, 1.0)?;
    let bias = random.matrix(to.device, 1, 896, 1.0)?;
    let result = to.device.layer_norm(&x, &gain, &bias, 1e-6);
    to.record("layer_norm", "3x896 far from zero".to_owned(), 3e-4, result)
        .await
}

async fn rotary<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(4);
    for (m, heads, d, first, theta) in [
        (1, 1, 2, 0, 1e4),
        (3, 2, 6, 1, 1e4),
        (27, 14, 64, 0, 1e6),
        (5, 2, 64, 8_000, 1e6),
        (3, 4, 128, 32_000, 1e6),
    ] {
        let mut x = random.matrix(to.device, m, heads * d, 1.0)?;
        let sizes = format!("{m} rows, {heads} heads of {d} from {first}, theta {theta}");
        let result = to.device.rotary(&mut x, d, first, theta).map(|()| x);
        to.record("rotary", sizes, ELEMENTS, result).await?;
    }
    Ok(())
}

async fn attention<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(5);
    for (m, n, heads, kv_heads, head_dim) in [
        (1, 1, 1, 1, 1),
        (1, 3, 2, 1, 3),
        (3, 27, 4, 2, 37),
        (27, 27, 3, 3, 72),
        (65, 130, 2, 2, 72),
        (37, 129, 7, 1, 64),
        (5, 64, 4, 2, 128),
    ] {
        let shape = AttentionShape {
            heads,
            kv_heads,
            head_dim,
        };
        let q = random.matrix(to.device, m, heads * head_dim, 2.0)?;
        let k = random.matrix(to.device, n, kv_heads * head_dim, 2.0)?;
        let v = random.matrix(to.device, n, kv_heads * head_dim, 1.0)?;
        let sizes = format!("{m} over {n}, {heads}/{kv_heads} heads of {head_dim}");
        let result = to.device.attention(&q, &k, &v, shape);
        to.record("attention", sizes, SUMS, result).await?;
    }
    // Scores in the thousands: exp must be taken relative to the highest.
    let shape = AttentionShape {
        heads: 1,
        kv_heads: 1,
        head_dim: 64,
    };
    let q = random.matrix(to.device, 3, 64, 60.0)?;
    let k = random.matrix(to.device, 70, 64, 60.0)?;
    let v = random.matrix(to.device, 70, 64, 1.0)?;
    let result = to.device.attention(&q, &k, &v, shape);
    to.record(
        "attention",
        "scores in the thousands".to_owned(),
        2e-3,
        result,
    )
    .await
}

async fn cached_attention<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(6);
    for (pieces, heads, kv_heads, head_dim) in [
        (&[1, 1, 1][..], 1, 1, 3),
        (&[27, 37, 1, 3], 4, 2, 72),
        (&[64, 1, 64, 70, 1], 14, 2, 64),
        (&[3, 130], 7, 7, 37),
    ] {
        let shape = AttentionShape {
            heads,
            kv_heads,
            head_dim,
        };
        let width = kv_heads * head_dim;
        let sizes = format!("{pieces:?} positions, {heads}/{kv_heads} heads of {head_dim}");
        let cache_shape = CacheShape {
            layers: 3,
            width,
            capacity: 201,
        };
        let mut cache = named("new_cache", &sizes, to.device.new_cache(cache_shape))?;
        let mut first = 0;
        for &rows in pieces {
            for layer in 0..3 {
                let q = random.matrix(to.device, rows, heads * head_dim, 2.0)?;
                let k = random.matrix(to.device, rows, width, 2.0)?;
                let v = random.matrix(to.device, rows, width, 1.0)?;
                let written = to.device.cache_write(&mut cache, layer, first, &k, &v);
                named("cache_write", &sizes, written)?;
                let result = to.device.cached_attention(&q, &cache, layer, first, shape);
                let sizes = format!("{sizes}, at {first}");
                to.record("cached_attention", sizes, SUMS, result).await?;
            }
            first += rows;
        }
        // Going back and writing over what was there, as a session does for a second policy.
        let back = first / 2;
        let q = random.matrix(to.device, 1, heads * head_dim, 2.0)?;
        let k = random.matrix(to.device, 1, width, 2.0)?;
        let v = random.matrix(to.device, 1, width, 1.0)?;
        named(
            "cache_write",
            &sizes,
            to.device.cache_write(&mut cache, 1, back, &k, &v),
        )?;
        let result = to.device.cached_attention(&q, &cache, 1, back, shape);
        to.record(
            "cached_attention",
            format!("{sizes}, back at {back}"),
            SUMS,
            result,
        )
        .await?;
    }
    Ok(())
}

async fn gated<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(7);
    let plain = [(1, 1, 1), (3, 37, 27), (27, 5, 66)];
    let blocks = [(1, 896, 131), (7, 96, 65), (5, 64, 1), (37, 1056, 33)];
    for gate_type in DType::ALL {
        let ragged = if gate_type.block_len() == 1 {
            &plain[..]
        } else {
            &[]
        };
        for &(m, k, n) in ragged.iter().chain(&blocks) {
            // The two may be stored in different formats where both fit.
            let other = if k % 32 == 0 { DType::Q8_0 } else { DType::F32 };
            for up_type in [gate_type, other] {
                let x = random.matrix(to.device, m, k, 2.0)?;
                let gate = random.weight(to.device, n, k, gate_type)?;
                let up = random.weight(to.device, n, k, up_type)?;
                let sizes = format!("{m}x{k}x{n} {gate_type} {up_type}");
                let result = to.device.gated(&x, &gate, &up);
                to.record("gated", sizes, GATED, result).await?;
            }
        }
    }
    // The activation over its whole range, through a 1 x 1 weight of one.
    for reach in [10.0, 200.0] {
        let values: Vec<f32> = (-300..=300).map(|i| i as f32 / 300.0 * reach).collect();
        let one = || {
            let one = 1.0f32.to_le_bytes().to_vec();
            let weight = to.device.load_weight(1, 1, DType::F32, one);
            named("load_weight", "1 x 1", weight)
        };
        let (gate, up) = (one()?, one()?);
        let x = named(
            "upload",
            "gated",
            to.device.upload(values.len(), 1, &values),
        )?;
        let result = to.device.gated(&x, &gate, &up);
        let sizes = format!("silu over -{reach}..{reach}");
        to.record("gated", sizes, ELEMENTS, result).await?;
        // In the far tail the result is next to nothing: errors count against the largest value.
        if let Some(output) = to.outputs.last_mut() {
            output.cols = values.len();
        }
    }
    Ok(())
}

async fn embed<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(8);
    for dtype in DType::ALL {
        for (rows, cols, count) in [(1, 32, 1), (37, 64, 27), (300, 896, 3)] {
            let table = random.weight(to.device, rows, cols, dtype)?;
            let ids = random.indices(count, rows);
            let sizes = format!("{count} of {rows}x{cols} {dtype}");
            to.record("embed", sizes, EXACT, to.device.embed(&table, &ids))
                .await?;
        }
    }
    Ok(())
}

async fn gather<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(9);
    for (heights, cols, count) in [(&[1][..], 1, 1), (&[3, 27, 1], 37, 100), (&[5, 7], 896, 13)] {
        let mut matrices = Vec::new();
        for &rows in heights {
            matrices.push(random.matrix(to.device, rows, cols, 1.0)?);
        }
        let mut rows = Vec::new();
        for _ in 0..count {
            let source = random.index(heights.len());
            rows.push(RowRef {
                source: source as u32,
                row: random.index(heights[source]) as u32,
            });
        }
        let sources: Vec<&D::Matrix> = matrices.iter().collect();
        let sizes = format!("{count} rows of {heights:?} x {cols}");
        to.record("gather", sizes, EXACT, to.device.gather(&sources, &rows))
            .await?;
    }
    Ok(())
}

async fn pool_bilinear<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(10);
    for (from, dim, cols) in [
        ((1, 1), (3, 2), 1),
        ((3, 5), (3, 5), 27),
        ((27, 37), (14, 3), 37),
        ((5, 3), (27, 13), 3),
        ((54, 81), (49, 73), 5),
        ((2, 9), (1, 1), 64),
    ] {
        let x = random.matrix(to.device, from.0 * from.1, cols, 1.0)?;
        let sizes = format!("{from:?} to {dim:?}, {cols} wide");
        let result = to.device.pool_bilinear(&x, from, dim);
        to.record("pool_bilinear", sizes, 1e-5, result).await?;
    }
    Ok(())
}

async fn argmax<D: Device>(to: &mut Recorder<'_, D>) -> Result<(), Failure> {
    let mut random = Random::new(11);
    let mut cases = vec![
        (vec![-5.0], vec![]),
        (vec![1.0, 3.0, 3.0, 2.0], vec![]),
        (vec![1.0, 3.0, 3.0, 2.0], vec![1]),
        (vec![1.0, 3.0, 3.0, 2.0], vec![2, 1, 1]),
        (vec![f32::NEG_INFINITY, f32::NEG_INFINITY], vec![0]),
        (vec![0.0, -0.0, 0.0], vec![0]),
        (vec![f32::MIN, f32::MAX, f32::INFINITY], vec![]),
    ];
    for n in [37, 1_000, 151_936] {
        // Whole numbers, so that there are many ties.
        let values = random
            .values(n, 40.0)
            .iter()
            .map(|value| value.round())
            .collect();
        cases.push((values, random.indices(20, n)));
    }
    for (values, banned) in cases {
        let sizes = format!("{} values, {} banned", values.len(), banned.len());
        let logits = named("upload", &sizes, to.device.upload(1, values.len(), &values))?;
        let best = named("argmax", &sizes, to.device.argmax(&logits, &banned).await)?;
        let values = vec![best as f32];
        to.outputs.push(Output {
            case: "argmax",
            sizes,
            tolerance: EXACT,
            cols: 1,
            values,
        });
    }
    Ok(())
}
