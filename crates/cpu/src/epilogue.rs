//! What happens to a finished rectangle of `linear`'s output while it is near the core.

use crate::math::{self, GeluErf, GeluTanh};
use crate::matrix::{Matrix, Rect};
use crate::simd::{Dispatch, Kernel, Simd};

/// The last step.
#[derive(Clone, Copy)]
pub(crate) enum Finish<'a> {
    Nothing,
    GeluTanh,
    GeluErf,
    Add(&'a Matrix),
}

/// Bias and last step.
#[derive(Clone, Copy)]
pub(crate) struct Finishing<'a> {
    pub bias: Option<&'a Matrix>,
    pub finish: Finish<'a>,
}

impl Finishing<'_> {
    pub const NONE: Self = Self {
        bias: None,
        finish: Finish::Nothing,
    };

    /// Applies both to a rectangle.
    pub fn apply(self, isa: Dispatch, rect: &mut Rect<'_>) {
        if self.bias.is_some() || !matches!(self.finish, Finish::Nothing) {
            isa.run(Apply {
                finishing: self,
                rect,
            });
        }
    }
}

struct Apply<'a, 'b, 'c> {
    finishing: Finishing<'a>,
    rect: &'b mut Rect<'c>,
}

impl Kernel for Apply<'_, '_, '_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Rect {
            first_row,
            first_col,
            out,
        } = self.rect;
        for (i, row) in out.iter_mut().enumerate() {
            if let Some(bias) = self.finishing.bias {
                for (value, bias) in row.iter_mut().zip(&bias.data[*first_col..]) {
                    *value += bias;
                }
            }
            match self.finishing.finish {
                Finish::Nothing => {}
                Finish::GeluTanh => {
                    math::apply(simd, GeluTanh, row);
                }
                Finish::GeluErf => {
                    math::apply(simd, GeluErf, row);
                }
                Finish::Add(added) => {
                    let added = &added.row(*first_row + i)[*first_col..];
                    for (value, added) in row.iter_mut().zip(added) {
                        *value += added;
                    }
                }
            }
        }
    }
}
