//! The golden case of a model file that was just written.

use std::fs;
use std::path::Path;

use llavaguard_backend::block_on;
use llavaguard_cpu::CpuDevice;
use llavaguard_model::gguf::FileSource;
use llavaguard_model::{ModelError, self_test};

use crate::failure::Failure;
use crate::input;
use crate::progress::Progress;

/// Computes on the CPU what the model's self-test comes to, and puts it into the file. Where that fails
/// the file is removed, as where its writing fails.
pub fn add(out: &Path, progress: &Progress) -> Result<(), Failure> {
    progress.about("self-test");
    let result = compute(out, progress);
    progress.clear();
    if result.is_err() {
        // What went wrong is told already.
        let _ = fs::remove_file(out);
    }
    result
}

fn compute(out: &Path, progress: &Progress) -> Result<(), Failure> {
    let mut source = FileSource::open(out).map_err(|error| input::model_failure(&error))?;
    let device = CpuDevice::new(None).map_err(ModelError::from)?;
    match block_on(self_test::compute(&device, &mut source, progress))? {
        None => Ok(()),
        Some(test) => {
            Ok(self_test::record(out, &test)
                .map_err(llavaguard_model::convert::ConvertError::from)?)
        }
    }
}
