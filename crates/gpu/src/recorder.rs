//! Operations recorded into one compute pass and submitted together.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use llavaguard_backend::DeviceError;

use crate::buffers::{Buffer, Pool};
use crate::device::Counts;
use crate::health::Health;
use crate::kernels::Kernel;
use crate::pipelines::{Bound, Pipelines, UNIFORM_BYTES};
use crate::profile::Profile;

/// Dispatches recorded before they are submitted.
const MOST_DISPATCHES: usize = 2048;
/// Bytes of lists (ids, rows, taps) of one recording.
const LIST_BYTES: usize = 4 << 20;

/// One run of a kernel.
#[derive(Debug)]
pub struct Dispatch<'a> {
    /// Which.
    pub kernel: Kernel,
    /// Its uniforms, in order.
    pub uniforms: &'a [u32],
    /// Its storage buffers, in order.
    pub storage: &'a [Bound<'a>],
    /// Workgroups.
    pub groups: (usize, usize, usize),
    /// What it does, for sharing work out and for measuring.
    pub cost: Cost,
}

/// What a dispatch does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Additions and multiplications.
    pub flops: f64,
    /// Bytes that have to be read and written at least.
    pub bytes: f64,
}

type Pending = Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>;

/// What has been recorded and not been submitted.
pub struct Recorder {
    device: wgpu::Device,
    queue: wgpu::Queue,
    health: Health,
    /// Before the encoder, since it has to be dropped first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    uniforms: Vec<u8>,
    uniform_buffer: Rc<Buffer>,
    uniform_step: usize,
    lists: Vec<u8>,
    list_buffer: Rc<Buffer>,
    list_step: usize,
    dispatches: usize,
    flops: f64,
    most_flops: f64,
    /// Counts recordings, from 1.
    epoch: u64,
    drops: u64,
    scopes: Vec<Pending>,
    counts: Counts,
    /// Where kernels are to be timed.
    pub profile: Option<Profile>,
}

impl Recorder {
    /// An empty recording. `most_flops` are submitted together, so that no watchdog fires.
    pub fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        health: &Health,
        pool: &Pool,
        most_flops: f64,
    ) -> Result<Self, DeviceError> {
        let limits = device.limits();
        let uniform_step = limits
            .min_uniform_buffer_offset_alignment
            .max(UNIFORM_BYTES as u32);
        let uniform_bytes = u64::from(uniform_step) * MOST_DISPATCHES as u64;
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let list = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        Ok(Recorder {
            device: device.clone(),
            queue: queue.clone(),
            health: health.clone(),
            pass: None,
            encoder: None,
            uniforms: Vec::new(),
            uniform_buffer: pool.create(uniform_bytes, uniform)?,
            uniform_step: uniform_step as usize,
            lists: Vec::new(),
            list_buffer: pool.create(LIST_BYTES as u64, list)?,
            list_step: limits.min_storage_buffer_offset_alignment as usize,
            dispatches: 0,
            flops: 0.0,
            most_flops,
            epoch: 1,
            drops: pool.drops(),
            scopes: Vec::new(),
            counts: Counts::default(),
            profile: None,
        })
    }

    /// The number of this recording.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Submissions, passes and dispatches so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Operations one submission may have.
    pub fn most_flops(&self) -> f64 {
        self.most_flops
    }

    /// Keeps a list of numbers for a dispatch of this recording; gives where it lies. `None` where it
    /// is too long for that.
    pub fn list(&mut self, values: &[u32]) -> Option<(Rc<Buffer>, u64, u64)> {
        let bytes = size_of_val(values).max(16);
        if bytes > LIST_BYTES {
            return None;
        }
        if self.lists.len() + bytes + self.list_step > LIST_BYTES {
            self.submit();
        }
        let offset = self.lists.len().next_multiple_of(self.list_step);
        self.lists.resize(offset, 0);
        self.lists
            .extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self.lists.resize(offset + bytes.next_multiple_of(16), 0);
        let size = bytes.next_multiple_of(16) as u64;
        Some((self.list_buffer.clone(), offset as u64, size))
    }

    /// Records a dispatch.
    pub fn dispatch(
        &mut self,
        pipelines: &Pipelines,
        dispatch: &Dispatch<'_>,
    ) -> Result<(), DeviceError> {
        self.health.check()?;
        let (x, y, z) = dispatch.groups;
        if x == 0 || y == 0 || z == 0 {
            return Ok(());
        }
        let pipeline = pipelines.pipeline(&self.device, dispatch.kernel);
        let bindings = dispatch.kernel.bindings();
        let group = pipelines.group(
            &self.device,
            bindings,
            &self.uniform_buffer,
            dispatch.storage,
        );
        let offset = self.uniforms.len();
        self.uniforms
            .extend(dispatch.uniforms.iter().flat_map(|v| v.to_le_bytes()));
        self.uniforms.resize(offset + self.uniform_step, 0);
        for bound in dispatch.storage {
            bound.buffer.used.set(self.epoch);
        }
        let encoder = self
            .encoder
            .get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        if let Some(profile) = &mut self.profile {
            self.pass = None;
            let writes = profile.next(dispatch.kernel.name(), dispatch.cost);
            let descriptor = wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: writes,
            };
            self.pass = Some(encoder.begin_compute_pass(&descriptor).forget_lifetime());
            self.counts.passes += 1;
        }
        let pass = self.pass.get_or_insert_with(|| {
            self.counts.passes += 1;
            encoder
                .begin_compute_pass(&Default::default())
                .forget_lifetime()
        });
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[offset as u32]);
        pass.dispatch_workgroups(x as u32, y as u32, z as u32);
        self.dispatches += 1;
        self.counts.dispatches += 1;
        self.flops += dispatch.cost.flops;
        let full = self.profile.as_ref().is_some_and(Profile::is_full);
        if self.dispatches >= MOST_DISPATCHES || self.flops > self.most_flops || full {
            self.submit();
        }
        Ok(())
    }

    /// Copies the beginning of a buffer to another when all that is recorded has run.
    pub fn copy_out(&mut self, from: &Buffer, to: &wgpu::Buffer, bytes: u64) {
        self.pass = None;
        let encoder = self
            .encoder
            .get_or_insert_with(|| self.device.create_command_encoder(&Default::default()));
        encoder.copy_buffer_to_buffer(&from.raw, 0, to, 0, bytes);
    }

    /// Hands all that is recorded to the GPU.
    pub fn submit(&mut self) {
        self.pass = None;
        let Some(mut encoder) = self.encoder.take() else {
            return;
        };
        if let Some(profile) = &mut self.profile {
            profile.resolve(&mut encoder);
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        if !self.uniforms.is_empty() {
            self.queue
                .write_buffer(&self.uniform_buffer.raw, 0, &self.uniforms);
        }
        if !self.lists.is_empty() {
            self.queue
                .write_buffer(&self.list_buffer.raw, 0, &self.lists);
        }
        self.queue.submit([encoder.finish()]);
        self.counts.submissions += 1;
        self.scopes.push(Box::pin(scope.pop()));
        self.uniforms.clear();
        self.lists.clear();
        self.dispatches = 0;
        self.flops = 0.0;
        self.epoch += 1;
    }

    /// Forgets bind groups where buffers were dropped for good, which they would keep.
    pub fn tidy(&mut self, pool: &Pool, pipelines: &Pipelines) {
        if self.drops != pool.drops() {
            self.drops = pool.drops();
            pipelines.forget_groups();
        }
    }

    /// What tells whether submissions were valid; to be awaited before their results are used.
    pub fn take_scopes(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.scopes)
    }
}
