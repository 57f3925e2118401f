//! Compiled kernels and the bind groups they ran with.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroU64;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::buffers::Buffer;
use crate::kernels::{Bindings, Kernel};

/// Bytes of a kernel's uniforms at most.
pub const UNIFORM_BYTES: u64 = 64;
/// Threads that compile at most.
#[cfg(not(target_arch = "wasm32"))]
const COMPILERS: usize = 4;
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
    compiled: Arc<Compiled>,
    groups: RefCell<HashMap<Key, wgpu::BindGroup>>,
    groups_made: Cell<u64>,
    #[cfg(not(target_arch = "wasm32"))]
    compilers: RefCell<Vec<std::thread::JoinHandle<()>>>,
}

/// Which buffers are bound where: id, offset and size of each.
type Key = (Bindings, Vec<(u64, u64, u64)>);

type Layouts = (wgpu::BindGroupLayout, wgpu::PipelineLayout);

/// What is compiled, natively by several threads.
#[derive(Debug, Default)]
struct Compiled {
    layouts: Mutex<HashMap<Bindings, Layouts>>,
    pipelines: Mutex<HashMap<Kernel, Arc<OnceLock<wgpu::ComputePipeline>>>>,
    /// Set where nothing more is to be compiled ahead.
    #[cfg(not(target_arch = "wasm32"))]
    ended: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Compiled {
    /// The kernel, compiled once; who asks for one that is being compiled waits for it.
    fn pipeline(&self, device: &wgpu::Device, kernel: Kernel) -> wgpu::ComputePipeline {
        let slot = locked(&self.pipelines).entry(kernel).or_default().clone();
        slot.get_or_init(|| self.compile(device, kernel)).clone()
    }

    fn compile(&self, device: &wgpu::Device, kernel: Kernel) -> wgpu::ComputePipeline {
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
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
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
        })
    }

    fn layout(&self, device: &wgpu::Device, bindings: Bindings) -> Layouts {
        let mut layouts = locked(&self.layouts);
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
}

impl Pipelines {
    /// Bind groups that were made.
    pub fn groups_made(&self) -> u64 {
        self.groups_made.get()
    }

    /// The kernel, compiled once.
    pub fn pipeline(&self, device: &wgpu::Device, kernel: Kernel) -> wgpu::ComputePipeline {
        self.compiled.pipeline(device, kernel)
    }

    /// Compiles kernels beside what the caller does next: natively by threads of their own, in a
    /// browser it is the browser that does so.
    pub fn prepare(&self, device: &wgpu::Device, kernels: Vec<Kernel>) {
        #[cfg(target_arch = "wasm32")]
        for kernel in kernels {
            self.pipeline(device, kernel);
        }
        #[cfg(not(target_arch = "wasm32"))]
        self.compile_beside(device, kernels);
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn compile_beside(&self, device: &wgpu::Device, kernels: Vec<Kernel>) {
        let kernels = Arc::new(kernels);
        let next = Arc::new(AtomicUsize::new(0));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores.div_ceil(2).min(COMPILERS) {
            let (compiled, device) = (self.compiled.clone(), device.clone());
            let (kernels, next) = (kernels.clone(), next.clone());
            let compiler = std::thread::Builder::new().name("llavaguard-compiler".to_owned());
            let spawned = compiler.spawn(move || {
                while !compiled.ended.load(Ordering::Relaxed)
                    && let Some(kernel) = kernels.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    compiled.pipeline(&device, *kernel);
                }
            });
            // Without a thread each kernel is compiled when it is used first.
            self.compilers.borrow_mut().extend(spawned);
        }
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
        let (layout, _) = self.compiled.layout(device, bindings);
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
        self.groups_made.set(self.groups_made.get() + 1);
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

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Pipelines {
    fn drop(&mut self) {
        // A driver must not be unloaded while it compiles.
        self.compiled.ended.store(true, Ordering::Relaxed);
        for compiler in self.compilers.borrow_mut().drain(..) {
            // One that panicked has compiled less, and that was noticed where it was needed.
            let _ = compiler.join();
        }
    }
}
