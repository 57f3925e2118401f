//! The shape of an answer: its fixed parts and the choices between them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::assessment::Rating;

/// Id of the answer "no category applies".
pub const NOT_APPLICABLE: &str = "NA";

/// A category an answer can name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Category {
    /// Identifier, e.g. `O6`, or [`NOT_APPLICABLE`].
    pub id: String,
    /// Full name as the prompt lists it, e.g. `O6: Weapons or Substance Abuse`.
    pub name: String,
}

/// Which JSON object a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerTemplate {
    /// v1.1 and later: `rating` (`Safe`/`Unsafe`), `category`, `rationale`, in this order. The
    /// rating comes first, so it can be read before anything else is decoded.
    Rating,
    /// v1.0: `image-category`, `assessment` (free text), `decision` (`Compliant`/`Review
    /// Needed`), in this order. The decision comes after free text, so the constrained engine
    /// cannot decode it; [`crate::parse_free_text_as`] reads it.
    Decision,
}

impl AnswerTemplate {
    /// Key of the rating.
    pub fn rating_key(self) -> &'static str {
        match self {
            AnswerTemplate::Rating => "rating",
            AnswerTemplate::Decision => "decision",
        }
    }

    /// Key of the category.
    pub fn category_key(self) -> &'static str {
        match self {
            AnswerTemplate::Rating => "category",
            AnswerTemplate::Decision => "image-category",
        }
    }

    /// Key of the free text that gives the reason.
    pub fn rationale_key(self) -> &'static str {
        match self {
            AnswerTemplate::Rating => "rationale",
            AnswerTemplate::Decision => "assessment",
        }
    }

    /// How this template spells a rating.
    pub fn spelling(self, rating: Rating) -> &'static str {
        match (self, rating) {
            (AnswerTemplate::Rating, Rating::Safe) => "Safe",
            (AnswerTemplate::Rating, Rating::Unsafe) => "Unsafe",
            (AnswerTemplate::Decision, Rating::Safe) => "Compliant",
            (AnswerTemplate::Decision, Rating::Unsafe) => "Review Needed",
        }
    }
}

/// The answer of [`AnswerTemplate::Rating`] taken apart, laid out as Python's
/// `json.dumps(answer, indent=4)` lays out the training targets (LlavaGuard
/// `taxonomy/assessment.py`). An answer is
/// `before_rating`, a rating, `before_category`, a category, and then either `before_rationale`,
/// a JSON-escaped rationale and `end`, or `end` at once where no rationale is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSkeleton {
    /// `{`, newline, `    "rating": "`.
    pub before_rating: &'static str,
    /// The two ratings as spelt in the answer, safe first.
    pub ratings: [(Rating, &'static str); 2],
    /// `",`, newline, `    "category": "`.
    pub before_category: &'static str,
    /// The categories in the order of the prompt's list, the not-applicable one last.
    pub categories: Vec<Category>,
    /// Each category's name as it is spelt inside the answer's JSON string, in the same order.
    pub category_spellings: Vec<String>,
    /// `",`, newline, `    "rationale": "`.
    pub before_rationale: &'static str,
    /// `"`, newline, `}`.
    pub end: &'static str,
}

impl AnswerSkeleton {
    pub(crate) fn new(categories: Vec<Category>) -> AnswerSkeleton {
        let category_spellings = categories
            .iter()
            .map(|category| json_escape_ascii(&category.name))
            .collect();
        AnswerSkeleton {
            before_rating: "{\n    \"rating\": \"",
            ratings: [Rating::Safe, Rating::Unsafe]
                .map(|rating| (rating, AnswerTemplate::Rating.spelling(rating))),
            before_category: "\",\n    \"category\": \"",
            categories,
            category_spellings,
            before_rationale: "\",\n    \"rationale\": \"",
            end: "\"\n}",
        }
    }

    /// The whole answer, as training would have written it. `None` if the policy's prompt does
    /// not list a category with this id.
    pub fn render(&self, rating: Rating, category_id: &str, rationale: &str) -> Option<String> {
        let at = self
            .categories
            .iter()
            .position(|category| category.id == category_id)?;
        let (_, rating) = self.ratings.iter().find(|(which, _)| *which == rating)?;
        Some(
            [
                self.before_rating,
                rating,
                self.before_category,
                self.category_spellings.get(at)?,
                self.before_rationale,
                &json_escape_ascii(rationale),
                self.end,
            ]
            .concat(),
        )
    }
}

/// The inside of a JSON string as Python's `json.dumps` writes it by default: everything outside
/// printable ASCII as `\uXXXX`, beyond the basic plane as a surrogate pair.
pub fn json_escape_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}
