//! Writing a model's tensors row by row, wherever the rows come from.

use llavaguard_backend::DType;
use llavaguard_backend::quant::{QuantError, encode_row};

use crate::gguf::{TensorSpec, WriteError, Writer};
use crate::layout::{Quantisation, Slot};

/// Encoded bytes handed to the file at once.
const FLUSH_BYTES: usize = 4 << 20;

/// The table entry of a tensor.
pub fn spec(slot: &Slot, quants: &Quantisation) -> TensorSpec {
    let cols = slot.shape.last().copied().unwrap_or(1);
    let dtype = quants.dtype(slot.kind, cols);
    TensorSpec {
        name: slot.name.clone(),
        shape: slot.shape.clone(),
        dtype,
    }
}

/// A value that could not be encoded: which row, and why.
pub struct RowError {
    /// Index of the row.
    pub row: usize,
    /// What was wrong with it.
    pub error: QuantError,
}

/// Rows and columns of a tensor: a vector is one row, everything after the first side one column.
fn rows_and_cols(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [len] => (1, *len),
        [rows, rest @ ..] => (*rows, rest.iter().product()),
    }
}

/// Writes one tensor, asking `next_row` for its rows in order, as long as the checkpoint has them;
/// what the file's shape has beyond that is zero.
pub fn write_tensor<E>(
    writer: &mut Writer,
    slot: &Slot,
    dtype: DType,
    mut next_row: impl FnMut(&mut [f32]) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<WriteError> + From<RowError>,
{
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
        encode_row(dtype, &values, &mut encoded).map_err(|error| RowError { row, error })?;
        if encoded.len() >= FLUSH_BYTES {
            writer.write(&encoded)?;
            encoded.clear();
        }
    }
    writer.write(&encoded)?;
    Ok(())
}
