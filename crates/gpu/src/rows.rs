//! What is done to rows: normalised, turned by their position, looked up, picked and resized.

use std::rc::Rc;

use llavaguard_backend::tables::{rotary_frequencies, rotary_turn, taps};
use llavaguard_backend::{DeviceError, RowRef};

use crate::buffers::Buffer;
use crate::device::GpuDevice;
use crate::kernels::Kernel;
use crate::matrix::Matrix;
use crate::pipelines::Bound;
use crate::recorder::{Cost, Dispatch};
use crate::tiles::{GRID, PANEL};
use crate::weight::Weight;

/// Positions for which a rotary table is kept.
const MOST_KEPT_POSITIONS: usize = 1 << 16;

/// Cosines and sines of some positions.
pub(crate) struct Turns {
    first: usize,
    rows: usize,
    buffer: Rc<Buffer>,
}

/// Threads in a row of a grid, and workgroups of 64 of them, for `count` threads.
pub(crate) fn spread(count: usize) -> (u32, (usize, usize, usize)) {
    let groups = count.div_ceil(64);
    let across = groups.min(GRID);
    let down = groups.div_ceil(across.max(1));
    ((across * 64) as u32, (across, down, 1))
}

impl GpuDevice {
    pub(crate) fn norm(
        &self,
        x: &Matrix,
        gain: &Matrix,
        bias: Option<&Matrix>,
        eps: f32,
    ) -> Result<Matrix, DeviceError> {
        let out = self.unset(x.rows, x.cols)?;
        if out.is_empty() {
            return Ok(out);
        }
        let width = x.rows.min(GRID);
        let bias_bound = self.bound_or_nothing(bias)?;
        self.dispatch(&Dispatch {
            kernel: Kernel::Norm {
                centred: bias.is_some(),
                subgroups: self.extras.subgroups,
            },
            uniforms: &[
                x.rows as u32,
                x.quads() as u32,
                x.cols as u32,
                eps.to_bits(),
                width as u32,
            ],
            storage: &[
                self.bound(x)?,
                self.bound(gain)?,
                bias_bound,
                self.bound(&out)?,
            ],
            groups: (width, x.rows.div_ceil(width), 1),
            cost: Cost {
                flops: 8.0 * (x.rows * x.cols) as f64,
                bytes: 2.0 * x.bytes() as f64,
            },
        })?;
        Ok(out)
    }

    /// Runs `with` on the table of turns and the row in it of position `first`.
    fn with_turns(
        &self,
        head_dim: usize,
        theta: f32,
        (first, rows): (usize, usize),
        with: impl FnOnce(&Buffer, usize) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let key = (head_dim, theta.to_bits());
        let mut tables = self.rotary.borrow_mut();
        if let Some(table) = tables.get(&key)
            && table.first <= first
            && first + rows <= table.first + table.rows
        {
            return with(&table.buffer, first - table.first);
        }
        let (from, until) = if first + rows <= MOST_KEPT_POSITIONS {
            (0, (first + rows).next_power_of_two().max(1024))
        } else {
            (first, first + rows)
        };
        let frequencies = rotary_frequencies(head_dim, theta);
        let mut bytes = Vec::with_capacity((until - from) * frequencies.len() * 8);
        for position in from..until {
            for &frequency in &frequencies {
                let (sin, cos) = rotary_turn(position, frequency);
                bytes.extend(cos.to_le_bytes());
                bytes.extend(sin.to_le_bytes());
            }
        }
        self.fits_binding(bytes.len() as u64)?;
        let buffer = self
            .pool
            .create(bytes.len() as u64, crate::buffers::STORAGE)?;
        self.queue.write_buffer(&buffer.raw, 0, &bytes);
        with(&buffer, first - from)?;
        let rows = until - from;
        tables.insert(
            key,
            Turns {
                first: from,
                rows,
                buffer,
            },
        );
        Ok(())
    }

    pub(crate) fn rotate(
        &self,
        x: &mut Matrix,
        head_dim: usize,
        first: usize,
        theta: f32,
    ) -> Result<(), DeviceError> {
        if x.is_empty() {
            return Ok(());
        }
        if Rc::strong_count(&x.storage) > 1 {
            let own = self.unset(x.rows, x.cols)?;
            let (from, to) = (self.buffer(&x.storage)?, self.buffer(&own.storage)?);
            self.copy(from, 0, to, 0, x.rows * x.quads())?;
            x.storage = own.storage;
        }
        x.rounded.borrow_mut().clear();
        let pairs = x.cols / 2;
        self.with_turns(head_dim, theta, (first, x.rows), |table, row| {
            self.dispatch(&Dispatch {
                kernel: Kernel::Rotary,
                uniforms: &[
                    x.rows as u32,
                    (4 * x.quads()) as u32,
                    (head_dim / 2) as u32,
                    pairs as u32,
                    row as u32,
                ],
                storage: &[Bound::whole(table), self.bound(x)?],
                groups: (pairs.div_ceil(64), x.rows.min(GRID), 1),
                cost: Cost {
                    flops: 6.0 * (x.rows * pairs) as f64,
                    bytes: 2.0 * x.bytes() as f64,
                },
            })
        })
    }

