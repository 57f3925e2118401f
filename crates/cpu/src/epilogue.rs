//! What happens to a finished rectangle of `linear`'s output while it is near the core.

use crate::math;
use crate::matrix::{Matrix, Rect};

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

    #[inline(always)]
    pub fn apply(&self, rect: &mut Rect<'_>) {
        let Rect {
            first_row,
            first_col,
            out,
        } = rect;
        for (i, row) in out.iter_mut().enumerate() {
            if let Some(bias) = self.bias {
                for (value, bias) in row.iter_mut().zip(&bias.data[*first_col..]) {
                    *value += bias;
                }
            }
            match self.finish {
                Finish::Nothing => {}
                Finish::GeluTanh => {
                    for value in row.iter_mut() {
                        *value = math::gelu_tanh(*value);
                    }
                }
                Finish::GeluErf => {
                    for value in row.iter_mut() {
                        *value = math::gelu_erf(*value);
                    }
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
