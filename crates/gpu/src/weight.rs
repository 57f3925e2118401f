//! Weights on the device.
//!
//! A weight's values and its scales are separate streams of whole vec4s, so that a kernel reads
//! either without touching the other. Both are cut into panels of 16 features; within a panel they
//! lie as kernels read them (`kernels/weight_*.wgsl`). What pads the features to whole panels and the
//! inner size to whole blocks is zero.

use std::rc::Rc;

use half::f16;
use llavaguard_backend::{DType, DeviceError, check};

use crate::buffers::{Buffer, Pool, STORAGE};
use crate::tiles::{BLOCK, PANEL};

/// Bytes repacked before they are handed to the queue.
const CHUNK: usize = 4 << 20;
/// Bytes handed to the queue before the device is waited for: until they are there a copy of them is
/// kept, in a browser in the tab's memory.
pub const IN_FLIGHT: usize = 32 << 20;

/// Panels of a weight that one binding holds.
#[derive(Debug)]
pub struct Part {
    /// The first of them.
    pub first_panel: usize,
    /// How many.
    pub panels: usize,
    /// Values without scales.
    pub values: Rc<Buffer>,
    /// Scales; of a format without any, a buffer nobody reads.
    pub scales: Rc<Buffer>,
}

/// A stored weight `[rows, cols]`.
#[derive(Debug)]
pub struct Weight {
    /// Output features.
    pub rows: usize,
    /// Inner size.
    pub cols: usize,
    /// Its format.
    pub dtype: DType,
    /// Blocks of a row.
    pub blocks: usize,
    /// Its panels, shared out to as many buffers as they need.
    pub parts: Vec<Part>,
}

/// Bytes of a panel's values and scales.
fn panel_bytes(dtype: DType, blocks: usize) -> (usize, usize) {
    let values = blocks * BLOCK * PANEL;
    match dtype {
        DType::F32 => (4 * values, 0),
        DType::F16 => (2 * values, 0),
        DType::Q8_0 => (values, 2 * blocks * PANEL),
        DType::Q4_0 => (values / 2, 2 * blocks * PANEL),
    }
}

/// Bytes of device memory that a weight takes.
pub fn device_bytes(rows: usize, cols: usize, dtype: DType) -> u64 {
    let (values, scales) = panel_bytes(dtype, cols.div_ceil(BLOCK));
    (values + scales) as u64 * rows.div_ceil(PANEL) as u64
}

/// A weight on its way to the device.
pub struct Filling<'a> {
    weight: Weight,
    row_bytes: usize,
    panels: usize,
    /// Panels that one part takes at most.
    part_panels: usize,
    /// Panels that are taken together at most.
    piece_panels: usize,
    /// Panels that are on the device.
    done: usize,
    pool: &'a Pool,
}

impl<'a> Filling<'a> {
    /// Begins with a weight whose stored bytes are `found`.
    pub fn new(
        (rows, cols): check::Size,
        dtype: DType,
        found: usize,
        largest_binding: u64,
        pool: &'a Pool,
    ) -> Result<Self, DeviceError> {
        let row_bytes = check::load_weight((rows, cols), dtype, found)?;
        let blocks = cols.div_ceil(BLOCK);
        let (value_bytes, _) = panel_bytes(dtype, blocks);
        let panels = rows.div_ceil(PANEL);
        let most = usize::try_from(largest_binding).unwrap_or(usize::MAX) / value_bytes.max(1);
        if most == 0 && panels > 0 {
            return Err(DeviceError::OutOfMemory { bytes: value_bytes });
        }
        Ok(Filling {
            weight: Weight {
                rows,
                cols,
                dtype,
                blocks,
                parts: Vec::new(),
            },
            row_bytes,
            panels,
            part_panels: most.max(1),
            piece_panels: (CHUNK / value_bytes.max(1)).max(1),
            done: 0,
            pool,
        })
    }

    /// Panels of the piece that is wanted next; none where the weight is whole.
    fn next_panels(&self) -> usize {
        let in_part = self.part_panels - self.done % self.part_panels;
        let left = self.panels - self.done;
        self.piece_panels.min(in_part).min(left)
    }

    /// Stored bytes of the piece that is wanted next; none where the weight is whole.
    pub fn next_bytes(&self) -> usize {
        let first = self.done * PANEL;
        let rows = (self.next_panels() * PANEL).min(self.weight.rows - first.min(self.weight.rows));
        rows * self.row_bytes
    }

