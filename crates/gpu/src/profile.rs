//! How long each kernel takes, by the GPU's own clock.

use std::collections::BTreeMap;

use crate::recorder::Cost;

/// Dispatches timed in one submission.
const MOST: u32 = 1024;

/// Times of kernels: every dispatch has a pass of its own while this is on, which costs a little.
#[derive(Debug)]
pub struct Profile {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readable: wgpu::Buffer,
    /// Nanoseconds of a tick.
    period: f64,
    pending: Vec<(&'static str, Cost)>,
    kernels: BTreeMap<&'static str, KernelTime>,
    device: wgpu::Device,
    outstanding: Option<Vec<(&'static str, Cost)>>,
}

/// What a kernel took in all.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelTime {
    /// How often it ran.
    pub runs: usize,
    /// Seconds.
    pub seconds: f64,
    /// Additions and multiplications.
    pub flops: f64,
    /// Bytes it had to read and write at least.
    pub bytes: f64,
}

impl Profile {
    /// Begins to measure; the device needs `TIMESTAMP_QUERY`.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2 * MOST,
        });
        let size = u64::from(2 * MOST) * 8;
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        use wgpu::BufferUsages as Usage;
        Profile {
            queries,
            resolved: buffer(Usage::QUERY_RESOLVE | Usage::COPY_SRC),
            readable: buffer(Usage::COPY_DST | Usage::MAP_READ),
            period: f64::from(queue.get_timestamp_period()),
            pending: Vec::new(),
            kernels: BTreeMap::new(),
            device: device.clone(),
            outstanding: None,
        }
    }

    /// Where the next dispatch writes its times.
    pub fn next(
        &mut self,
        name: &'static str,
        cost: Cost,
    ) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let index = 2 * self.pending.len() as u32;
        self.pending.push((name, cost));
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(index),
            end_of_pass_write_index: Some(index + 1),
        })
    }

    /// Whether what is recorded has to be submitted before more.
    pub fn is_full(&self) -> bool {
        self.pending.len() as u32 >= MOST
    }

    /// Copies the times out when the recording has run.
    pub fn resolve(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.collect();
        if self.pending.is_empty() {
            return;
        }
        let count = 2 * self.pending.len() as u32;
        encoder.resolve_query_set(&self.queries, 0..count, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readable, 0, u64::from(count) * 8);
        self.outstanding = Some(std::mem::take(&mut self.pending));
    }

    /// Waits for the last submission's times and adds them up.
    pub fn collect(&mut self) {
        let Some(dispatches) = self.outstanding.take() else {
            return;
        };
        let bytes = dispatches.len() as u64 * 16;
        let slice = self.readable.slice(0..bytes);
        slice.map_async(wgpu::MapMode::Read, |_| {});
        if self
            .device
            .poll(wgpu::PollType::wait_indefinitely())
            .is_err()
        {
            return;
        }
        if let Ok(view) = slice.get_mapped_range() {
            let ticks: Vec<u64> = view
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| u64::from_le_bytes(*bytes))
                .collect();
            for ((name, cost), pair) in dispatches.iter().zip(ticks.as_chunks::<2>().0) {
                let time = self.kernels.entry(name).or_default();
                time.runs += 1;
                time.seconds += pair[1].saturating_sub(pair[0]) as f64 * self.period * 1e-9;
                time.flops += cost.flops;
                time.bytes += cost.bytes;
            }
        }
        self.readable.unmap();
    }

    /// What was measured, by kernel.
    pub fn finish(mut self) -> BTreeMap<&'static str, KernelTime> {
        self.collect();
        self.kernels
    }
}
