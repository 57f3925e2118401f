//! `llavaguard policy`: check policy documents.

use std::path::Path;
use std::process::ExitCode;

use llavaguard_policy::{Mode, POLICY_SCHEMA, Policy};

use crate::args::PolicyCommand;
use crate::failure::Failure;
use crate::{input, output};

/// Checks every document named, or prints their schema.
pub fn run(command: &PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::Schema => output::print(POLICY_SCHEMA)?,
        PolicyCommand::Check { policies } => {
            let mut some_failed = false;
            for path in policies {
                match input::policy_file(path) {
                    Ok(policy) => output::print(&describe(path, &policy))?,
                    Err(failure) => {
                        some_failed = true;
                        output::complain(&failure);
                    }
                }
            }
            return Ok(ExitCode::from(u8::from(some_failed)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(path: &Path, policy: &Policy) -> String {
    let version = policy
        .version()
        .map_or(String::new(), |version| format!(", version {version}"));
    let mut text = format!(
        "{}\n  {}{version} (from {})\n  id {}\n",
        output::printable(&path.to_string_lossy()),
        output::printable(policy.name()),
        policy.base().title(),
        policy.policy_id(),
    );
    for category in policy.categories() {
        let mode = match category.mode {
            Mode::Default => "by its rules",
            Mode::NonViolating => "non-violating",
            Mode::Sensitive => "sensitive",
            Mode::Removed => "removed",
        };
        text.push_str(&format!("  {}: {} - {mode}\n", category.id, category.title));
    }
    text
}
