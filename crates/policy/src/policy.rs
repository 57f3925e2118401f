//! A policy: a taxonomy with changes, checked and composed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::answer::{AnswerSkeleton, Category, NOT_APPLICABLE};
use crate::builder::PolicyBuilder;
use crate::compose;
use crate::document::{CategoryChange, CategoryId, Document, category_place};
use crate::error::PolicyError;
use crate::suggest::nearest;
use crate::taxonomy::{Base, BaseCategory, Taxonomy};
use crate::text::{
    MAX_CATEGORIES, MAX_NAME_CHARS, MAX_PROMPT_BYTES, MAX_RULE_CHARS, MAX_RULES, MAX_VERSION_CHARS,
    check_line, check_title,
};

/// How a policy treats a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By its rules.
    #[default]
    Default,
    /// Declared non-violating: all its content is allowed. The policy exception of the paper, in
    /// the wording the models were trained on.
    NonViolating,
    /// Declared sensitive: none of its content is allowed. The authors' wording, but the v1.2
    /// models were not trained on it.
    Sensitive,
    /// Left out of the prompt and of the answers.
    Removed,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 4] = [
        Mode::Default,
        Mode::NonViolating,
        Mode::Sensitive,
        Mode::Removed,
    ];

    /// The name in a policy document, e.g. `non_violating`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Default => "default",
            Mode::NonViolating => "non_violating",
            Mode::Sensitive => "sensitive",
            Mode::Removed => "removed",
        }
    }
}

/// A category as a policy has it, removed ones excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCategory {
    /// Identifier, e.g. `O6`.
    pub id: String,
    /// Title in the heading.
    pub title: String,
    /// How it is treated; never [`Mode::Removed`].
    pub mode: Mode,
    /// Its rules, "should not", whatever the mode.
    pub should_not: Vec<String>,
    /// Its rules, "can".
    pub can: Vec<String>,
    /// The text below its heading in the prompt.
    pub text: String,
    /// Its full name in the answer's list; see [`BaseCategory::listed`] for why there may be
    /// none.
    pub listed: Option<String>,
}

/// A safety policy, ready for use: whatever a value of this type holds has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    base: Base,
    given_name: Option<String>,
    name: String,
    version: Option<String>,
    changes: BTreeMap<CategoryId, CategoryChange>,
    categories: Vec<PolicyCategory>,
    prompt_text: String,
    policy_id: String,
}

impl Default for Policy {
    /// LlavaGuard v1.2 as published.
    fn default() -> Policy {
        Policy::published(Base::default())
    }
}

impl Policy {
    /// A base as published, nothing changed.
    pub fn published(base: Base) -> Policy {
        Policy::compose(base, None, None, BTreeMap::new())
    }

    /// Starts a policy in Rust.
    pub fn builder(base: Base) -> PolicyBuilder {
        PolicyBuilder::new(base)
    }

    /// Reads a policy document strictly ([`crate::POLICY_SCHEMA`]).
    ///
    /// # Errors
    /// The first thing wrong with the document, and where.
    pub fn from_json(json: &str) -> Result<Policy, PolicyError> {
        Policy::from_document(Document::read(json)?)
    }

    /// Starts a policy from this one.
    pub fn to_builder(&self) -> PolicyBuilder {
        PolicyBuilder::from_document(Document {
            base: self.base,
            name: self.given_name.clone(),
            version: self.version.clone(),
            changes: self
                .changes
                .iter()
                .map(|(id, c)| (id.to_string(), c.clone()))
                .collect(),
        })
    }

    /// The policy as a canonical document: what is as in the base is left out, categories are in
    /// order. Reading it back gives an equal policy.
    pub fn to_json(&self) -> String {
        Document::write(
            self.base,
            self.given_name.as_deref(),
            self.version.as_deref(),
            &self.changes,
        )
    }

    /// The taxonomy it started from.
    pub fn base(&self) -> Base {
        self.base
    }

    /// Its name, for people: the one it was given, else its base's, with a word on changes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, for people.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The categories in the order of the prompt: the base's, then added ones by letters and
    /// number. Removed ones are not among them.
    pub fn categories(&self) -> &[PolicyCategory] {
        &self.categories
    }

    /// The policy as the model reads it, without image and chat turns. Unchanged bases give the
    /// published prompt less its `<image>` line.
    pub fn prompt_text(&self) -> &str {
        &self.prompt_text
    }

    /// SHA-256, in lower-case hexadecimal, over these bytes: `llavaguard-policy/1`, a newline,
    /// the prompt text, a zero byte, and the answer categories' full names in order, each
    /// followed by a newline. Name and version of the policy and the form of its document are not
    /// in it, so the same rules always have the same id.
    pub fn policy_id(&self) -> &str {
        &self.policy_id
    }

    /// The categories an answer can name, in the order of the prompt's list; the last one, with
    /// the id [`NOT_APPLICABLE`], is for content to which none applies.
    pub fn answer_categories(&self) -> Vec<Category> {
        answer_categories(self.base.taxonomy(), &self.categories)
    }

    /// The parts of an answer to this policy.
    ///
    /// # Errors
    /// [`PolicyError::UndecodableAnswer`] for policies based on v1.0, whose answers put the
    /// decision last.
    pub fn answer_skeleton(&self) -> Result<AnswerSkeleton, PolicyError> {
        match self.base.answer_template() {
            crate::AnswerTemplate::Rating => Ok(AnswerSkeleton::new(self.answer_categories())),
            crate::AnswerTemplate::Decision => Err(PolicyError::UndecodableAnswer {
                base: self.base.title(),
            }),
        }
    }

