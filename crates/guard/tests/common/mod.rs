//! Small random models saved by transformers, converted and loaded for the tests.
#![allow(dead_code)]

pub mod goldens;

use std::cell::Cell;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use llavaguard_backend::{Cancelled, Control, DType, Device, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_gpu::{GpuDevice, Options, Wanted, adapters};
use llavaguard_guard::{Engine, Event, ImageInput, Watcher};
use llavaguard_model::convert::{ConvertOptions, convert};
use llavaguard_model::gguf::FileSource;

pub fn parity_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity")
}

/// Loads the checkpoint `tests/parity/models/<name>`, converted to `quant`.
pub fn engine(name: &str, quant: DType, threads: usize) -> Engine<CpuDevice> {
    engine_on(CpuDevice::new(Some(threads)).unwrap(), name, quant)
}

/// Likewise on any device.
pub fn engine_on<D: Device>(device: D, name: &str, quant: DType) -> Engine<D> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    let checkpoint = parity_folder().join("models").join(name);
    let options = ConvertOptions::new(quant);
    convert(&checkpoint, &file, &options, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    load_on(device, &file)
}

/// The GPU of this machine, or software in its stead; there must be one of them.
pub fn gpu(extras: Wanted) -> GpuDevice {
    let adapter = block_on(adapters()).into_iter().next();
    let adapter = adapter.expect("no Vulkan adapter; Debian's mesa-vulkan-drivers has one");
    let options = Options {
        adapter: Some(adapter.name),
        extras,
        ..Options::default()
    };
    block_on(GpuDevice::new(&options)).unwrap()
}

pub fn load(file: &Path, threads: usize) -> Engine<CpuDevice> {
    load_on(CpuDevice::new(Some(threads)).unwrap(), file)
}

pub fn load_on<D: Device>(device: D, file: &Path) -> Engine<D> {
    let mut source = FileSource::open(file).unwrap();
    block_on(Engine::load(device, &mut source, &Watch::default())).unwrap()
}

/// A photograph-like image of any size, as RGBA: smooth waves with a seam, so that every tile differs.
pub struct TestImage {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

impl TestImage {
    pub fn new(width: u32, height: u32) -> Self {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let wave =
                    |a: f32, b: f32| (127.5 + 127.5 * (a * x as f32 + b * y as f32).sin()) as u8;
                let seam = if x > y { 40 } else { 0 };
                pixels.extend([
                    wave(0.11, 0.05),
                    wave(0.02, 0.13) ^ seam,
                    wave(0.3, 0.2),
                    255,
                ]);
            }
        }
        TestImage {
            width,
            height,
            pixels,
        }
    }

    pub fn input(&self) -> ImageInput<'_> {
        ImageInput::Rgba {
            width: self.width,
            height: self.height,
            pixels: &self.pixels,
        }
    }
}

/// Counts checkpoints, and stops at one of them where asked to.
#[derive(Default)]
pub struct Watch {
    pub seen: Cell<usize>,
    pub stop_at: Option<usize>,
    pub events: std::cell::RefCell<Vec<Event>>,
}

impl Watch {
    pub fn stopping_at(checkpoint: usize) -> Self {
        Watch {
            stop_at: Some(checkpoint),
            ..Watch::default()
        }
    }
}

impl Control for Watch {
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>> {
        let stop = self.stop_at == Some(self.seen.get());
        self.seen.set(self.seen.get() + 1);
        Box::pin(std::future::ready(if stop {
            Err(Cancelled)
        } else {
            Ok(())
        }))
    }
}

impl Watcher for Watch {
    fn now_ms(&self) -> f64 {
        self.seen.get() as f64
    }

    fn on_event(&self, event: Event) {
        self.events.borrow_mut().push(event);
    }
}