    /// Copies `count` vec4s from one buffer to another, both in vec4s.
    pub(crate) fn copy(
        &self,
        source: &Buffer,
        from: usize,
        target: &Buffer,
        to: usize,
        count: usize,
    ) -> Result<(), DeviceError> {
        let (width, groups) = spread(count);
        self.dispatch(&Dispatch {
            kernel: Kernel::Copy,
            uniforms: &[count as u32, from as u32, to as u32, width],
            storage: &[Bound::whole(source), Bound::whole(target)],
            groups,
            cost: Cost {
                flops: 0.0,
                bytes: 32.0 * count as f64,
            },
        })
    }

    /// Rows of a table.
    pub(crate) fn rows_of(&self, table: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        let out = self.unset(ids.len(), table.cols)?;
        if out.is_empty() {
            return Ok(out);
        }
        self.with_list(ids, |list| {
            for part in &table.parts {
                self.dispatch(&Dispatch {
                    kernel: Kernel::Embed {
                        weight: table.dtype,
                    },
                    uniforms: &[
                        ids.len() as u32,
                        0,
                        table.blocks as u32,
                        out.quads() as u32,
                        0,
                        part.panels as u32,
                        (part.first_panel * PANEL / 4) as u32,
                    ],
                    storage: &[
                        list,
                        Bound::whole(&part.values),
                        Bound::whole(&part.scales),
                        self.bound(&out)?,
                    ],
                    groups: (out.quads().div_ceil(64), ids.len().min(GRID), 1),
                    cost: Cost {
                        flops: 0.0,
                        bytes: 2.0 * out.bytes() as f64,
                    },
                })?;
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Rows of several matrices of `cols` columns.
    pub(crate) fn gathered(
        &self,
        sources: &[&Matrix],
        rows: &[RowRef],
        cols: usize,
    ) -> Result<Matrix, DeviceError> {
        // All rows of one source in their order are that source.
        let one = rows.first().map_or(0, |row| row.source as usize);
        let in_order = || {
            (0u32..).zip(rows).all(|(at, row)| {
                *row == RowRef {
                    source: one as u32,
                    row: at,
                }
            })
        };
        if let Some(source) = sources.get(one)
            && source.rows == rows.len()
            && in_order()
        {
            return Ok(source.share());
        }
        let out = self.unset(rows.len(), cols)?;
        if out.is_empty() {
            return Ok(out);
        }
        let quads = out.quads();
        let mut lists = vec![Vec::new(); sources.len()];
        for (at, row) in (0u32..).zip(rows) {
            lists[row.source as usize].extend([row.row, at]);
        }
        for (source, list) in sources.iter().zip(&lists) {
            let pairs = list.as_chunks::<2>().0;
            let Some(&[from, to]) = pairs.first() else {
                continue;
            };
            let is_run = (0u32..)
                .zip(pairs)
                .all(|(at, pair)| *pair == [from + at, to + at]);
            if is_run {
                let buffers = (self.buffer(&source.storage)?, self.buffer(&out.storage)?);
                let (from, to) = (from as usize * quads, to as usize * quads);
                self.copy(buffers.0, from, buffers.1, to, pairs.len() * quads)?;
                continue;
            }
            self.with_list(list, |bound| {
                self.dispatch(&Dispatch {
                    kernel: Kernel::Gather,
                    uniforms: &[pairs.len() as u32, quads as u32],
                    storage: &[self.bound(source)?, bound, self.bound(&out)?],
                    groups: (quads.div_ceil(64), pairs.len().min(GRID), 1),
                    cost: Cost {
                        flops: 0.0,
                        bytes: (32 * pairs.len() * quads) as f64,
                    },
                })
            })?;
        }
        Ok(out)
    }

    pub(crate) fn resized(
        &self,
        x: &Matrix,
        from: (usize, usize),
        to: (usize, usize),
    ) -> Result<Matrix, DeviceError> {
        let out = self.unset(to.0 * to.1, x.cols)?;
        if out.is_empty() {
            return Ok(out);
        }
        let table: Vec<u32> = taps(from.0, to.0)
            .into_iter()
            .chain(taps(from.1, to.1))
            .flat_map(|tap| [tap.low as u32, tap.high as u32, tap.part.to_bits(), 0])
            .collect();
        let quads = out.quads();
        self.with_list(&table, |bound| {
            self.dispatch(&Dispatch {
                kernel: Kernel::Pool,
                uniforms: &[to.0 as u32, to.1 as u32, quads as u32, from.1 as u32],
                storage: &[self.bound(x)?, bound, self.bound(&out)?],
                groups: (quads.div_ceil(64), (to.0 * to.1).min(GRID), 1),
                cost: Cost {
                    flops: 0.0,
                    bytes: x.bytes() as f64 + out.bytes() as f64,
                },
            })
        })?;
        Ok(out)
    }
}