    pub(crate) fn from_document(document: Document) -> Result<Policy, PolicyError> {
        let Document {
            base,
            name,
            version,
            changes,
        } = document;
        let name = name
            .map(|text| check_line(&text, MAX_NAME_CHARS, "name"))
            .transpose()?;
        let version = version
            .map(|text| check_line(&text, MAX_VERSION_CHARS, "version"))
            .transpose()?;
        let mut checked = BTreeMap::new();
        for (id, change) in changes {
            let (id, change) = check_change(base, &id, change)?;
            if let Some(change) = change {
                checked.insert(id, change);
            }
        }
        let policy = Policy::compose(base, name, version, checked);
        policy.check_whole()?;
        Ok(policy)
    }

    fn compose(
        base: Base,
        given_name: Option<String>,
        version: Option<String>,
        changes: BTreeMap<CategoryId, CategoryChange>,
    ) -> Policy {
        let taxonomy = base.taxonomy();
        let name = match &given_name {
            Some(name) => name.clone(),
            None if changes.is_empty() => base.title().to_owned(),
            None => format!("{} with changes", base.title()),
        };
        let categories = compose::categories(base, &changes);
        let answers = answer_categories(taxonomy, &categories);
        let prompt_text = compose::prompt_text(taxonomy, &categories, &answers);
        let mut hash = Sha256::new();
        hash.update("llavaguard-policy/1\n");
        hash.update(&prompt_text);
        hash.update([0]);
        for category in &answers {
            hash.update(&category.name);
            hash.update("\n");
        }
        let policy_id = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Policy {
            base,
            given_name,
            name,
            version,
            changes,
            categories,
            prompt_text,
            policy_id,
        }
    }

    /// What can only be said about the policy as a whole.
    fn check_whole(&self) -> Result<(), PolicyError> {
        let count = self.categories.len();
        if count > MAX_CATEGORIES {
            return Err(PolicyError::TooManyCategories {
                count,
                limit: MAX_CATEGORIES,
            });
        }
        if self
            .categories
            .iter()
            .all(|category| category.listed.is_none())
        {
            return Err(PolicyError::NoCategories);
        }
        let bytes = self.prompt_text.len();
        if bytes > MAX_PROMPT_BYTES {
            return Err(PolicyError::PromptTooLong {
                bytes,
                limit: MAX_PROMPT_BYTES,
            });
        }
        Ok(())
    }
}

fn answer_categories(taxonomy: &Taxonomy, categories: &[PolicyCategory]) -> Vec<Category> {
    let listed = categories.iter().filter_map(|c| {
        Some(Category {
            id: c.id.clone(),
            name: c.listed.clone()?,
        })
    });
    let none = Category {
        id: NOT_APPLICABLE.into(),
        name: taxonomy.not_applicable.into(),
    };
    listed.chain([none]).collect()
}

/// Checks one change against its base. The change that comes back has its texts trimmed and is
/// `None` where nothing is changed.
fn check_change(
    base: Base,
    id: &str,
    change: CategoryChange,
) -> Result<(CategoryId, Option<CategoryChange>), PolicyError> {
    let place = category_place(id);
    let taxonomy = base.taxonomy();
    let suggestion = || nearest(id, taxonomy.categories.iter().map(|category| category.id));
    let Some(parsed) = CategoryId::parse(id) else {
        return Err(PolicyError::InvalidId {
            place,
            suggestion: suggestion(),
        });
    };
    let has_rules = change.has_rules();
    let of_base = taxonomy.category(id);
    if of_base.is_none() {
        // An id alone cannot be told from a slip; only with text of its own is it a new category.
        let mode_alone = change.title.is_none() && !has_rules && change.mode.is_some();
        if mode_alone || change.mode == Some(Mode::Removed) {
            let base = base.title();
            return Err(PolicyError::UnknownCategory {
                place,
                base,
                suggestion: suggestion(),
            });
        }
        if change.title.is_none() {
            return Err(PolicyError::MissingTitle {
                place,
                suggestion: suggestion(),
            });
        }
    }
    if change.mode == Some(Mode::Removed) {
        let removed = CategoryChange {
            mode: change.mode,
            ..CategoryChange::default()
        };
        return Ok((parsed, Some(removed)));
    }
    if !has_rules && (of_base.is_none() || change.mode.is_none()) {
        return Err(PolicyError::EmptyCategory { place });
    }
    let count = change.should_not.len() + change.can.len();
    if count > MAX_RULES {
        return Err(PolicyError::TooManyRules {
            place,
            count,
            limit: MAX_RULES,
        });
    }
    let title = match change.title {
        Some(title) => Some(check_title(&title, &format!("{place}.title"))?),
        None => None,
    };
    let change = CategoryChange {
        mode: change
            .mode
            .filter(|mode| !has_rules || *mode != Mode::Default),
        title: title.filter(|title| of_base.is_none_or(|category| renames(category, title))),
        should_not: check_rules(&change.should_not, &format!("{place}.should_not"))?,
        can: check_rules(&change.can, &format!("{place}.can"))?,
    };
    let nothing =
        change.title.is_none() && !has_rules && matches!(change.mode, None | Some(Mode::Default));
    Ok((parsed, (!nothing).then_some(change)))
}

/// Whether a title differs from what heading and list of the base say.
fn renames(category: &BaseCategory, title: &str) -> bool {
    category.title != title
        || category
            .listed
            .is_none_or(|listed| listed != format!("{}: {title}", category.id))
}

fn check_rules(rules: &[String], place: &str) -> Result<Vec<String>, PolicyError> {
    rules
        .iter()
        .enumerate()
        .map(|(at, rule)| check_line(rule, MAX_RULE_CHARS, &format!("{place}[{at}]")))
        .collect()
}
