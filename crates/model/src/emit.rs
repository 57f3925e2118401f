//! Writing a model's tensors row by row, wherever the rows come from.

use std::ops::ControlFlow;
use std::path::Path;

use llavaguard_backend::DType;
use llavaguard_backend::quant::{QuantError, encode_row};

use crate::convert::ConvertError;
use crate::gguf::{Metadata, TensorSpec, Writer};
use crate::layout::{Quantisation, Slot};
use crate::self_test;

/// Encoded bytes handed to the file at once.
const FLUSH_BYTES: usize = 4 << 20;

/// The table entry of a tensor.
fn spec(slot: &Slot, quants: &Quantisation) -> TensorSpec {
    TensorSpec {
        name: slot.name.clone(),
        shape: slot.shape.clone(),
        dtype: quants.dtype(slot),
    }
}

/// How far the writing of a file is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The tensor that was written last.
    pub tensor: &'a str,
    /// Tensors written.
    pub done: usize,
    /// Tensors in all.
    pub total: usize,
    /// Bytes of tensor data written.
    pub done_bytes: u64,
    /// Bytes of tensor data in all.
    pub total_bytes: u64,
}

/// Writes a whole model, returning the bytes of its tensors.
///
/// `open` is asked for each tensor in turn; what it returns is then asked for the tensor's rows, in
/// order. An error leaves no file.
pub fn write_model<R>(
    out: &Path,
    metadata: &Metadata,
    slots: &[Slot],
    quants: &Quantisation,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    mut open: impl FnMut(usize, &Slot) -> Result<R, ConvertError>,
) -> Result<u64, ConvertError>
where
    R: FnMut(&mut [f32]) -> Result<(), ConvertError>,
{
    let mut metadata = metadata.clone();
    self_test::reserve(&mut metadata);
    let specs: Vec<TensorSpec> = slots.iter().map(|slot| spec(slot, quants)).collect();
    let total_bytes = specs.iter().filter_map(TensorSpec::bytes).sum();
    let mut writer = Writer::create(out, &metadata, &specs)?;
    let mut done_bytes = 0;
    for (index, (slot, spec)) in slots.iter().zip(&specs).enumerate() {
        write_tensor(&mut writer, slot, spec.dtype, open(index, slot)?)?;
        done_bytes += spec.bytes().unwrap_or(0);
        let (done, total) = (index + 1, specs.len());
        let step = Progress {
            tensor: &slot.name,
            done,
            total,
            done_bytes,
            total_bytes,
        };
        if progress(step).is_break() {
            return Err(ConvertError::Cancelled);
        }
    }
    writer.finish()?;
    Ok(total_bytes)
}

/// Writes one tensor, asking `next_row` for its rows as long as the source has them; what the file's
/// shape has beyond that is zero.
fn write_tensor(
    writer: &mut Writer,
    slot: &Slot,
    dtype: DType,
    mut next_row: impl FnMut(&mut [f32]) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    let (rows, cols) = rows_and_cols(&slot.shape);
    let (source_rows, source_cols) = rows_and_cols(&slot.source_shape);
    let mut values = vec![0.0; cols];
    let mut encoded = Vec::new();
    writer.begin(&slot.name)?;
    for row in 0..rows {
        if row < source_rows {
            if let Some(values) = values.get_mut(..source_cols) {
                next_row(values)?;
            }
        } else {
            values.fill(0.0);
        }
        encode_row(dtype, &values, &mut encoded).map_err(|error| value_error(slot, row, error))?;
        if encoded.len() >= FLUSH_BYTES {
            writer.write(&encoded)?;
            encoded.clear();
        }
    }
    writer.write(&encoded)?;
    Ok(())
}

fn value_error(slot: &Slot, row: usize, error: QuantError) -> ConvertError {
    ConvertError::Value {
        tensor: slot.name.clone(),
        row,
        error,
    }
}

/// Rows and columns of a tensor: a vector is one row, everything after the first side one column.
fn rows_and_cols(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [len] => (1, *len),
        [rows, rest @ ..] => (*rows, rest.iter().product()),
    }
}
