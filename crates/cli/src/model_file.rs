//! The model to use: a file, or the demo model inside this program.

use std::path::Path;

use llavaguard_backend::block_on;
use llavaguard_cpu::CpuDevice;
use llavaguard_guard::Engine;
use llavaguard_model::ModelError;
use llavaguard_model::gguf::{ByteSource, FileSource};

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::input;
use crate::progress::Progress;

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

/// Loads the model asked for.
pub fn load_engine(args: &ModelArgs, progress: &Progress) -> Result<Engine<CpuDevice>, Failure> {
    let mut file = ModelFile::open(args.model.as_deref())?;
    let device = CpuDevice::new(args.threads.map(usize::from)).map_err(ModelError::from)?;
    progress.about(file.name());
    let engine = block_on(Engine::load(device, file.source.as_mut(), progress));
    progress.clear();
    engine.map_err(|error| Failure::from(error).about(&file.name))
}
