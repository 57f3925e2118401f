//! What can be wrong with a policy.

use thiserror::Error;

/// Why a policy was refused. Messages say what was wrong, where and what to do; what they quote
/// from the document is shortened and escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is not JSON.
    #[error(
        "the policy is not valid JSON at line {line}, column {column}: {reason}. Correct the \
         document there."
    )]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 where the parser knows none.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// The document is larger than any policy can be.
    #[error(
        "the policy document has {bytes} bytes, more than the {limit} allowed. Shorten it, or \
         check that it is a policy at all."
    )]
    DocumentTooLarge {
        /// Size of the document in bytes.
        bytes: usize,
        /// Largest size allowed.
        limit: usize,
    },
    /// A value has another JSON type than its place takes.
    #[error("{} must be {expected}, not {found}. Change its type.", name(.place))]
    WrongType {
        /// JSON path; empty for the document itself.
        place: String,
        /// What the place takes.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// An object has a key that means nothing.
    #[error("{} has the unknown key `{key}`. {}", name(.place), hint(.suggestion, "Remove it"))]
    UnknownKey {
        /// JSON path of the object; empty for the document itself.
        place: String,
        /// The key.
        key: String,
        /// The key that was probably meant.
        suggestion: Option<String>,
    },
    /// An object has the same key twice.
    #[error("{} has the key `{key}` twice. Keep one.", name(.place))]
    DuplicateKey {
        /// JSON path of the object; empty for the document itself.
        place: String,
        /// The key.
        key: String,
    },
    /// A category is given twice.
    #[error("the category {id} is given twice ({}). Keep one.", name(.place))]
    DuplicateId {
        /// JSON path of the category.
        place: String,
        /// Its id.
        id: String,
    },
    /// The base taxonomy does not exist.
    #[error(
        "`base` names the unknown taxonomy `{found}`. {}",
        hint(.suggestion, "Use llavaguard-v1.2, llavaguard-v1.1, llavaguard-v1.0 or llavaguard-eu")
    )]
    UnknownBase {
        /// What the document says.
        found: String,
        /// The base that was probably meant.
        suggestion: Option<String>,
    },
    /// A category's mode does not exist, or is not possible at this place.
    #[error("{} has the unknown mode `{found}`. {}", name(.place), hint(.suggestion, .expected))]
    UnknownMode {
        /// JSON path.
        place: String,
        /// What the document says.
        found: String,
        /// What to use, as a sentence without its full stop.
        expected: &'static str,
        /// The mode that was probably meant.
        suggestion: Option<String>,
    },
    /// A mode is given to a category that the base does not have.
    #[error(
        "{} is not a category of {base}. {}",
        name(.place),
        hint(.suggestion, "To add it, give it a title and rules")
    )]
    UnknownCategory {
        /// JSON path of the category.
        place: String,
        /// Title of the base.
        base: &'static str,
        /// The id that was probably meant.
        suggestion: Option<String>,
    },
    /// A category's id has another form than one to three capitals and a number.
    #[error(
        "{} is not a category id. {}",
        name(.place),
        hint(.suggestion, "Use one to three capital letters and a number up to 999, as in O10")
    )]
    InvalidId {
        /// JSON path of the category.
        place: String,
        /// The id that was probably meant.
        suggestion: Option<String>,
    },
    /// An added category has no title.
    #[error(
        "{} adds a category without a title. {}",
        name(.place),
        hint(.suggestion, "Give it a `title`")
    )]
    MissingTitle {
        /// JSON path of the category.
        place: String,
        /// The category of the base that was probably meant.
        suggestion: Option<String>,
    },
    /// A category has neither rules nor a mode.
    #[error(
        "{} has no rules. List some under `should_not` or `can`, or give a `mode` to a category \
         of the base.",
        name(.place)
    )]
    EmptyCategory {
        /// JSON path of the category.
        place: String,
    },
    /// A text is empty or blank.
    #[error("{} is empty. Write something there or remove it.", name(.place))]
    EmptyText {
        /// JSON path.
        place: String,
    },
    /// A text is too long.
    #[error("{} has {chars} characters, more than the {limit} allowed. Shorten it.", name(.place))]
    TextTooLong {
        /// JSON path.
        place: String,
        /// Length in characters.
        chars: usize,
        /// Largest length allowed.
        limit: usize,
    },
    /// A category has too many rules.
    #[error(
        "{} has {count} rules, more than the {limit} allowed. Join or remove some.",
        name(.place)
    )]
    TooManyRules {
        /// JSON path of the category.
        place: String,
        /// Number of rules, both lists together.
        count: usize,
        /// Largest number allowed.
        limit: usize,
    },
    /// The policy has too many categories.
    #[error(
        "the policy has {count} categories, more than the {limit} allowed. Remove or join some."
    )]
    TooManyCategories {
        /// Number of categories.
        count: usize,
        /// Largest number allowed.
        limit: usize,
    },
    /// Every category has been removed.
    #[error(
        "the policy has no category left for an answer to name, so nothing could be judged. Keep \
         or add at least one."
    )]
    NoCategories,
    /// A text contains a marker that means something to a chat model.
    #[error(
        "{} contains `{marker}`, which can mark a chat turn or an image. Remove it.",
        name(.place)
    )]
    ChatMarker {
        /// JSON path.
        place: String,
        /// The marker.
        marker: &'static str,
    },
    /// A text contains a control character or a line break.
    #[error(
        "{} contains the control character U+{:04X} at character {position}. A text is one line: \
         remove it.",
        name(.place),
        u32::from(*.character)
    )]
    ControlCharacter {
        /// JSON path.
        place: String,
        /// The character.
        character: char,
        /// Its place in the text, from 0.
        position: usize,
    },
    /// A text contains a character that is not seen, or changes the direction of others.
    #[error(
        "{} contains the invisible character U+{:04X} at character {position}, which can hide or \
         reorder text. Remove it.",
        name(.place),
        u32::from(*.character)
    )]
    InvisibleCharacter {
        /// JSON path.
        place: String,
        /// The character.
        character: char,
        /// Its place in the text, from 0.
        position: usize,
    },
    /// A title contains a character that the answer's list of categories is made with.
    #[error(
        "{} contains `{character}`, which the list of categories is written with. Use another \
         character.",
        name(.place)
    )]
    ForbiddenCharacter {
        /// JSON path of the title.
        place: String,
        /// The character.
        character: char,
    },
    /// The composed prompt is too long for a model to read beside an image.
    #[error(
        "the prompt of this policy has {bytes} bytes, more than the {limit} allowed. Shorten or \
         remove rules."
    )]
    PromptTooLong {
        /// Length of the prompt in bytes.
        bytes: usize,
        /// Largest length allowed.
        limit: usize,
    },
    /// The base's answers cannot be decoded under a skeleton.
    #[error(
        "answers to {base} put their decision behind free text, so they cannot be decoded rating \
         first. Base the policy on llavaguard-v1.2, or parse the model's free text."
    )]
    UndecodableAnswer {
        /// Title of the base.
        base: &'static str,
    },
}

