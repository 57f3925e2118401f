//! The device: what all operations share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use llavaguard_backend::DeviceError;

use crate::adapter::{AdapterSummary, Options, open};
use crate::buffers::{Buffer, Pool, Storage};
use crate::choice::Banned;
use crate::health::Health;
use crate::kernels::{Extras, Kernel};
use crate::matrix::{self, Matrix};
use crate::pipelines::{Bound, Pipelines};
use crate::profile::{KernelTime, Profile};
use crate::readback;
use crate::recorder::{Dispatch, Recorder};
use crate::rows::Turns;

/// Operations submitted together: a tenth of a second on a GPU of 300 GFLOP/s.
const FLOPS_PER_SUBMISSION: f64 = 30e9;

/// A GPU through wgpu.
pub struct GpuDevice {
    pub(crate) summary: AdapterSummary,
    pub(crate) extras: Extras,
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) health: Health,
    pub(crate) pool: Rc<Pool>,
    pipelines: Pipelines,
    pub(crate) recorder: RefCell<Recorder>,
    /// Bound where a kernel has a binding that it does not read.
    pub(crate) nothing: Rc<Buffer>,
    pub(crate) largest_binding: u64,
    /// Staging buffers for reading, by size.
    staging: RefCell<Vec<wgpu::Buffer>>,
    pub(crate) rotary: RefCell<HashMap<(usize, u32), Turns>>,
    pub(crate) banned: RefCell<Option<Banned>>,
    pub(crate) weight_bytes: Cell<u64>,
    /// Bytes of weights handed over since the device was last waited for.
    pub(crate) in_flight: Cell<usize>,
    /// Whether rows go through the same kernels however many there are: see `self_test.rs`.
    pub(crate) alike: Cell<bool>,
    bytes_read: Cell<u64>,
}

/// How often a device did what costs time beside the kernels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Command buffers submitted.
    pub submissions: u64,
    /// Compute passes begun.
    pub passes: u64,
    /// Kernels run.
    pub dispatches: u64,
    /// Buffers made.
    pub buffers: u64,
    /// Bind groups made.
    pub bind_groups: u64,
    /// Bytes read back.
    pub bytes_read: u64,
}

impl fmt::Debug for GpuDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GpuDevice")
            .field("summary", &self.summary)
            .field("extras", &self.extras)
            .finish_non_exhaustive()
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
            bytes_read: Cell::new(0),
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

    /// What it has done since it was opened.
    pub fn counts(&self) -> Counts {
        Counts {
            buffers: self.pool.made(),
            bind_groups: self.pipelines.groups_made(),
            bytes_read: self.bytes_read.get(),
            ..self.recorder.borrow().counts()
        }
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
    pub(crate) fn unset(&self, rows: usize, cols: usize) -> Result<Matrix, DeviceError> {
        let bytes = matrix::bytes(rows, cols);
        self.fits_binding(bytes)?;
        Ok(Matrix::new(rows, cols, self.pool.take(bytes, None)?))
    }

    pub(crate) fn fits_binding(&self, bytes: u64) -> Result<(), DeviceError> {
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

    pub(crate) fn bound<'a>(&self, matrix: &'a Matrix) -> Result<Bound<'a>, DeviceError> {
        Ok(Bound {
            size: matrix.bytes().max(16),
            ..Bound::whole(self.buffer(&matrix.storage)?)
        })
    }

    /// Where there is no matrix, a buffer that nobody reads.
    pub(crate) fn bound_or_nothing<'a>(
        &'a self,
        matrix: Option<&'a Matrix>,
    ) -> Result<Bound<'a>, DeviceError> {
        match matrix {
            Some(matrix) => self.bound(matrix),
            None => Ok(Bound::whole(&self.nothing)),
        }
    }

    /// Bytes in a buffer that may be read by all that is recorded from now on.
    pub(crate) fn uploaded(&self, bytes: &[u8]) -> Result<Storage, DeviceError> {
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
    pub(crate) fn with_list<T>(
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

    pub(crate) async fn read_bytes(
        &self,
        buffer: &Buffer,
        bytes: u64,
    ) -> Result<Vec<u8>, DeviceError> {
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
        self.bytes_read.set(self.bytes_read.get() + bytes);
        if size <= 1 << 20 {
            self.staging.borrow_mut().push(staging);
        }
        Ok(data)
    }
}
