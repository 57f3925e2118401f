//! The engine: an image and a policy go in, an [`Assessment`] comes out.
//!
//! [`Engine::open`] decodes an image, encodes it and prefills the part of the prompt that stands
//! before the policy; [`Engine::judge`] prefills a policy behind it and decodes the answer under its
//! grammar. [`Engine::assess`] does both for one image and one policy.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer_tree;
mod decode;
mod engine;
mod error;
mod golden;
mod json_string;
mod prompt;
mod request;
mod sampling;
mod session;
mod trace;

pub use engine::{AUTO_VISUAL_TOKENS, Engine, ModelInfo};
pub use error::Error;
pub use golden::{Golden, MAX_GOLDEN_BYTES, Verdict};
pub use llavaguard_policy::Assessment;
pub use llavaguard_vision::Limits;
pub use request::{
    DEFAULT_RATIONALE_TOKENS, Event, ImageInput, MAX_RATIONALE_TOKENS, Rationale, Request, Watcher,
};
pub use sampling::Sampling;
pub use session::{SESSION_ROOM, Session};
pub use trace::Trace;