impl PolicyError {
    /// A stable code, e.g. `policy.unknown_key`.
    pub fn code(&self) -> &'static str {
        match self {
            PolicyError::NotJson { .. } => "policy.not_json",
            PolicyError::DocumentTooLarge { .. } => "policy.document_too_large",
            PolicyError::WrongType { .. } => "policy.wrong_type",
            PolicyError::UnknownKey { .. } => "policy.unknown_key",
            PolicyError::DuplicateKey { .. } => "policy.duplicate_key",
            PolicyError::DuplicateId { .. } => "policy.duplicate_id",
            PolicyError::UnknownBase { .. } => "policy.unknown_base",
            PolicyError::UnknownMode { .. } => "policy.unknown_mode",
            PolicyError::UnknownCategory { .. } => "policy.unknown_category",
            PolicyError::InvalidId { .. } => "policy.invalid_id",
            PolicyError::MissingTitle { .. } => "policy.missing_title",
            PolicyError::EmptyCategory { .. } => "policy.empty_category",
            PolicyError::EmptyText { .. } => "policy.empty_text",
            PolicyError::TextTooLong { .. } => "policy.text_too_long",
            PolicyError::TooManyRules { .. } => "policy.too_many_rules",
            PolicyError::TooManyCategories { .. } => "policy.too_many_categories",
            PolicyError::NoCategories => "policy.no_categories",
            PolicyError::ChatMarker { .. } => "policy.chat_marker",
            PolicyError::ControlCharacter { .. } => "policy.control_character",
            PolicyError::InvisibleCharacter { .. } => "policy.invisible_character",
            PolicyError::ForbiddenCharacter { .. } => "policy.forbidden_character",
            PolicyError::PromptTooLong { .. } => "policy.prompt_too_long",
            PolicyError::UndecodableAnswer { .. } => "policy.undecodable_answer",
        }
    }

    /// The JSON path of the place that is wrong, e.g. `categories.O6.can[2]`; empty for the
    /// document itself, `None` where the error is about the policy as a whole.
    pub fn place(&self) -> Option<&str> {
        match self {
            PolicyError::UnknownBase { .. } => Some("base"),
            PolicyError::WrongType { place, .. }
            | PolicyError::UnknownKey { place, .. }
            | PolicyError::DuplicateKey { place, .. }
            | PolicyError::DuplicateId { place, .. }
            | PolicyError::UnknownMode { place, .. }
            | PolicyError::UnknownCategory { place, .. }
            | PolicyError::InvalidId { place, .. }
            | PolicyError::MissingTitle { place, .. }
            | PolicyError::EmptyCategory { place }
            | PolicyError::EmptyText { place }
            | PolicyError::TextTooLong { place, .. }
            | PolicyError::TooManyRules { place, .. }
            | PolicyError::ChatMarker { place, .. }
            | PolicyError::ControlCharacter { place, .. }
            | PolicyError::InvisibleCharacter { place, .. }
            | PolicyError::ForbiddenCharacter { place, .. } => Some(place),
            PolicyError::NotJson { .. }
            | PolicyError::DocumentTooLarge { .. }
            | PolicyError::TooManyCategories { .. }
            | PolicyError::NoCategories
            | PolicyError::PromptTooLong { .. }
            | PolicyError::UndecodableAnswer { .. } => None,
        }
    }
}

fn name(place: &str) -> String {
    if place.is_empty() {
        "the policy".to_owned()
    } else {
        format!("`{place}`")
    }
}

fn hint(suggestion: &Option<String>, otherwise: &str) -> String {
    match suggestion {
        Some(suggestion) => format!("Did you mean `{suggestion}`?"),
        None => format!("{otherwise}."),
    }
}
