//! The model to use: a file, or the demo model inside this program.

use std::path::Path;

use llavaguard_backend::{Device, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_gpu::{GpuDevice, Options, weights_bytes};
use llavaguard_guard::Engine;
use llavaguard_model::gguf::{ByteSource, FileSource, Gguf};
use llavaguard_model::{ModelConfig, ModelError, weight_formats};

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{input, output};

/// The demo model (`models/demo/MODEL_CARD.md`).
static DEMO: &[u8] = include_bytes!("../../../models/demo/llavaguard-demo-q8_0.gguf");

/// A model file, opened.
pub struct ModelFile {
    source: Box<dyn ByteSource>,
    name: String,
}

impl ModelFile {
    /// Opens a file, or the demo model where no path is given.
    pub fn open(path: Option<&Path>) -> Result<ModelFile, Failure> {
        let Some(path) = path else {
            return Ok(ModelFile {
                source: Box::new(DEMO),
                name: "the demo model".to_owned(),
            });
        };
        let name = path.display().to_string();
        let source =
            FileSource::open(path).map_err(|error| input::model_failure(&error).about(&name))?;
        Ok(ModelFile {
            source: Box::new(source),
            name,
        })
    }

    /// Its path, or what it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes.
    pub fn source(&mut self) -> &mut dyn ByteSource {
        self.source.as_mut()
    }
}

/// How an engine on some device is loaded.
pub type Load<D> = fn(&ModelArgs, &Progress) -> Result<Engine<D>, Failure>;

/// Loads the model asked for into the CPU device.
pub fn load_on_cpu(args: &ModelArgs, progress: &Progress) -> Result<Engine<CpuDevice>, Failure> {
    on_cpu(args.model.as_deref(), args.threads, progress)
}

/// Loads a model file, or the demo model, into the CPU device.
pub fn on_cpu(
    path: Option<&Path>,
    threads: Option<u16>,
    progress: &Progress,
) -> Result<Engine<CpuDevice>, Failure> {
    let mut file = ModelFile::open(path)?;
    let device = CpuDevice::new(threads.map(usize::from)).map_err(ModelError::from)?;
    load(device, &mut file, progress)
}

/// Loads the model asked for into a GPU, once it is clear that it fits there.
pub fn load_on_gpu(args: &ModelArgs, progress: &Progress) -> Result<Engine<GpuDevice>, Failure> {
    let mut file = ModelFile::open(args.model.as_deref())?;
    let gguf = Gguf::open(file.source.as_mut())
        .map_err(|error| Failure::from(ModelError::from(error)).about(&file.name))?;
    let config = ModelConfig::from_gguf(&gguf)
        .map_err(|error| Failure::from(ModelError::from(error)).about(&file.name))?;
    let options = Options {
        adapter: args.adapter.clone(),
        ..Options::default()
    };
    let device = block_on(GpuDevice::new(&options)).map_err(ModelError::from)?;
    let heads = [config.vision.head_dim(), config.language.head_dim];
    let (bytes, formats) = (weights_bytes(&gguf.sizes()), weight_formats(&gguf));
    block_on(device.admit(bytes, &formats, &heads)).map_err(ModelError::from)?;
    // Kernels are compiled while the weights are read.
    let engine = load(device, &mut file, progress)?;
    let agree = block_on(engine.device().self_test(&formats, &heads)).map_err(ModelError::from)?;
    if !agree {
        output::note(
            "This GPU's driver computes one row and many differently; one slower kernel serves both, \
             so that results stay the same.",
        );
    }
    if !block_on(engine.self_test(progress))
        .map_err(|error| Failure::from(error).about(&file.name))?
    {
        output::note(
            "This model file carries no self-test, so only the GPU's arithmetic was tested, not the \
             loaded model. Converting it again adds one.",
        );
    }
    // Not every file has a golden image: it has to be chosen for its model.
    block_on(engine.golden_test(progress))
        .map_err(|error| Failure::from(error).about(&file.name))?;
    progress.clear();
    Ok(engine)
}

fn load<D: Device>(
    device: D,
    file: &mut ModelFile,
    progress: &Progress,
) -> Result<Engine<D>, Failure> {
    progress.about(file.name());
    let engine = block_on(Engine::load(device, file.source.as_mut(), progress));
    progress.clear();
    engine.map_err(|error| Failure::from(error).about(&file.name))
}
