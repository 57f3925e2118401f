//! Reading files, bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use llavaguard_policy::{MAX_DOCUMENT_BYTES, Policy, PolicyError};
use llavaguard_vision::{ImageError, Limits};

use crate::args::PolicyArgs;
use crate::failure::Failure;
use crate::interrupt;

/// Codes of a kind of input that could not be read.
struct Codes {
    not_found: &'static str,
    is_directory: &'static str,
    unreadable: &'static str,
}

const IMAGE: Codes = Codes {
    not_found: "image.not_found",
    is_directory: "image.is_directory",
    unreadable: "image.unreadable",
};
const POLICY: Codes = Codes {
    not_found: "policy.not_found",
    is_directory: "policy.is_directory",
    unreadable: "policy.unreadable",
};
const MODEL: Codes = Codes {
    not_found: "model.not_found",
    is_directory: "model.is_directory",
    unreadable: "model.unreadable",
};

/// Whether a path stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The bytes of an image file, never more than one beyond the limit.
pub fn image(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = Limits::default().max_bytes;
    let bytes = if is_stdin(path) {
        interrupt::while_blocked(|| bounded(&mut io::stdin().lock(), limit))
    } else {
        file(path, limit)
    };
    let bytes = bytes.map_err(|error| IMAGE.failure(&error))?;
    if bytes.len() as u64 > limit {
        let what = format!("over {limit} bytes");
        return Err(ImageError::TooLarge { what, limit }.into());
    }
    Ok(bytes)
}

/// The policy asked for, or the default.
pub fn policy(args: &PolicyArgs) -> Result<Policy, Failure> {
    args.policy
        .as_deref()
        .map_or_else(|| Ok(Policy::default()), policy_file)
}

/// A policy document.
pub fn policy_file(path: &Path) -> Result<Policy, Failure> {
    let read = || {
        let limit = MAX_DOCUMENT_BYTES as u64;
        let bytes = file(path, limit).map_err(|error| POLICY.failure(&error))?;
        if bytes.len() as u64 > limit {
            let limit = MAX_DOCUMENT_BYTES;
            return Err(PolicyError::DocumentTooLarge {
                bytes: bytes.len(),
                limit,
            }
            .into());
        }
        let json = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::new(
                "policy.not_utf8",
                format!("the policy is not UTF-8 text at byte {at}. Save it as UTF-8."),
            )
        })?;
        Ok(Policy::from_json(&json)?)
    };
    read().map_err(|failure: Failure| failure.about(path.display()))
}

/// What to say about a model file that cannot be opened.
pub fn model_failure(error: &io::Error) -> Failure {
    MODEL.failure(error)
}

impl Codes {
    fn failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(self.not_found, "there is no such file. Check the path.")
            }
            io::ErrorKind::IsADirectory => Failure::new(
                self.is_directory,
                "this is a folder. Give the files in it, for instance folder/*.",
            ),
            _ => Failure::new(
                self.unreadable,
                format!("it cannot be read: {error}. Check the file."),
            ),
        }
    }
}

fn file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Opening and reading may wait where the file is a pipe.
    interrupt::while_blocked(|| {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        bounded(&mut file, limit)
    })
}

/// All bytes, or `limit + 1` of them where there are more: devices such as /dev/zero never end.
fn bounded(source: &mut dyn Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_input_is_cut() {
        assert_eq!(bounded(&mut io::repeat(7), 10).unwrap(), [7; 11]);
        assert_eq!(bounded(&mut [1, 2].as_slice(), 10).unwrap(), [1, 2]);
    }
}
