//! `llavaguard trace`: every stage of one image's way through the network, in a file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use llavaguard_backend::{Device, block_on};
use llavaguard_guard::{ImageInput, Trace};
use safetensors::tensor::{Dtype, View, serialize_to_file};

use crate::args::{DeviceKind, Trace as Args};
use crate::failure::Failure;
use crate::model_file::Load;
use crate::progress::Progress;
use crate::{input, interrupt, model_file, output};

/// Runs the image and writes the stages.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    match args.model.device {
        DeviceKind::Cpu => run_on(args, model_file::load_on_cpu),
        DeviceKind::Gpu => run_on(args, model_file::load_on_gpu),
    }
}

fn run_on<D: Device>(args: &Args, load: Load<D>) -> Result<ExitCode, Failure> {
    let policy = input::policy(&args.policy)?;
    let image = input::image(&args.image).map_err(|failure| failure.about(args.image.display()))?;
    let progress = Progress::new();
    let engine = load(&args.model, &progress)?;
    progress.about(&args.image.to_string_lossy());
    let image = ImageInput::Encoded(&image);
    let trace = block_on(engine.trace(image, &policy, args.detail.detail, &progress));
    progress.clear();
    let trace = trace.map_err(|error| Failure::from(error).about(args.image.display()))?;
    let about = HashMap::from([
        ("model_id".to_owned(), engine.info().model_id),
        ("policy_id".to_owned(), policy.policy_id().to_owned()),
        ("detail".to_owned(), args.detail.detail.name().to_owned()),
    ]);
    if interrupt::requested() {
        return Err(Failure::cancelled());
    }
    write(&trace, about, &args.out)?;
    output::print(&format!(
        "{}: {} tiles, {} visual tokens, {} prompt tokens, greedy {:?}\n",
        output::printable(&args.out.to_string_lossy()),
        trace.tiles,
        trace.visual_tokens.len() / trace.language_width,
        trace.prompt_ids.len(),
        trace.greedy_ids,
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes beside `out` and renames, so that `out` is never half a file.
fn write(trace: &Trace, about: HashMap<String, String>, out: &Path) -> Result<(), Failure> {
    serialize_to_file(stages(trace), Some(about), out).map_err(|error| {
        let message = format!("{} cannot be written: {error}", out.display());
        Failure::new("output.not_writable", message)
    })
}

fn stages(trace: &Trace) -> [(&'static str, Stage<'_>); 7] {
    let Trace {
        tiles,
        side,
        patches,
        vision_width,
        language_width,
        ..
    } = *trace;
    let visual_tokens = trace.visual_tokens.len() / language_width;
    let stage = |shape: &[usize], values| Stage {
        shape: shape.to_vec(),
        values,
    };
    [
        (
            "pixel_values",
            stage(&[tiles, 3, side, side], Values::F32(&trace.pixel_values)),
        ),
        (
            "vision_features",
            stage(
                &[tiles, patches, vision_width],
                Values::F32(&trace.vision_features),
            ),
        ),
        (
            "projected",
            stage(
                &[tiles, patches, language_width],
                Values::F32(&trace.projected),
            ),
        ),
        (
            "visual_tokens",
            stage(
                &[visual_tokens, language_width],
                Values::F32(&trace.visual_tokens),
            ),
        ),
        (
            "prompt_ids",
            stage(&[trace.prompt_ids.len()], Values::Ids(&trace.prompt_ids)),
        ),
        (
            "logits",
            stage(&[trace.logits.len()], Values::F32(&trace.logits)),
        ),
        (
            "greedy_ids",
            stage(&[trace.greedy_ids.len()], Values::Ids(&trace.greedy_ids)),
        ),
    ]
}

/// A tensor of the file.
struct Stage<'a> {
    shape: Vec<usize>,
    values: Values<'a>,
}

#[derive(Clone, Copy)]
enum Values<'a> {
    F32(&'a [f32]),
    /// Written as i64, which is what index tensors are in PyTorch.
    Ids(&'a [u32]),
}

impl View for Stage<'_> {
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::F32(_) => Dtype::F32,
            Values::Ids(_) => Dtype::I64,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.values {
            Values::F32(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::Ids(ids) => ids
                .iter()
                .flat_map(|id| i64::from(*id).to_le_bytes())
                .collect(),
        }
    }

    fn data_len(&self) -> usize {
        match self.values {
            Values::F32(values) => values.len() * 4,
            Values::Ids(ids) => ids.len() * 8,
        }
    }
}
