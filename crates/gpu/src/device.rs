//! The trait's operations as kernels.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use llavaguard_backend::tables::{rotary_frequencies, rotary_turn, taps};
use llavaguard_backend::{
    AttentionShape, CacheShape, DType, Device, DeviceError, Epilogue, Rounding, RowRef, check,
};

use crate::adapter::{AdapterSummary, Options, open};
use crate::buffers::{Buffer, Pool, Storage};
use crate::cache::{Cache, Layer};
use crate::health::Health;
use crate::kernels::{Extras, Kernel, can_split, product_of};
use crate::matrix::{self, Matrix, Rounded};
use crate::pipelines::{Bound, Pipelines};
use crate::profile::{KernelTime, Profile};
use crate::readback;
use crate::recorder::{Cost, Dispatch, Recorder};
use crate::tiles::{
    ARGMAX_EACH, ARGMAX_THREADS, ATTENTION_CHUNK, BLOCK, GEMM_PANELS, GEMM_THREADS_DOWN, GRID,
    PANEL, WIDEST_HEAD, attention_tile,
};
use crate::weight::{Filling, IN_FLIGHT, Part, Weight, device_bytes};

/// Operations submitted together: a tenth of a second on a GPU of 300 GFLOP/s.
const FLOPS_PER_SUBMISSION: f64 = 30e9;
/// Workgroups below which attention is split over its keys.
const FEW_WORKGROUPS: usize = 64;
/// Positions for which a rotary table is kept.
const MOST_KEPT_POSITIONS: usize = 1 << 16;

/// A GPU through wgpu.
pub struct GpuDevice {
    summary: AdapterSummary,
    extras: Extras,
    device: wgpu::Device,
    queue: wgpu::Queue,
    health: Health,
    pub(crate) pool: Rc<Pool>,
    pipelines: Pipelines,
    recorder: RefCell<Recorder>,
    /// Bound where a kernel has a binding that it does not read.
    nothing: Rc<Buffer>,
    largest_binding: u64,
    /// Staging buffers for reading, by size.
    staging: RefCell<Vec<wgpu::Buffer>>,
    rotary: RefCell<HashMap<(usize, u32), Turns>>,
    banned: RefCell<Option<Banned>>,
    weight_bytes: Cell<u64>,
    /// Bytes of weights handed over since the device was last waited for.
    in_flight: Cell<usize>,
    /// Whether rows go through the same kernels however many there are: see `self_test.rs`.
    alike: Cell<bool>,
}

/// Cosines and sines of some positions.
struct Turns {
    first: usize,
    rows: usize,
    buffer: Rc<Buffer>,
}

/// Values that may not win an arg-max, as bits on the device.
struct Banned {
    ids: Vec<u32>,
    len: usize,
    bits: Storage,
}

impl fmt::Debug for GpuDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuDevice")
            .field("summary", &self.summary)
            .field("extras", &self.extras)
            .finish_non_exhaustive()
    }
}

/// What is done to a product's sums.
#[derive(Clone, Copy)]
enum Finish<'a> {
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

    fn other(self) -> Option<&'a Matrix> {
        match self {
            Finish::Add(other) | Finish::Gate(other) => Some(other),
            _ => None,
        }
    }
}

