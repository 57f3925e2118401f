//! Compiled kernels and the bind groups they ran with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU64;

use crate::buffers::Buffer;
use crate::kernels::{Bindings, Kernel};

/// Bytes of a kernel's uniforms at most.
pub const UNIFORM_BYTES: u64 = 64;
/// Bind groups kept before all of them are forgotten.
const MOST_GROUPS: usize = 8192;

/// A part of a buffer that a kernel sees.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// The buffer.
    pub buffer: &'a Buffer,
    /// Where the part begins.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
}

impl<'a> Bound<'a> {
    /// All of a buffer.
    pub fn whole(buffer: &'a Buffer) -> Self {
        Bound {
            buffer,
            offset: 0,
            size: buffer.raw.size(),
        }
    }
}

/// Pipelines by kernel, bind groups by buffers.
#[derive(Debug, Default)]
pub struct Pipelines {
    layouts: RefCell<HashMap<Bindings, (wgpu::BindGroupLayout, wgpu::PipelineLayout)>>,
    pipelines: RefCell<HashMap<Kernel, wgpu::ComputePipeline>>,
    groups: RefCell<HashMap<Key, wgpu::BindGroup>>,
}

/// Which buffers are bound where: id, offset and size of each.
type Key = (Bindings, Vec<(u64, u64, u64)>);

impl Pipelines {
    /// The kernel, compiled once.
    pub fn pipeline(&self, device: &wgpu::Device, kernel: Kernel) -> wgpu::ComputePipeline {
        if let Some(pipeline) = self.pipelines.borrow().get(&kernel) {
            return pipeline.clone();
        }
        let (_, layout) = self.layout(device, kernel.bindings());
        let source = wgpu::ShaderSource::Wgsl(kernel.source().into());
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(kernel.name()),
            source,
        };
        let checks = wgpu::ShaderRuntimeChecks {
            force_loop_bounding: false,
            ..wgpu::ShaderRuntimeChecks::checked()
        };
        // SAFETY: Indices stay checked; what is left out is a counter in every loop that would stop
        // an endless one, and every loop of ours counts up or down to a bound.
        let module = unsafe { device.create_shader_module_trusted(descriptor, checks) };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name()),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        self.pipelines.borrow_mut().insert(kernel, pipeline.clone());
        pipeline
    }

    fn layout(
        &self,
        device: &wgpu::Device,
        bindings: Bindings,
    ) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        let mut layouts = self.layouts.borrow_mut();
        let entry = layouts.entry(bindings).or_insert_with(|| {
            let entry = |binding: usize, ty, has_dynamic_offset, min_binding_size| {
                wgpu::BindGroupLayoutEntry {
                    binding: binding as u32,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty,
                        has_dynamic_offset,
                        min_binding_size,
                    },
                    count: None,
                }
            };
            let mut entries = vec![entry(
                0,
                wgpu::BufferBindingType::Uniform,
                true,
                NonZeroU64::new(UNIFORM_BYTES),
            )];
            for index in 0..bindings.read + bindings.written {
                let read_only = index < bindings.read;
                let ty = wgpu::BufferBindingType::Storage { read_only };
                entries.push(entry(1 + index, ty, false, None));
            }
            let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            });
            let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&group)],
                immediate_size: 0,
            });
            (group, pipeline)
        });
        entry.clone()
    }

    /// Uniforms and storage buffers bound together, made once for the same ones.
    pub fn group(
        &self,
        device: &wgpu::Device,
        bindings: Bindings,
        uniforms: &Buffer,
        storage: &[Bound<'_>],
    ) -> wgpu::BindGroup {
        let mut key: Vec<_> = vec![(uniforms.id, 0, 0)];
        key.extend(storage.iter().map(|b| (b.buffer.id, b.offset, b.size)));
        let key = (bindings, key);
        if let Some(group) = self.groups.borrow().get(&key) {
            return group.clone();
        }
        let (layout, _) = self.layout(device, bindings);
        let bind = |binding: usize, buffer, offset, size| wgpu::BindGroupEntry {
            binding: binding as u32,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: NonZeroU64::new(size),
            }),
        };
        let mut entries = vec![bind(0, &uniforms.raw, 0, UNIFORM_BYTES)];
        for (index, bound) in storage.iter().enumerate() {
            entries.push(bind(1 + index, &bound.buffer.raw, bound.offset, bound.size));
        }
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout,
            entries: &entries,
        });
        let mut groups = self.groups.borrow_mut();
        if groups.len() >= MOST_GROUPS {
            groups.clear();
        }
        groups.insert(key, group.clone());
        group
    }

    /// Forgets bind groups, which keep their buffers alive.
    pub fn forget_groups(&self) {
        self.groups.borrow_mut().clear();
    }
}
