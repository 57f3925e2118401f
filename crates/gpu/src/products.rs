//! Products with weights.

use std::rc::Rc;

use llavaguard_backend::{DType, Device, DeviceError, Rounding};

use crate::device::GpuDevice;
use crate::kernels::{Kernel, product_of};
use crate::matrix::{Matrix, Rounded};
use crate::pipelines::Bound;
use crate::recorder::{Cost, Dispatch};
use crate::rows::spread;
use crate::tiles::{
    BLOCK, DIRECT_THREADS, GEMM_PANELS, GEMM_THREADS_DOWN, GRID, PANEL, direct_panels,
};
use crate::weight::{Part, Weight, device_bytes};

/// What is done to a product's sums.
#[derive(Clone, Copy)]
pub(crate) enum Finish<'a> {
    Nothing,
    GeluTanh,
    GeluErf,
    Add(&'a Matrix),
    /// `silu` of the other matrix times the sum.
    Gate(&'a Matrix),
}

impl<'a> Finish<'a> {
    /// The number `linear.wgsl` knows it by.
    fn code(self) -> u32 {
        match self {
            Finish::Nothing => 0,
            Finish::GeluTanh => 1,
            Finish::GeluErf => 2,
            Finish::Add(_) => 3,
            Finish::Gate(_) => 4,
        }
    }

    pub(crate) fn other(self) -> Option<&'a Matrix> {
        match self {
            Finish::Add(other) | Finish::Gate(other) => Some(other),
            _ => None,
        }
    }
}

impl GpuDevice {
    /// A product's first bindings: activations as they are or rounded, and a part of a weight.
    fn operands<'a>(
        &'a self,
        x: &'a Matrix,
        rounded: Option<&'a Rounded>,
        part: &'a Part,
    ) -> Result<Vec<Bound<'a>>, DeviceError> {
        let mut bound = Vec::with_capacity(7);
        match rounded {
            Some(rounded) => bound.extend([
                Bound::whole(self.buffer(&rounded.bytes)?),
                Bound::whole(self.buffer(&rounded.scales)?),
            ]),
            None => bound.push(self.bound(x)?),
        }
        bound.extend([Bound::whole(&part.values), Bound::whole(&part.scales)]);
        Ok(bound)
    }

    /// `x` rounded to bytes where it meets a weight of this format so, once for every weight of it.
    fn rounded(&self, x: &Matrix, weight: DType) -> Result<Option<Rc<Rounded>>, DeviceError> {
        let Some(Rounding { levels }) = self.rounding(weight) else {
            return Ok(None);
        };
        let known = x
            .rounded
            .borrow()
            .iter()
            .find(|(known, _)| *known == levels)
            .map(|(_, rounded)| rounded.clone());
        if known.is_some() {
            return Ok(known);
        }
        let blocks = x.rows * x.cols / BLOCK;
        let rounded = Rc::new(Rounded {
            bytes: self.pool.take((blocks * BLOCK) as u64, None)?,
            scales: self.pool.take((blocks * 4) as u64, None)?,
        });
        let (width, groups) = spread(blocks);
        self.dispatch(&Dispatch {
            kernel: Kernel::Round,
            uniforms: &[blocks as u32, u32::from(levels), width],
            storage: &[
                self.bound(x)?,
                Bound::whole(self.buffer(&rounded.scales)?),
                Bound::whole(self.buffer(&rounded.bytes)?),
            ],
            groups,
            cost: Cost {
                flops: 0.0,
                bytes: (blocks * (5 * BLOCK + 4)) as f64,
            },
        })?;
        x.rounded.borrow_mut().push((levels, rounded.clone()));
        Ok(Some(rounded))
    }

    pub(crate) fn product(
        &self,
        x: &Matrix,
        w: &Weight,
        bias: Option<&Matrix>,
        finish: Finish<'_>,
    ) -> Result<Matrix, DeviceError> {
        let out = self.unset(x.rows, w.rows)?;
        if out.is_empty() {
            return Ok(out);
        }
        let rounded = self.rounded(x, w.dtype)?;
        let kernel = product_of(x.rows, w.dtype, self.extras, self.alike.get());
        let (rows_each, panels_each) = match kernel {
            Kernel::Gemm { rows, .. } => (rows * GEMM_THREADS_DOWN, GEMM_PANELS),
            Kernel::Gemv { rows, .. } => (rows, 1),
            Kernel::Direct { rows, .. } => {
                let units = DIRECT_THREADS * 4 / PANEL;
                (rows, units * direct_panels(rows))
            }
            _ => (1, 1),
        };
        let down = x.rows.div_ceil(rows_each);
        let panel_flops = (2 * x.rows * w.blocks * BLOCK * PANEL) as f64;
        let most_flops = self.recorder.borrow().most_flops();
        let most_panels = ((most_flops / panel_flops) as usize / panels_each * panels_each)
            .clamp(panels_each, GRID * panels_each);
        let bias_bound = self.bound_or_nothing(bias)?;
        let other_bound = self.bound_or_nothing(finish.other())?;
        for part in &w.parts {
            for first in (0..part.panels).step_by(most_panels) {
                let end = part.panels.min(first + most_panels);
                let mut storage = self.operands(x, rounded.as_deref(), part)?;
                storage.extend([bias_bound, other_bound, self.bound(&out)?]);
                let panels = end - first;
                self.dispatch(&Dispatch {
                    kernel,
                    uniforms: &[
                        x.rows as u32,
                        x.quads() as u32,
                        w.blocks as u32,
                        out.quads() as u32,
                        first as u32,
                        end as u32,
                        (part.first_panel * PANEL / 4) as u32,
                        finish.code(),
                        u32::from(bias.is_some()),
                        0,
                    ],
                    storage: &storage,
                    groups: (panels.div_ceil(panels_each), down, 1),
                    cost: Cost {
                        flops: panel_flops * panels as f64,
                        bytes: device_bytes(panels * PANEL, w.cols, w.dtype) as f64
                            + x.bytes() as f64
                            + (16 * x.rows * panels * PANEL / 4) as f64,
                    },
                })?;
            }
        }
        Ok(out)
    }

    /// Products with the rows `ids` of a weight.
    pub(crate) fn candidates(
        &self,
        x: &Matrix,
        w: &Weight,
        ids: &[u32],
    ) -> Result<Matrix, DeviceError> {
        let out = self.unset(x.rows, ids.len())?;
        if out.is_empty() {
            return Ok(out);
        }
        let rounded = self.rounded(x, w.dtype)?;
        self.with_list(ids, |list| {
            for part in &w.parts {
                let mut storage = self.operands(x, rounded.as_deref(), part)?;
                storage.extend([list, self.bound(&out)?]);
                let products = (x.rows * ids.len() * w.cols) as f64;
                self.dispatch(&Dispatch {
                    kernel: Kernel::Candidates {
                        weight: w.dtype,
                        bytes: rounded.is_some(),
                    },
                    uniforms: &[
                        x.rows as u32,
                        x.quads() as u32,
                        w.blocks as u32,
                        out.quads() as u32,
                        0,
                        part.panels as u32,
                        (part.first_panel * PANEL / 4) as u32,
                        0,
                        0,
                        ids.len() as u32,
                    ],
                    storage: &storage,
                    groups: (4 * out.quads(), x.rows, 1),
                    cost: Cost {
                        flops: 2.0 * products,
                        bytes: products,
                    },
                })?;
            }
            Ok(())
        })?;
        Ok(out)
    }
}
