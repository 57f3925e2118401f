//! Activations on the device.

use std::cell::RefCell;
use std::rc::Rc;

use llavaguard_backend::check;

use crate::buffers::Storage;

/// A matrix of f32 on the device: rows of whole vec4s, what pads them is zero.
///
/// Its contents never change once others can see them, so a copy shares its buffer.
#[derive(Debug)]
pub struct Matrix {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) storage: Rc<Storage>,
    /// The matrix rounded to bytes, by levels.
    pub(crate) rounded: RefCell<Vec<(u8, Rc<Rounded>)>>,
}

/// Rounded activations.
#[derive(Debug)]
pub struct Rounded {
    /// Bytes, 32 a block.
    pub bytes: Storage,
    /// A scale a block.
    pub scales: Storage,
}

impl Matrix {
    pub(crate) fn new(rows: usize, cols: usize, storage: Storage) -> Self {
        Matrix {
            rows,
            cols,
            storage: Rc::new(storage),
            rounded: RefCell::default(),
        }
    }

    /// The same matrix once more.
    pub(crate) fn share(&self) -> Self {
        Matrix {
            rows: self.rows,
            cols: self.cols,
            storage: self.storage.clone(),
            rounded: RefCell::new(self.rounded.borrow().clone()),
        }
    }

    /// Rows and columns.
    pub fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }

    /// vec4s of a row.
    pub(crate) fn quads(&self) -> usize {
        self.cols.div_ceil(4)
    }

    /// Bytes of all rows.
    pub(crate) fn bytes(&self) -> u64 {
        bytes(self.rows, self.cols)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 || self.cols == 0
    }
}

/// Bytes that a matrix takes.
pub(crate) fn bytes(rows: usize, cols: usize) -> u64 {
    16 * rows as u64 * cols.div_ceil(4) as u64
}
