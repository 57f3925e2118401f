//! `llavaguard convert`: a Hugging Face checkpoint folder, or another model file, becomes a model file.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use llavaguard_model::config;
use llavaguard_model::convert::{ConvertOptions, convert};

use crate::args::{Chat, Convert, Rounding};
use crate::commands::self_test;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{interrupt, output};

/// Converts, and reports what was assumed and left out.
pub fn run(args: &Convert) -> Result<ExitCode, Failure> {
    refuse_to_replace(&args.out, args.force)?;
    let progress = Progress::new();
    let report = convert(&args.source, &args.out, &options(args), &mut |step| {
        progress.about(step.tensor);
        written(&progress, step.done_bytes, step.total_bytes)
    });
    progress.clear();
    let report = report?;
    self_test::add(&args.out, &progress)?;
    for note in &report.notes {
        output::note(&format!("note: {}", output::printable(note)));
    }
    let reasons: BTreeMap<&str, usize> =
        report
            .skipped
            .iter()
            .fold(BTreeMap::new(), |mut reasons, (_, reason)| {
                *reasons.entry(*reason).or_default() += 1;
                reasons
            });
    for (reason, count) in reasons {
        output::note(&format!("note: {count} tensors were left out: {reason}"));
    }
    let origin = match report.dialect {
        Some(dialect) => format!("a checkpoint named as by {}", dialect.describe()),
        None => "a model file".to_owned(),
    };
    output::print(&format!(
        "{}: {} tensors, {}, from {origin}\n",
        output::printable(&args.out.to_string_lossy()),
        report.tensors,
        output::bytes(report.bytes),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &Convert) -> ConvertOptions {
    ConvertOptions {
        vision_quant: args.quant.vision_quant,
        embedding_quant: args.quant.embedding_quant,
        wrapping: args.chat.map(|chat| match chat {
            Chat::Training => config::Wrapping::Training,
            Chat::Huggingface => config::Wrapping::HuggingFace,
        }),
        rounding: args.rounding.map(|rounding| match rounding {
            Rounding::Original => config::Rounding::Original,
            Rounding::Huggingface => config::Rounding::HuggingFace,
        }),
        prompt_template: args.prompt_template.clone(),
        name: args.name.clone(),
        license: args.license.clone(),
        vision_config: args.vision_config.clone(),
        ..ConvertOptions::new(args.quant.quant)
    }
}

/// An earlier file stays unless the user says otherwise.
pub fn refuse_to_replace(out: &Path, force: bool) -> Result<(), Failure> {
    if force || !out.exists() {
        return Ok(());
    }
    let message = format!(
        "{} exists already. Give another name, or --force.",
        out.display()
    );
    Err(Failure::new("output.exists", message))
}

/// Shows how much is written; stops where the user wants to.
pub fn written(progress: &Progress, done: u64, total: u64) -> ControlFlow<()> {
    progress.steps("writing", done, total);
    if interrupt::requested() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}
