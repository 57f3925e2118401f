//! What a caller asks for, and what it is told on the way.

use llavaguard_backend::Control;
use llavaguard_policy::{Category, Detail, Policy, Rating};

use crate::sampling::Sampling;

/// How an image is to be judged.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The rules.
    pub policy: Policy,
    /// How much of the image is looked at. A session's was fixed when it was opened.
    pub detail: Detail,
    /// Whether and how the rationale is written.
    pub rationale: Rationale,
}

/// Whether and how the rationale is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rationale {
    /// Rating, category and probabilities only.
    None,
    /// With a rationale.
    Write {
        /// How its tokens are chosen.
        sampling: Sampling,
        /// Its length in tokens at most (1 to 2,048).
        max_tokens: usize,
    },
}

/// LlavaGuard's evaluation allows 500 tokens for the whole answer.
pub const DEFAULT_RATIONALE_TOKENS: usize = 500;
/// Longest rationale that can be asked for.
pub const MAX_RATIONALE_TOKENS: usize = 2048;

impl Default for Rationale {
    fn default() -> Self {
        Rationale::Write {
            sampling: Sampling::Greedy,
            max_tokens: DEFAULT_RATIONALE_TOKENS,
        }
    }
}

/// An image as the caller has it.
#[derive(Debug, Clone, Copy)]
pub enum ImageInput<'a> {
    /// A file's bytes: PNG, JPEG, WebP, GIF or BMP.
    Encoded(&'a [u8]),
    /// Pixels, four bytes each (red, green, blue, alpha), row by row from the top.
    Rgba {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// `4 * width * height` bytes.
        pixels: &'a [u8],
    },
}

/// What the engine tells before the assessment is complete.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Rating and category stand; the rationale is still to come.
    Verdict {
        /// The rating.
        rating: Rating,
        /// The category.
        category: Category,
        /// Probability of `Unsafe`.
        unsafe_probability: f32,
    },
    /// The rationale goes on.
    RationaleText(String),
}

/// The caller's side of an assessment.
pub trait Watcher: Control {
    /// Milliseconds since some fixed moment. The engine has no clock of its own, since a browser's is
    /// reached through JavaScript.
    fn now_ms(&self) -> f64;

    /// Told as soon as it is known.
    fn on_event(&self, event: Event) {
        let _ = event;
    }
}
