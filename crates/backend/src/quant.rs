//! Rows of weights in the four stored formats, as GGUF defines them.
//!
//! Encoding follows ggml's own reference rounding (`ggml-quants.c`, `quantize_row_q8_0_ref` and
//! `quantize_row_q4_0_ref`), so a row encoded here has the bytes llama.cpp would write: the quants
//! are computed with the f32 scale *before* it is rounded to f16. A value that is not finite is
//! refused in every format, because one of them would silently spoil its whole block; so is a value
//! whose f16 form (or whose block's f16 scale) would be infinite.

use half::f16;

use crate::DType;

/// Why a row could not be encoded or decoded.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum QuantError {
    /// A row whose length does not fill whole blocks.
    #[error(
        "a row of {cols} values does not fill whole {dtype} blocks of {block}; store this weight as f16 or f32",
        block = .dtype.block_len()
    )]
    RaggedRow {
        /// The format asked for.
        dtype: DType,
        /// Values in the row.
        cols: usize,
    },
    /// Bytes and values of a row that do not belong together.
    #[error(
        "a row of {cols} values in {dtype} takes {expected} bytes, got {found}; the weight is damaged"
    )]
    RowBytes {
        /// The format of the bytes.
        dtype: DType,
        /// Values in the row.
        cols: usize,
        /// Bytes such a row takes.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// NaN or an infinity among the values.
    #[error("value {index} of the row is {value}; a weight must be finite, check the checkpoint")]
    NotFinite {
        /// Where in the row.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A value too large for the format's half precision part.
    #[error(
        "value {index} of the row, {value}, is too large for {dtype}; store this weight as f32"
    )]
    Overflow {
        /// The format asked for.
        dtype: DType,
        /// Where in the row.
        index: usize,
        /// The value.
        value: f32,
    },
}

impl QuantError {
    /// Stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            QuantError::RaggedRow { .. } => "quant.ragged_row",
            QuantError::RowBytes { .. } => "quant.row_bytes",
            QuantError::NotFinite { .. } => "quant.not_finite",
            QuantError::Overflow { .. } => "quant.overflow",
        }
    }
}

/// Appends `values` to `out` in the format `dtype`.
///
/// On an error `out` is left as it was.
pub fn encode_row(dtype: DType, values: &[f32], out: &mut Vec<u8>) -> Result<(), QuantError> {
    let cols = values.len();
    let bytes = dtype
        .row_bytes(cols)
        .ok_or(QuantError::RaggedRow { dtype, cols })?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(QuantError::NotFinite {
            index,
            value: values[index],
        });
    }
    let start = out.len();
    out.reserve(bytes);
    let encoded = match dtype {
        DType::F32 => {
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            Ok(())
        }
        DType::F16 => encode_f16(values, out),
        DType::Q8_0 => encode_blocks(dtype, values, out, encode_q8_0),
        DType::Q4_0 => encode_blocks(dtype, values, out, encode_q4_0),
    };
    if encoded.is_err() {
        out.truncate(start);
    }
    encoded
}

/// Writes the values of one stored row to `out`.
pub fn decode_row(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), QuantError> {
    let cols = out.len();
    let expected = dtype
        .row_bytes(cols)
        .ok_or(QuantError::RaggedRow { dtype, cols })?;
    if bytes.len() != expected {
        return Err(QuantError::RowBytes {
            dtype,
            cols,
            expected,
            found: bytes.len(),
        });
    }
    match dtype {
        DType::F32 => {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        DType::F16 => {
            for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *value = f16::from_le_bytes(*bytes).to_f32();
            }
        }
        DType::Q8_0 => {
            for (values, block) in out.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
                decode_q8_0(block, values);
            }
        }
        DType::Q4_0 => {
            for (values, block) in out.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
                decode_q4_0(block, values);
            }
        }
    }
    Ok(())
}

fn encode_f16(values: &[f32], out: &mut Vec<u8>) -> Result<(), QuantError> {
    for (index, &value) in values.iter().enumerate() {
        let half = f16::from_f32(value);
        if half.is_infinite() {
            return Err(QuantError::Overflow {
                dtype: DType::F16,
                index,
                value,
            });
        }
        out.extend(half.to_le_bytes());
    }
    Ok(())
}

/// Encodes block by block; `encode` returns `false` where the block's scale overflows.
fn encode_blocks(
    dtype: DType,
    values: &[f32],
    out: &mut Vec<u8>,
    encode: fn(&[f32; 32], f32, &mut Vec<u8>) -> bool,
) -> Result<(), QuantError> {
    for (block, values) in values.as_chunks::<32>().0.iter().enumerate() {
        // The first of the largest magnitudes, as ggml takes it: its sign decides q4_0's scale.
        let mut largest = 0;
        for (index, value) in values.iter().enumerate() {
            if value.abs() > values[largest].abs() {
                largest = index;
            }
        }
        // Negative zero becomes positive, as in ggml, where zero is what the search begins with.
        if !encode(values, values[largest] + 0.0, out) {
            return Err(QuantError::Overflow {
                dtype,
                index: block * 32 + largest,
                value: values[largest],
            });
        }
    }
    Ok(())
}

fn encode_q8_0(values: &[f32; 32], largest: f32, out: &mut Vec<u8>) -> bool {
    let scale = largest.abs() / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    // A subnormal scale has an infinite inverse: such a block is nothing but zeros in f16.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    out.extend(
        values
            .iter()
            .map(|value| ((value * inverse).round() as i8).cast_unsigned()),
    );
    stored.is_finite()
}

fn encode_q4_0(values: &[f32; 32], largest: f32, out: &mut Vec<u8>) -> bool {
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let stored = f16::from_f32(scale);
    out.extend(stored.to_le_bytes());
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    let nibble = |value: f32| (value * inverse + 8.5).floor().clamp(0.0, 15.0) as u8;
    out.extend((0..16).map(|i| nibble(values[i]) | nibble(values[i + 16]) << 4));
    stored.is_finite()
}

fn decode_q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    for (value, quant) in out.iter_mut().zip(&block[2..]) {
        *value = scale * f32::from(quant.cast_signed());
    }
}

fn decode_q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    for (i, byte) in block[2..].iter().enumerate() {
        out[i] = scale * (f32::from(byte & 15) - 8.0);
        out[i + 16] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

#[cfg(test)]
mod tests;
