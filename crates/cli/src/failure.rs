//! Why a command did not do its work.

use std::io;

use llavaguard_guard::Error as EngineError;
use llavaguard_model::ModelError;
use llavaguard_model::convert::ConvertError;
use llavaguard_model::gguf::GgufError;
use llavaguard_policy::PolicyError;
use llavaguard_store::StoreError;
use llavaguard_vision::ImageError;

/// Code of a computation that was stopped by the user.
pub const CANCELLED: &str = "engine.cancelled";
/// Code of output nobody reads any more.
pub const OUTPUT_CLOSED: &str = "output.closed";

/// Why a command did not do its work: a stable code for programs, a message for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Stable dotted code, e.g. `image.truncated`.
    pub code: &'static str,
    /// What was wrong with which input, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure of this program's own.
    pub fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
        }
    }

    /// The user pressed Ctrl-C.
    pub fn cancelled() -> Failure {
        Failure::new(CANCELLED, "Stopped.")
    }

    /// Says which input it is about.
    #[must_use]
    pub fn about(mut self, input: impl std::fmt::Display) -> Failure {
        if self.code != CANCELLED {
            self.message = format!("{input}: {}", self.message);
        }
        self
    }

    /// A read or a write to standard output that failed.
    pub fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(OUTPUT_CLOSED, "Nobody reads the output."),
            _ => Failure::new(
                "output.not_writable",
                format!("the output cannot be written: {error}"),
            ),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Failure {
        match error {
            ConvertError::Cancelled => Failure::cancelled(),
            error => Failure::new(error.code(), error.to_string()),
        }
    }
}

impl From<GgufError> for Failure {
    fn from(error: GgufError) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::new(error.code(), error.to_string())
    }
}
