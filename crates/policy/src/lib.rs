//! Safety policies, the prompts made from them, and assessments.
//!
//! A [`Policy`] starts from one of the published taxonomies ([`Base`]) and changes single
//! categories: declared non-violating or sensitive, given rules or a title of their own,
//! removed, added. It is written as a JSON document ([`POLICY_SCHEMA`]) or built in Rust
//! ([`Policy::builder`]); both ways go through the same checks.
//!
//! From a policy come, in this order:
//! 1. [`Policy::prompt_text`], byte for byte the text the models were trained on where nothing
//!    was changed;
//! 2. the chat turns around it ([`ChatWrapping`]) as [`Segment`]s, so that whoever tokenises
//!    them never has to look for special tokens inside text a user wrote;
//! 3. [`Policy::answer_skeleton`], the fixed parts of the answer and the choices between them;
//! 4. [`Policy::policy_id`], which says under what rules an [`Assessment`] was made.
//!
//! [`parse_free_text`] reads answers that were not decoded under the skeleton, the way
//! LlavaGuard's own evaluation does.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod assessment;
mod builder;
mod compose;
mod document;
mod error;
mod free_text;
mod json_tree;
mod policy;
mod presets;
mod prompt;
mod python_escapes;
mod python_literal;
mod suggest;
mod taxonomy;
mod text;

pub use answer::{AnswerSkeleton, AnswerTemplate, Category, NOT_APPLICABLE, json_escape_ascii};
pub use assessment::{
    ASSESSMENT_SCHEMA, Assessment, AssessmentVersion, CategoryProbability, Detail, DetailUsed,
    Rating, Timings, TokenCounts,
};
pub use builder::{PolicyBuilder, Rules};
pub use document::POLICY_SCHEMA;
pub use error::PolicyError;
pub use free_text::{Parsed, category_matches, parse_free_text, parse_free_text_as};
pub use policy::{Mode, Policy, PolicyCategory};
pub use presets::{PRESETS, Preset};
pub use prompt::{ChatWrapping, SYSTEM_MESSAGE, Segment};
pub use taxonomy::{Base, BaseCategory, Taxonomy};
pub use text::{
    MAX_CATEGORIES, MAX_DOCUMENT_BYTES, MAX_NAME_CHARS, MAX_PROMPT_BYTES, MAX_RULE_CHARS,
    MAX_RULES, MAX_TITLE_CHARS, MAX_VERSION_CHARS,
};
