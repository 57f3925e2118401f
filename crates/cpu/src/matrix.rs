//! Activations.

use llavaguard_backend::{DeviceError, check};

/// A row-major matrix of f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) data: Vec<f32>,
}

impl Matrix {
    /// A matrix of zeros.
    pub(crate) fn zeros(
        operation: &'static str,
        rows: usize,
        cols: usize,
    ) -> Result<Self, DeviceError> {
        let data = zeros(check::elements(operation, (rows, cols))?)?;
        Ok(Self { rows, cols, data })
    }

    pub(crate) fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..][..self.cols]
    }
}

/// `len` zeros, or the error a full memory deserves.
pub(crate) fn zeros(len: usize) -> Result<Vec<f32>, DeviceError> {
    let mut data = Vec::new();
    data.try_reserve_exact(len)
        .map_err(|_| DeviceError::OutOfMemory {
            bytes: len.saturating_mul(size_of::<f32>()),
        })?;
    data.resize(len, 0.0);
    Ok(data)
}

/// A rectangle of an output matrix: `out[i]` is columns `first_col..` of row `first_row + i`.
pub(crate) struct Rect<'a> {
    pub first_row: usize,
    pub first_col: usize,
    pub out: Vec<&'a mut [f32]>,
}

/// Cuts a row-major matrix of `cols` columns into rectangles of at most `rect_rows` x `rect_cols`,
/// row of rectangles by row of rectangles: what lets threads write to one matrix without `unsafe`.
pub(crate) fn rectangles(
    data: &mut [f32],
    cols: usize,
    rect_rows: usize,
    rect_cols: usize,
) -> Vec<Rect<'_>> {
    let mut rects: Vec<Rect<'_>> = Vec::new();
    if cols == 0 {
        return rects;
    }
    for (band, rows) in data.chunks_mut(rect_rows * cols).enumerate() {
        let start = rects.len();
        rects.extend((0..cols).step_by(rect_cols).map(|first_col| Rect {
            first_row: band * rect_rows,
            first_col,
            out: Vec::with_capacity(rows.len() / cols),
        }));
        for row in rows.chunks_mut(cols) {
            for (rect, piece) in rects[start..].iter_mut().zip(row.chunks_mut(rect_cols)) {
                rect.out.push(piece);
            }
        }
    }
    rects
}
