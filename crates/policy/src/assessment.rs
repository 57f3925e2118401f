//! What comes out: the assessment of one image under one policy.

use serde::{Deserialize, Serialize};

use crate::answer::Category;

/// The published JSON Schema (draft 2020-12) of a serialised [`Assessment`].
pub const ASSESSMENT_SCHEMA: &str = include_str!("../schema/assessment.schema.json");

/// Whether content complies with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rating {
    /// It does.
    Safe,
    /// It violates it.
    Unsafe,
}

impl Rating {
    /// `Safe` or `Unsafe`.
    pub fn name(self) -> &'static str {
        match self {
            Rating::Safe => "Safe",
            Rating::Unsafe => "Unsafe",
        }
    }
}

/// The assessment of one image under one policy. Its JSON form is the same for the library, the
/// command line and the browser; fields may be added within a version, never change meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Version of the form, always 1.
    pub version: AssessmentVersion,
    /// Whether the image complies with the policy.
    pub rating: Rating,
    /// The category the image belongs to, whatever the rating; id `NA` if none.
    pub category: Category,
    /// Why, in the model's words; absent if none was asked for.
    pub rationale: Option<String>,
    /// Whether the rationale was cut at the bound on its tokens.
    pub rationale_truncated: bool,
    /// Probability of `Unsafe` against `Safe`, from the two logits after the forced beginning of
    /// the answer; in [0, 1].
    pub unsafe_probability: f32,
    /// Probability of each category against the others, given the rating, in the order of the
    /// policy; they add up to 1.
    pub category_probabilities: Vec<CategoryProbability>,
    /// Id of the policy: [`crate::Policy::policy_id`].
    pub policy_id: String,
    /// Name of the policy.
    pub policy_name: String,
    /// Id of the model file.
    pub model_id: String,
    /// How closely the image was looked at.
    pub detail: DetailUsed,
    /// Tokens read and written.
    pub tokens: TokenCounts,
    /// Where the time went.
    pub timings_ms: Timings,
}

/// The version of the form, 1; other numbers are refused when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct AssessmentVersion;

impl From<AssessmentVersion> for u32 {
    fn from(_: AssessmentVersion) -> u32 {
        1
    }
}

impl TryFrom<u32> for AssessmentVersion {
    type Error = String;

    fn try_from(version: u32) -> Result<AssessmentVersion, String> {
        match version {
            1 => Ok(AssessmentVersion),
            other => Err(format!(
                "assessments of version {other} are not known here, only 1"
            )),
        }
    }
}

/// How probable a category is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryProbability {
    /// Id of the category.
    pub id: String,
    /// Full name of the category.
    pub name: String,
    /// In [0, 1].
    pub probability: f32,
}

/// How closely to look at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// The whole image once, scaled to one tile.
    Low,
    /// Tiles within a budget that fits the device.
    #[default]
    Auto,
    /// Tiles exactly as in training (anyres_max_9).
    High,
}

impl Detail {
    /// Every level, coarse to fine.
    pub const ALL: [Detail; 3] = [Detail::Low, Detail::Auto, Detail::High];

    /// The name on the command line and in JSON, e.g. `auto`.
    pub fn name(self) -> &'static str {
        match self {
            Detail::Low => "low",
            Detail::Auto => "auto",
            Detail::High => "high",
        }
    }

    /// The level of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Detail> {
        Detail::ALL.into_iter().find(|detail| detail.name() == name)
    }
}

/// How closely an image was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailUsed {
    /// The level asked for.
    pub level: Detail,
    /// Tiles that went through the vision tower, the base image included.
    pub tiles: u32,
    /// Visual tokens the language model read.
    pub visual_tokens: u32,
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Visual tokens.
    pub visual: u32,
    /// Text tokens of the prompt.
    pub prompt: u32,
    /// Tokens chosen by the model; those the skeleton forces are not counted.
    pub generated: u32,
}

/// Where the time went, in milliseconds. A stage that was not needed (a second policy on the same
/// image) took 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timings {
    /// Decoding the image file.
    pub decode_image: f64,
    /// Resizing and tiling.
    pub preprocess: f64,
    /// Vision tower and projector.
    pub vision: f64,
    /// Language model over image and prompt.
    pub prefill: f64,
    /// Rating and category.
    pub verdict: f64,
    /// Rationale.
    pub rationale: f64,
    /// From the call to the result.
    pub total: f64,
}
