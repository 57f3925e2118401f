//! `llavaguard`: judges images against a written safety policy, on this machine.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod commands;
mod failure;
mod input;
mod interrupt;
mod model_file;
mod output;
mod progress;

use std::process::ExitCode;

use crate::args::Command;
use crate::failure::{CANCELLED, Failure};

fn main() -> ExitCode {
    // Leaves with 0 after --help and --version, and with 2 where the arguments are wrong.
    let cli = args::parse();
    output::set_up_colours();
    match interrupt::listen().and_then(|()| run(&cli.command)) {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(if failure.code == CANCELLED {
                interrupt::EXIT_CODE
            } else {
                1
            })
        }
    }
}

fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Assess(args) => commands::assess::run(args),
        Command::Prompt(args) => commands::prompt::run(args),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Convert(args) => commands::convert::run(args),
        Command::Synth(args) => commands::synth::run(args),
        Command::Golden(args) => commands::golden::run(args),
        Command::Trace(args) => commands::trace::run(args),
        Command::Bench(args) => commands::bench::run(args),
        Command::Manifest(args) => commands::manifest::run(args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Policy(command) => commands::policy::run(command),
    }
}
