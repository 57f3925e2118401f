//! Rates of the matrix products at the model's shapes.

use std::time::Instant;

use llavaguard_backend::{BLOCK, DType, Device, DeviceError, block_on};
use llavaguard_model::{ModelConfig, ModelError, PREFILL_ROWS};
use serde::Serialize;

use super::milliseconds;
use super::statistics::Spread;
use crate::failure::Failure;
use crate::interrupt;
use crate::progress::Progress;

/// Formats that are measured whatever the model file holds.
const FORMATS: [DType; 3] = [DType::F32, DType::Q8_0, DType::Q4_0];

/// A measurement is repeated until it took so long, or the clock's grain would show.
const LEAST_MS: f64 = 30.0;

/// The rate of a product of `rows` by `inputs` activations with a weight of `outputs` by `inputs`.
#[derive(Serialize)]
pub struct Product {
    part: &'static str,
    format: &'static str,
    rows: usize,
    inputs: usize,
    outputs: usize,
    /// A multiplication and an addition are two operations.
    giga_operations_per_second: Spread,
}

/// Measures every shape in every format, `rounds` times.
pub fn measure<D: Device>(
    device: &D,
    config: &ModelConfig,
    rounds: usize,
    progress: &Progress,
) -> Result<Vec<Product>, Failure> {
    let shapes = shapes(config);
    let total = shapes.len() * FORMATS.len();
    let mut products = Vec::new();
    for (part, shape) in shapes {
        for format in FORMATS {
            if interrupt::requested() {
                return Err(Failure::cancelled());
            }
            progress.steps("multiplying", products.len() as u64, total as u64);
            let (rows, inputs, outputs) = shape;
            let rates = rates(device, shape, format, rounds).map_err(ModelError::from)?;
            products.push(Product {
                part,
                format: format.name(),
                rows,
                inputs,
                outputs,
                giga_operations_per_second: Spread::of(rates),
            });
        }
    }
    Ok(products)
}

/// Rows, inputs and outputs of the products that take most of the time.
fn shapes(config: &ModelConfig) -> Vec<(&'static str, (usize, usize, usize))> {
    let (vision, language) = (&config.vision, &config.language);
    let whole = |width: usize| width.next_multiple_of(BLOCK);
    let mut shapes = Vec::new();
    for (part, rows, hidden, intermediate) in [
        ("tile", vision.patches(), vision.hidden, vision.intermediate),
        (
            "reading",
            PREFILL_ROWS,
            language.hidden,
            language.intermediate,
        ),
        ("writing", 1, language.hidden, language.intermediate),
    ] {
        let (hidden, intermediate) = (whole(hidden), whole(intermediate));
        for (inputs, outputs) in [
            (hidden, hidden),
            (hidden, intermediate),
            (intermediate, hidden),
        ] {
            shapes.push((part, (rows, inputs, outputs)));
        }
    }
    shapes
}

fn rates<D: Device>(
    device: &D,
    shape: (usize, usize, usize),
    format: DType,
    rounds: usize,
) -> Result<Vec<f64>, DeviceError> {
    let product = block_on(llavaguard_backend::Product::new(device, shape, format))?;
    let start = Instant::now();
    let rate = || block_on(product.rate(device, LEAST_MS, || milliseconds(start)));
    (0..rounds).map(|_| rate()).collect()
}

impl Product {
    /// A line of the table.
    pub fn human(&self) -> String {
        let Product {
            part,
            format,
            rows,
            inputs,
            outputs,
            giga_operations_per_second: Spread {
                median, min, max, ..
            },
        } = self;
        let shape = format!("{rows}x{inputs}x{outputs}");
        format!("{part:<8}{shape:<14} {format:>6} {median:>10.1} {min:>10.1} {max:>10.1}\n")
    }
}
