//! Activations.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use llavaguard_backend::{DeviceError, check};

use crate::buffers::{Buffer, Buffers};
use crate::rounded::Rounded;

/// A row-major matrix of f32. Its memory goes back to its device when it is dropped.
#[derive(Debug)]
pub struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) data: Buffer<f32>,
    /// The same rounded, once a quantised weight has asked for it: several weights read one matrix.
    /// Whoever changes `data` empties it.
    pub(crate) rounded: RoundedForms,
}

/// What [`Matrix::data`] is rounded, beside bytes and beside nibbles.
#[derive(Debug, Default)]
pub(crate) struct RoundedForms {
    pub bytes: OnceLock<Rounded>,
    pub nibbles: OnceLock<Rounded>,
}

impl Matrix {
    /// A matrix that holds anything: for an operation that sets every value.
    pub(crate) fn unset(
        operation: &'static str,
        rows: usize,
        cols: usize,
        buffers: &Arc<Buffers>,
    ) -> Result<Self, DeviceError> {
        let data = buffers.unset(check::elements(operation, (rows, cols))?)?;
        Ok(Self::holding(rows, cols, data))
    }

    /// A matrix of these values.
    pub(crate) fn of(
        rows: usize,
        cols: usize,
        values: &[f32],
        buffers: &Arc<Buffers>,
    ) -> Result<Self, DeviceError> {
        Ok(Self::holding(rows, cols, buffers.copy(values)?))
    }

    fn holding(rows: usize, cols: usize, data: Buffer<f32>) -> Self {
        Self {
            rows,
            cols,
            data,
            rounded: RoundedForms::default(),
        }
    }

    pub(crate) fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..][..self.cols]
    }
}

/// A rectangle of an output matrix: `out[i]` is columns `first_col..` of row `first_row + i`.
pub(crate) struct Rect<'a> {
    pub first_row: usize,
    pub first_col: usize,
    pub out: Pieces<'a>,
}

/// Pieces of some rows. A single row's needs no memory: in decoding there are many such rectangles,
/// of a microsecond or two each, and threads would meet in the allocator.
pub(crate) enum Pieces<'a> {
    One([&'a mut [f32]; 1]),
    Many(Vec<&'a mut [f32]>),
}

impl<'a> Deref for Pieces<'a> {
    type Target = [&'a mut [f32]];

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        match self {
            Pieces::One(piece) => piece,
            Pieces::Many(pieces) => pieces,
        }
    }
}

impl DerefMut for Pieces<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Pieces::One(piece) => piece,
            Pieces::Many(pieces) => pieces,
        }
    }
}

impl<'a> FromIterator<&'a mut [f32]> for Pieces<'a> {
    fn from_iter<I: IntoIterator<Item = &'a mut [f32]>>(pieces: I) -> Self {
        Pieces::Many(pieces.into_iter().collect())
    }
}

/// Cuts a row-major matrix of `cols` columns into rectangles of at most `rect_rows` x `rect_cols`,
/// row of rectangles by row of rectangles: what lets threads write to one matrix without `unsafe`.
pub(crate) fn rectangles(
    data: &mut [f32],
    cols: usize,
    rect_rows: usize,
    rect_cols: usize,
) -> Vec<Rect<'_>> {
    if cols == 0 {
        return Vec::new();
    }
    if data.len() == cols {
        let pieces = data.chunks_mut(rect_cols).enumerate();
        return pieces
            .map(|(index, piece)| Rect {
                first_row: 0,
                first_col: index * rect_cols,
                out: Pieces::One([piece]),
            })
            .collect();
    }
    let mut rects = Vec::new();
    for (band, rows) in data.chunks_mut(rect_rows * cols).enumerate() {
        let mut pieces: Vec<_> = (0..cols)
            .step_by(rect_cols)
            .map(|_| Vec::with_capacity(rows.len() / cols))
            .collect();
        for row in rows.chunks_mut(cols) {
            for (pieces, piece) in pieces.iter_mut().zip(row.chunks_mut(rect_cols)) {
                pieces.push(piece);
            }
        }
        rects.extend(pieces.into_iter().enumerate().map(|(index, pieces)| Rect {
            first_row: band * rect_rows,
            first_col: index * rect_cols,
            out: Pieces::Many(pieces),
        }));
    }
    rects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_cover_every_value_once() {
        for (rows, cols, rect_rows, rect_cols) in [
            (1, 1, 1, 1),
            (1, 10, 3, 4),
            (7, 10, 3, 4),
            (5, 8, 9, 9),
            (6, 6, 2, 3),
            (0, 4, 2, 2),
            (3, 0, 2, 2),
        ] {
            let mut data = vec![0.0; rows * cols];
            for mut rect in rectangles(&mut data, cols, rect_rows, rect_cols) {
                assert!(rect.out.len() <= rect_rows);
                for (i, row) in rect.out.iter_mut().enumerate() {
                    assert!(!row.is_empty() && row.len() <= rect_cols);
                    for (j, value) in row.iter_mut().enumerate() {
                        *value += ((rect.first_row + i) * cols + rect.first_col + j + 1) as f32;
                    }
                }
            }
            let expected: Vec<f32> = (1..=rows * cols).map(|i| i as f32).collect();
            assert_eq!(
                data, expected,
                "{rows} x {cols} in {rect_rows} x {rect_cols}"
            );
        }
    }

    #[test]
    fn more_than_there_is_is_an_error() {
        let error = Matrix::unset("linear", usize::MAX / 8, 1, &Arc::default()).unwrap_err();
        assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error}");
        let error = Matrix::unset("linear", usize::MAX, 2, &Arc::default()).unwrap_err();
        assert!(matches!(error, DeviceError::Shape { .. }), "{error}");
    }
}