    /// Hands the next piece to the queue; gives how many bytes that has to carry.
    pub fn put(&mut self, piece: &[u8], queue: &wgpu::Queue) -> Result<usize, DeviceError> {
        let here = self.next_panels();
        let (rows, cols, dtype) = (self.weight.rows, self.weight.cols, self.weight.dtype);
        let blocks = self.weight.blocks;
        let (value_bytes, scale_bytes) = panel_bytes(dtype, blocks);
        if self.done.is_multiple_of(self.part_panels) {
            let count = self.part_panels.min(self.panels - self.done);
            self.weight.parts.push(Part {
                first_panel: self.done,
                panels: count,
                values: self.pool.create((count * value_bytes) as u64, STORAGE)?,
                scales: self.pool.create((count * scale_bytes) as u64, STORAGE)?,
            });
        }
        let Some(part) = self.weight.parts.last() else {
            return Ok(0);
        };
        let mut packed = Packed {
            values: vec![0; here * value_bytes],
            scales: vec![0; here * scale_bytes],
            dtype,
            blocks,
        };
        for (at, stored) in piece.chunks_exact(self.row_bytes.max(1)).enumerate() {
            if !packed.put(at / PANEL, at % PANEL, stored) {
                return Err(DeviceError::WeightNotFinite {
                    rows,
                    cols,
                    dtype,
                    row: self.done * PANEL + at,
                });
            }
        }
        let at = |bytes: usize| ((self.done - part.first_panel) * bytes) as u64;
        queue.write_buffer(&part.values.raw, at(value_bytes), &packed.values);
        if scale_bytes > 0 {
            queue.write_buffer(&part.scales.raw, at(scale_bytes), &packed.scales);
        }
        self.done += here;
        Ok(here * (value_bytes + scale_bytes))
    }

    /// The weight, once [`Filling::next_bytes`] gives none.
    pub fn finish(self) -> Weight {
        self.weight
    }
}

impl Weight {
    /// Rows and columns.
    pub fn size(&self) -> check::Size {
        (self.rows, self.cols)
    }
}

/// Some panels in the order of the device.
struct Packed {
    values: Vec<u8>,
    scales: Vec<u8>,
    dtype: DType,
    blocks: usize,
}

impl Packed {
    /// Writes one row; false where a scale is no finite number.
    fn put(&mut self, panel: usize, lane: usize, stored: &[u8]) -> bool {
        match self.dtype {
            DType::F32 => {
                for (k, value) in stored.as_chunks::<4>().0.iter().enumerate() {
                    // [panel][value][feature]
                    let at = (panel * self.blocks * BLOCK + k) * PANEL + lane;
                    self.values[4 * at..][..4].copy_from_slice(value);
                }
            }
            DType::F16 => {
                for (k, value) in stored.as_chunks::<2>().0.iter().enumerate() {
                    // [panel][pair of values][feature][value]
                    let at = ((panel * self.blocks * BLOCK / 2 + k / 2) * PANEL + lane) * 2 + k % 2;
                    self.values[2 * at..][..2].copy_from_slice(value);
                }
            }
            DType::Q8_0 => {
                for (block, stored) in stored.as_chunks::<34>().0.iter().enumerate() {
                    for (quad, bytes) in stored[2..].as_chunks::<4>().0.iter().enumerate() {
                        // [panel][quad of values][feature][value]
                        let word = (panel * self.blocks + block) * (BLOCK / 4) + quad;
                        self.values[4 * (word * PANEL + lane)..][..4].copy_from_slice(bytes);
                    }
                    if !self.put_scale(panel, lane, block, [stored[0], stored[1]]) {
                        return false;
                    }
                }
            }
            DType::Q4_0 => {
                for (block, stored) in stored.as_chunks::<18>().0.iter().enumerate() {
                    // Byte i of the file holds values i and i + 16.
                    let nibble = |value: usize| (stored[2 + value % 16] >> (4 * (value / 16))) & 15;
                    for eight in 0..BLOCK / 8 {
                        // [panel][eight values][feature]: a byte holds values i and i + 4 of eight.
                        let word = (panel * self.blocks + block) * (BLOCK / 8) + eight;
                        for byte in 0..4 {
                            let low = nibble(8 * eight + byte);
                            let high = nibble(8 * eight + byte + 4);
                            self.values[4 * (word * PANEL + lane) + byte] = low | high << 4;
                        }
                    }
                    if !self.put_scale(panel, lane, block, [stored[0], stored[1]]) {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn put_scale(&mut self, panel: usize, lane: usize, block: usize, scale: [u8; 2]) -> bool {
        let at = (panel * self.blocks + block) * PANEL + lane;
        self.scales[2 * at..][..2].copy_from_slice(&scale);
        f16::from_le_bytes(scale).is_finite()
    }
}