impl GpuDevice {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`DeviceError::Lost`] where there is none that fits, saying which there are.
    pub async fn new(options: &Options) -> Result<Self, DeviceError> {
        let opened = open(options).await?;
        let health = Health::default();
        health.watch(&opened.device);
        let limits = opened.device.limits();
        let pool = Pool::new(&opened.device, &health, limits.max_buffer_size);
        let recorder = Recorder::new(
            &opened.device,
            &opened.queue,
            &health,
            &pool,
            options.flops_per_submission.unwrap_or(FLOPS_PER_SUBMISSION),
        )?;
        let nothing = pool.create(0, crate::buffers::STORAGE)?;
        let allowed = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        Ok(GpuDevice {
            summary: opened.summary,
            extras: opened.extras,
            device: opened.device,
            queue: opened.queue,
            health,
            pool,
            pipelines: Pipelines::default(),
            recorder: RefCell::new(recorder),
            nothing,
            largest_binding: options
                .largest_binding
                .map_or(allowed, |own| own.min(allowed)),
            staging: RefCell::default(),
            rotary: RefCell::default(),
            banned: RefCell::default(),
            weight_bytes: Cell::new(0),
            in_flight: Cell::new(0),
            alike: Cell::new(false),
        })
    }

    /// The adapter it runs on.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// What it uses beyond WebGPU's minimum.
    pub fn extras(&self) -> Extras {
        self.extras
    }

    /// wgpu's device, for provoking its loss.
    pub fn raw(&self) -> &wgpu::Device {
        &self.device
    }

    /// Bytes of device memory that weights take.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes.get()
    }

    /// Bytes of device memory of everything.
    pub fn bytes(&self) -> u64 {
        self.pool.bytes()
    }

    /// Compiles kernels ahead of their first use, beside what follows.
    pub fn prepare(&self, kernels: impl IntoIterator<Item = Kernel>) {
        let kernels = kernels.into_iter().collect();
        self.pipelines.prepare(&self.device, kernels);
    }

    /// The largest matrix a kernel may see, in bytes.
    pub fn largest_matrix(&self) -> u64 {
        let limits = self.device.limits();
        limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
    }

    /// Whether every number of rows goes through the same kernels.
    pub fn alike(&self) -> bool {
        self.alike.get()
    }

    /// Makes every number of rows go through the same kernels, or lets each go through its fastest.
    pub fn set_alike(&self, alike: bool) {
        self.alike.set(alike);
    }

    /// Whether the device can hold `bytes` more, found out by asking it for them.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] where it cannot.
    pub async fn reserve(&self, bytes: u64) -> Result<(), DeviceError> {
        self.health.check()?;
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let mut left = bytes;
        let mut held = Vec::new();
        while left > 0 {
            let size = left.min(self.largest_binding).next_multiple_of(16);
            held.push(self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: crate::buffers::STORAGE,
                mapped_at_creation: false,
            }));
            left = left.saturating_sub(size);
        }
        let failed = scope.pop().await;
        for buffer in held {
            buffer.destroy();
        }
        self.health.check()?;
        match failed {
            None => Ok(()),
            Some(_) => Err(DeviceError::OutOfMemory {
                bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            }),
        }
    }

    fn filling(
        &self,
        size: check::Size,
        dtype: DType,
        stored: usize,
    ) -> Result<Filling<'_>, DeviceError> {
        Filling::new(size, dtype, stored, self.largest_binding, &self.pool)
    }

    fn filled(&self, filling: Filling<'_>) -> Weight {
        let weight = filling.finish();
        let taken = device_bytes(weight.rows, weight.cols, weight.dtype);
        self.weight_bytes.set(self.weight_bytes.get() + taken);
        weight
    }

    /// Notes bytes of weights that are on their way; gives whether it is time to wait for them.
    fn sending(&self, bytes: usize) -> bool {
        let sent = self.in_flight.get() + bytes;
        let wait = sent >= IN_FLIGHT;
        self.in_flight.set(if wait { 0 } else { sent });
        wait
    }

    /// Begins to time kernels; false where the adapter has no clock for that.
    pub fn start_profile(&self) -> bool {
        let has = self
            .device
            .features()
            .contains(wgpu::Features::TIMESTAMP_QUERY);
        if has {
            let mut recorder = self.recorder.borrow_mut();
            recorder.submit();
            recorder.profile = Some(Profile::new(&self.device, &self.queue));
        }
        has
    }

    /// Times of kernels since [`GpuDevice::start_profile`], by the name of their files.
    pub fn finish_profile(&self) -> Vec<(&'static str, KernelTime)> {
        let mut recorder = self.recorder.borrow_mut();
        recorder.submit();
        match recorder.profile.take() {
            Some(profile) => profile.finish().into_iter().collect(),
            None => Vec::new(),
        }
    }

    pub(crate) fn dispatch(&self, dispatch: &Dispatch<'_>) -> Result<(), DeviceError> {
        self.recorder
            .borrow_mut()
            .dispatch(&self.pipelines, dispatch)
    }

    /// An output of unset contents.
    fn unset(&self, rows: usize, cols: usize) -> Result<Matrix, DeviceError> {
        let bytes = matrix::bytes(rows, cols);
        self.fits_binding(bytes)?;
        Ok(Matrix::new(rows, cols, self.pool.take(bytes, None)?))
    }

    fn fits_binding(&self, bytes: u64) -> Result<(), DeviceError> {
        if bytes > self.largest_matrix() {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            return Err(DeviceError::OutOfMemory { bytes });
        }
        Ok(())
    }

    /// The buffer of a matrix.
    pub(crate) fn buffer<'a>(&self, storage: &'a Storage) -> Result<&'a Buffer, DeviceError> {
        match storage.buffer() {
            Some(buffer) => Ok(buffer),
            None => Err(DeviceError::Lost(
                "a buffer was used after its end".to_owned(),
            )),
        }
    }

    fn bound<'a>(&self, matrix: &'a Matrix) -> Result<Bound<'a>, DeviceError> {
        Ok(Bound {
            size: matrix.bytes().max(16),
            ..Bound::whole(self.buffer(&matrix.storage)?)
        })
    }

    /// Where there is no matrix, a buffer that nobody reads.
    fn bound_or_nothing<'a>(
        &'a self,
        matrix: Option<&'a Matrix>,
    ) -> Result<Bound<'a>, DeviceError> {
        match matrix {
            Some(matrix) => self.bound(matrix),
            None => Ok(Bound::whole(&self.nothing)),
        }
    }

    /// Bytes in a buffer that may be read by all that is recorded from now on.
    fn uploaded(&self, bytes: &[u8]) -> Result<Storage, DeviceError> {
        self.health.check()?;
        let epoch = self.recorder.borrow().epoch();
        let storage = self.pool.take(bytes.len() as u64, Some(epoch))?;
        if !bytes.is_empty() {
            self.queue
                .write_buffer(&self.buffer(&storage)?.raw, 0, bytes);
        }
        Ok(storage)
    }

    /// Runs `with` on a list of numbers on the device.
    fn with_list<T>(
        &self,
        list: &[u32],
        with: impl FnOnce(Bound<'_>) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let short = self.recorder.borrow_mut().list(list);
        if let Some((buffer, offset, size)) = short {
            return with(Bound {
                buffer: &buffer,
                offset,
                size,
            });
        }
        let bytes: Vec<u8> = list.iter().flat_map(|value| value.to_le_bytes()).collect();
        let storage = self.uploaded(&bytes)?;
        with(Bound::whole(self.buffer(&storage)?))
    }

    async fn read_bytes(&self, buffer: &Buffer, bytes: u64) -> Result<Vec<u8>, DeviceError> {
        self.health.check()?;
        let size = bytes.max(256).next_power_of_two();
        let kept = {
            let mut staging = self.staging.borrow_mut();
            let found = staging.iter().position(|buffer| buffer.size() == size);
            found.map(|at| staging.swap_remove(at))
        };
        let staging = kept.unwrap_or_else(|| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let scopes = {
            let mut recorder = self.recorder.borrow_mut();
            recorder.copy_out(buffer, &staging, bytes);
            recorder.submit();
            recorder.tidy(&self.pool, &self.pipelines);
            recorder.take_scopes()
        };
        let read = readback::read(&self.device, &staging, bytes).await;
        for scope in scopes {
            if let Some(error) = scope.await {
                self.health.note(&error);
            }
        }
        // An error explains more than that nothing could be read.
        self.health.check()?;
        let data = read?;
        if size <= 1 << 20 {
            self.staging.borrow_mut().push(staging);
        }
        Ok(data)
    }

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

    fn product(
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

    fn attend(&self, job: &Attending<'_>) -> Result<Matrix, DeviceError> {
        let AttentionShape {
            heads,
            kv_heads,
            head_dim,
        } = job.shape;
        let q = job.q;
        if head_dim > WIDEST_HEAD {
            return Err(DeviceError::Shape {
                operation: "attention",
                detail: format!("heads of {head_dim}; the GPU's kernels take up to {WIDEST_HEAD}"),
            });
        }
        let out = self.unset(q.rows, q.cols)?;
        if out.is_empty() {
            return Ok(out);
        }
        let sharing = heads / kv_heads;
        let head_quads = head_dim.div_ceil(4);
        let (lanes, _) = attention_tile(head_quads);
        let across = (q.rows * sharing).div_ceil(lanes);
        let chunks = job.keys.div_ceil(ATTENTION_CHUNK);
        let split = can_split(head_dim)
            && chunks > 1
            && across * kv_heads < FEW_WORKGROUPS
            && !self.alike.get();
        let unit = if head_dim.is_multiple_of(4) { 1 } else { 4 };
        let (first, causal) = job.first.map_or((0, 0), |first| (first as u32, 1));
        let scale = 1.0 / (head_dim as f32).sqrt();
        let uniforms = [
            q.rows as u32,
            job.keys as u32,
            first,
            causal,
            heads as u32,
            sharing as u32,
            (q.quads() * unit) as u32,
            (job.kv_quads * unit) as u32,
            scale.to_bits(),
            out.quads() as u32,
        ];
        let pairs = (q.rows * job.keys * heads) as f64;
        let cost = Cost {
            flops: 4.0 * pairs * head_dim as f64,
            bytes: 2.0 * q.bytes() as f64 + 32.0 * (job.keys * job.kv_quads) as f64,
        };
        let partial = if split {
            let bytes = 16 * (chunks * q.rows * heads * (head_quads + 1)) as u64;
            Some(self.pool.take(bytes, None)?)
        } else {
            None
        };
        let target = match &partial {
            Some(partial) => Bound::whole(self.buffer(partial)?),
            None => self.bound(&out)?,
        };
        self.dispatch(&Dispatch {
            kernel: Kernel::Attention { head_dim, split },
            uniforms: &uniforms,
            storage: &[
                self.bound(q)?,
                Bound::whole(job.k),
                Bound::whole(job.v),
                target,
            ],
            groups: (across, kv_heads, if split { chunks } else { 1 }),
            cost,
        })?;
        if let Some(partial) = &partial {
            self.dispatch(&Dispatch {
                kernel: Kernel::AttentionMerge { head_dim },
                uniforms: &uniforms,
                storage: &[Bound::whole(self.buffer(partial)?), self.bound(&out)?],
                groups: ((heads * head_quads).div_ceil(64), q.rows, 1),
                cost: Cost {
                    flops: 0.0,
                    bytes: q.bytes() as f64 * (chunks + 1) as f64,
                },
            })?;
        }
        Ok(out)
    }

    fn norm(
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
}

/// An attention operation; `first` where it is causal.
struct Attending<'a> {
    q: &'a Matrix,
    k: &'a Buffer,
    v: &'a Buffer,
    keys: usize,
    kv_quads: usize,
    first: Option<usize>,
    shape: AttentionShape,
}

/// Threads in a row of a grid, and workgroups of 64 of them, for `count` threads.
fn spread(count: usize) -> (u32, (usize, usize, usize)) {
    let groups = count.div_ceil(64);
    let across = groups.min(GRID);
    let down = groups.div_ceil(across.max(1));
    ((across * 64) as u32, (across, down, 1))
}

impl Device for GpuDevice {
    type Matrix = Matrix;
    type Weight = Weight;
    type Cache = Cache;

    fn name(&self) -> String {
        let Extras {
            half,
            subgroups,
            byte_dots,
        } = self.extras;
        let mut name = format!("gpu ({}", self.summary.name);
        for (has, what) in [
            (half, "f16"),
            (subgroups, "subgroups"),
            (byte_dots, "byte dot products"),
        ] {
            if has {
                name.push_str(", ");
                name.push_str(what);
            }
        }
        name + ")"
    }

    fn rounding(&self, weight: DType) -> Option<Rounding> {
        if self.extras.byte_dots {
            Rounding::before(weight)
        } else {
            None
        }
    }

    fn upload(&self, rows: usize, cols: usize, data: &[f32]) -> Result<Matrix, DeviceError> {
        check::upload((rows, cols), data.len())?;
        self.fits_binding(matrix::bytes(rows, cols))?;
        let mut bytes = Vec::with_capacity(matrix::bytes(rows, cols) as usize);
        for row in data.chunks(cols.max(1)) {
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            bytes.resize(bytes.len().next_multiple_of(16), 0);
        }
        Ok(Matrix::new(rows, cols, self.uploaded(&bytes)?))
    }

    fn shape(&self, matrix: &Matrix) -> (usize, usize) {
        matrix.size()
    }

    async fn read(&self, matrix: &Matrix) -> Result<Vec<f32>, DeviceError> {
        if matrix.is_empty() {
            return Ok(Vec::new());
        }
        let buffer = self.buffer(&matrix.storage)?;
        let bytes = self.read_bytes(buffer, matrix.bytes()).await?;
        let mut values = Vec::with_capacity(matrix.rows * matrix.cols);
        for row in bytes.chunks(16 * matrix.quads()) {
            let row = row.as_chunks::<4>().0.iter().take(matrix.cols);
            values.extend(row.map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok(values)
    }

    async fn settle(&self) -> Result<(), DeviceError> {
        self.read_bytes(&self.nothing, 16).await.map(drop)
    }

    fn load_weight(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<Weight, DeviceError> {
        self.health.check()?;
        let mut filling = self.filling((rows, cols), dtype, bytes.len())?;
        let mut rest = bytes.as_slice();
        while let Some((piece, behind)) = rest.split_at_checked(filling.next_bytes())
            && !piece.is_empty()
        {
            rest = behind;
            if self.sending(filling.put(piece, &self.queue)?) {
                self.queue.submit([]);
                // Natively the thread waits, a browser goes on by itself.
                let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
                waited.map_err(|error| DeviceError::Lost(error.to_string()))?;
            }
        }
        Ok(self.filled(filling))
    }

    async fn stream_weight<E: From<DeviceError>>(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        next: &mut dyn FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Weight, E> {
        self.health.check()?;
        let stored = dtype.row_bytes(cols).unwrap_or_default() * rows;
        let mut filling = self.filling((rows, cols), dtype, stored)?;
        let mut piece = vec![0; filling.next_bytes()];
        while !piece.is_empty() {
            next(&mut piece)?;
            if self.sending(filling.put(&piece, &self.queue)?) {
                self.settle().await?;
            }
            piece.resize(filling.next_bytes(), 0);
        }
        Ok(self.filled(filling))
    }

    fn linear(
        &self,
        x: &Matrix,
        w: &Weight,
        bias: Option<&Matrix>,
        epilogue: Epilogue<'_, Matrix>,
    ) -> Result<Matrix, DeviceError> {
        let finish = match epilogue {
            Epilogue::None => Finish::Nothing,
            Epilogue::GeluTanh => Finish::GeluTanh,
            Epilogue::GeluErf => Finish::GeluErf,
            Epilogue::Add(added) => Finish::Add(added),
        };
        let added = finish.other().map(Matrix::size);
        check::linear(x.size(), w.size(), bias.map(Matrix::size), added)?;
        self.product(x, w, bias, finish)
    }

    fn linear_rows(&self, x: &Matrix, w: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::linear_rows(x.size(), w.size(), ids)?;
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

    fn layer_norm(
        &self,
        x: &Matrix,
        gain: &Matrix,
        bias: &Matrix,
        eps: f32,
    ) -> Result<Matrix, DeviceError> {
        check::row_of("layer_norm", "gain", gain.size(), x.cols)?;
        check::row_of("layer_norm", "bias", bias.size(), x.cols)?;
        self.norm(x, gain, Some(bias), eps)
    }

    fn rms_norm(&self, x: &Matrix, gain: &Matrix, eps: f32) -> Result<Matrix, DeviceError> {
        check::row_of("rms_norm", "gain", gain.size(), x.cols)?;
        self.norm(x, gain, None, eps)
    }

    fn rotary(
        &self,
        x: &mut Matrix,
        head_dim: usize,
        first: usize,
        theta: f32,
    ) -> Result<(), DeviceError> {
        check::rotary(x.size(), head_dim, first)?;
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

    fn attention(
        &self,
        q: &Matrix,
        k: &Matrix,
        v: &Matrix,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        check::attention(q.size(), k.size(), v.size(), shape)?;
        self.attend(&Attending {
            q,
            k: self.buffer(&k.storage)?,
            v: self.buffer(&v.storage)?,
            keys: k.rows,
            kv_quads: k.quads(),
            first: None,
            shape,
        })
    }

    fn new_cache(&self, shape: CacheShape) -> Result<Cache, DeviceError> {
        check::new_cache(shape)?;
        // A layer's keys have to fit one binding when the cache is full.
        self.fits_binding(matrix::bytes(shape.capacity, shape.width))?;
        Ok(Cache::new(shape))
    }

    fn cache_write(
        &self,
        cache: &mut Cache,
        layer: usize,
        first: usize,
        k: &Matrix,
        v: &Matrix,
    ) -> Result<(), DeviceError> {
        let len = cache.len(layer);
        check::cache_write(cache.shape, layer, len, first, k.size(), v.size())?;
        if k.is_empty() {
            return Ok(());
        }
        let end = first + k.rows;
        let quads = k.quads();
        if let Some(positions) = cache.growth(layer, end) {
            let bytes = matrix::bytes(positions, cache.shape.width);
            let grown = Layer {
                keys: Rc::new(self.pool.take(bytes, None)?),
                values: Rc::new(self.pool.take(bytes, None)?),
                positions,
                len,
            };
            if let Some(old) = cache.layer(layer) {
                for (from, to) in [(&old.keys, &grown.keys), (&old.values, &grown.values)] {
                    self.copy(self.buffer(from)?, 0, self.buffer(to)?, 0, len * quads)?;
                }
            }
            cache.replace(layer, grown);
        }
        if let Some(kept) = cache.layer(layer) {
            for (new, kept) in [(k, &kept.keys), (v, &kept.values)] {
                let (from, to) = (self.buffer(&new.storage)?, self.buffer(kept)?);
                self.copy(from, 0, to, first * quads, new.rows * quads)?;
            }
        }
        cache.written(layer, end);
        Ok(())
    }

    fn cached_attention(
        &self,
        q: &Matrix,
        cache: &Cache,
        layer: usize,
        first: usize,
        shape: AttentionShape,
    ) -> Result<Matrix, DeviceError> {
        let len = cache.len(layer);
        check::cached_attention(q.size(), cache.shape, layer, len, first, shape)?;
        let Some(kept) = cache.layer(layer) else {
            // Only no query at all can be asked of a layer that holds nothing.
            return self.unset(q.rows, q.cols);
        };
        self.attend(&Attending {
            q,
            k: self.buffer(&kept.keys)?,
            v: self.buffer(&kept.values)?,
            keys: first + q.rows,
            kv_quads: cache.shape.width.div_ceil(4),
            first: Some(first),
            shape,
        })
    }

    fn gated(&self, x: &Matrix, gate: &Weight, up: &Weight) -> Result<Matrix, DeviceError> {
        check::gated(x.size(), gate.size(), up.size())?;
        let gated = self.product(x, gate, None, Finish::Nothing)?;
        self.product(x, up, None, Finish::Gate(&gated))
    }

    fn embed(&self, table: &Weight, ids: &[u32]) -> Result<Matrix, DeviceError> {
        check::indices("embed", ids, table.rows)?;
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

    fn gather(&self, sources: &[&Matrix], rows: &[RowRef]) -> Result<Matrix, DeviceError> {
        let sizes: Vec<_> = sources.iter().map(|source| source.size()).collect();
        let cols = check::gather(&sizes, rows)?;
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

    fn pool_bilinear(
        &self,
        x: &Matrix,
        from: (usize, usize),
        to: (usize, usize),
    ) -> Result<Matrix, DeviceError> {
        check::pool_bilinear(x.size(), from, to)?;
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

    async fn argmax(&self, logits: &Matrix, banned: &[u32]) -> Result<u32, DeviceError> {
        check::argmax(logits.size(), banned)?;
        let count = logits.cols;
        let groups = count.div_ceil(ARGMAX_THREADS * ARGMAX_EACH);
        let found = self.pool.take(16 * groups as u64, None)?;
        let best = self.pool.take(16, None)?;
        self.ban(banned, count)?;
        {
            let kept = self.banned.borrow();
            let bits = match &*kept {
                Some(banned) => Bound::whole(self.buffer(&banned.bits)?),
                None => Bound::whole(&self.nothing),
            };
            self.dispatch(&Dispatch {
                kernel: Kernel::Argmax,
                uniforms: &[count as u32],
                storage: &[
                    self.bound(logits)?,
                    bits,
                    Bound::whole(self.buffer(&found)?),
                ],
                groups: (groups, 1, 1),
                cost: Cost {
                    flops: 0.0,
                    bytes: logits.bytes() as f64,
                },
            })?;
        }
        self.dispatch(&Dispatch {
            kernel: Kernel::ArgmaxFinal,
            uniforms: &[groups as u32],
            storage: &[
                Bound::whole(self.buffer(&found)?),
                Bound::whole(self.buffer(&best)?),
            ],
            groups: (1, 1, 1),
            cost: Cost::default(),
        })?;
        let bytes = self.read_bytes(self.buffer(&best)?, 16).await?;
        let words: Vec<u32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect();
        match words[..] {
            [key, index, nan, _] => check::winner((key > 0).then_some(index), nan != 0),
            _ => Err(DeviceError::Lost("an arg-max gave no answer".to_owned())),
        }
    }
}

impl GpuDevice {
    /// Brings the bits of what may not win to the device, unless they are there.
    fn ban(&self, ids: &[u32], len: usize) -> Result<(), DeviceError> {
        let mut kept = self.banned.borrow_mut();
        if matches!(&*kept, Some(banned) if banned.len == len && banned.ids == ids) {
            return Ok(());
        }
        let mut bits = vec![0u32; len.div_ceil(32)];
        for &id in ids {
            bits[id as usize / 32] |= 1 << (id % 32);
        }
        let bytes: Vec<u8> = bits.iter().flat_map(|word| word.to_le_bytes()).collect();
        *kept = Some(Banned {
            ids: ids.to_vec(),
            len,
            bits: self.uploaded(&bytes)?,
        });
        Ok(())
    }
}
