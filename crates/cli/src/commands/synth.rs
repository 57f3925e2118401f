//! `llavaguard synth`: a model file with random weights.

use std::process::ExitCode;

use llavaguard_model::synth::{SynthOptions, synth};
use llavaguard_policy::{ChatWrapping, Policy};

use crate::args::Synth;
use crate::commands::convert::{refuse_to_replace, written};
use crate::commands::self_test;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;

/// Writes the model.
pub fn run(args: &Synth) -> Result<ExitCode, Failure> {
    refuse_to_replace(&args.out, args.force)?;
    let options = SynthOptions {
        vision_quant: args.quant.vision_quant,
        embedding_quant: args.quant.embedding_quant,
        seed: args.seed,
        tokenizer: args.tokenizer.clone(),
        // Benchmarks should read about as many tokens as with a real vocabulary.
        text: Some(ChatWrapping::Training.render(&Policy::default())),
        ..SynthOptions::new(args.config, args.quant.quant)
    };
    let progress = Progress::new();
    let report = synth(&args.out, &options, &mut |step| {
        progress.about(step.tensor);
        written(&progress, step.done_bytes, step.total_bytes)
    });
    progress.clear();
    let report = report?;
    self_test::add(&args.out, &progress)?;
    output::print(&format!(
        "{}: {} tensors, {}, random\n",
        output::printable(&args.out.to_string_lossy()),
        report.tensors,
        output::bytes(report.bytes),
    ))?;
    Ok(ExitCode::SUCCESS)
}
