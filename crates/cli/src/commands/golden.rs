//! `llavaguard golden`: an image and what a model makes of it, put into the model's file.

use std::process::ExitCode;

use llavaguard_backend::block_on;
use llavaguard_model::convert::rewrite;

use crate::args;
use crate::commands::convert::written;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{input, model_file, output};

/// Judges the image on the CPU and writes the file anew.
pub fn run(args: &args::Golden) -> Result<ExitCode, Failure> {
    let name = args.image.display().to_string();
    let image = input::image(&args.image).map_err(|failure| failure.about(&name))?;
    let progress = Progress::new();
    let engine = model_file::on_cpu(Some(&args.model), args.threads, &progress)?;
    let golden = block_on(engine.golden_case(image, args.credit.clone(), &progress));
    progress.clear();
    let golden = golden.map_err(|error| Failure::from(error).about(&name))?;
    let write = |metadata: &mut _| golden.write(metadata);
    let result = rewrite(&args.model, write, &mut |step| {
        progress.about(step.tensor);
        written(&progress, step.done_bytes, step.total_bytes)
    });
    progress.clear();
    result?;
    let text = if args.json {
        output::json(&golden)?
    } else {
        format!(
            "{}: an image of {}, {}, {}, P(Unsafe) {:.3}, give or take {:.3}\n",
            output::printable(&args.model.to_string_lossy()),
            output::bytes(golden.image.len() as u64),
            golden.verdict.rating.name(),
            golden.verdict.category,
            golden.verdict.unsafe_probability,
            golden.tolerance,
        )
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
