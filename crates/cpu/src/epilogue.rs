//! What happens to a finished rectangle of `linear`'s output while it is near the core.

use crate::math::{self, GeluErf, GeluTanh, OfSum, Sum};
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
            let bias = self.finishing.bias.map(|bias| &bias.data[*first_col..]);
            match (self.finishing.finish, bias) {
                (Finish::GeluTanh, Some(bias)) => {
                    math::apply_pairs(simd, OfSum(GeluTanh), row, bias);
                }
                (Finish::GeluErf, Some(bias)) => {
                    math::apply_pairs(simd, OfSum(GeluErf), row, bias);
                }
                (Finish::GeluTanh, None) => math::apply(simd, GeluTanh, row),
                (Finish::GeluErf, None) => math::apply(simd, GeluErf, row),
                (Finish::Nothing | Finish::Add(_), Some(bias)) => {
                    math::apply_pairs(simd, Sum, row, bias);
                }
                (Finish::Nothing | Finish::Add(_), None) => {}
            }
            if let Finish::Add(added) = self.finishing.finish {
                let added = &added.row(*first_row + i)[*first_col..];
                math::apply_pairs(simd, Sum, row, added);
            }
        }
    }
}
