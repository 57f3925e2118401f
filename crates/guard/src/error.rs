//! Everything that can keep an image from being judged.

use llavaguard_backend::{Cancelled, DeviceError};
use llavaguard_model::ModelError;
use llavaguard_policy::PolicyError;
use llavaguard_vision::{AnyresError, ImageError};

/// Why no assessment could be given. None of these means "Safe".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image cannot be cut into tiles.
    #[error(transparent)]
    Anyres(#[from] AnyresError),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The model cannot be loaded or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An option is out of its range.
    #[error("{0}")]
    Option(String),
    /// The network's output is not made of numbers, so nothing can be read from it.
    #[error(
        "the model's output is not a number ({what}); the model file is damaged or the device computes wrongly, so the image was not judged"
    )]
    NotANumber {
        /// Which output.
        what: &'static str,
    },
}

impl Error {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Image(error) => error.code(),
            Error::Anyres(error) => error.code(),
            Error::Policy(error) => error.code(),
            Error::Model(error) => error.code(),
            Error::Option(_) => "engine.bad_option",
            Error::NotANumber { .. } => "engine.not_a_number",
        }
    }

    /// Whether the caller stopped it, rather than anything being wrong.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Model(ModelError::Cancelled(_)))
    }
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        Error::Model(error.into())
    }
}

impl From<Cancelled> for Error {
    fn from(error: Cancelled) -> Self {
        Error::Model(error.into())
    }
}
