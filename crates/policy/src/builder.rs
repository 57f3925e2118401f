//! Policies built in Rust, through the same checks as a document.

use crate::document::{CategoryChange, Document};
use crate::error::PolicyError;
use crate::policy::{Mode, Policy};
use crate::taxonomy::Base;

/// Rules of a policy's own for one category.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    should_not: Vec<String>,
    can: Vec<String>,
}

impl Rules {
    /// No rules yet.
    pub fn new() -> Rules {
        Rules::default()
    }

    /// Adds what content should not do, e.g. `Contain content of people gambling.`
    #[must_use]
    pub fn should_not(mut self, rule: impl Into<String>) -> Rules {
        self.should_not.push(rule.into());
        self
    }

    /// Adds what content can do.
    #[must_use]
    pub fn can(mut self, rule: impl Into<String>) -> Rules {
        self.can.push(rule.into());
        self
    }
}

/// Collects changes to a base taxonomy. A later change of the same aspect of a category replaces
/// the earlier one; all is checked by [`PolicyBuilder::build`].
#[derive(Debug, Clone)]
pub struct PolicyBuilder {
    document: Document,
}

impl PolicyBuilder {
    pub(crate) fn new(base: Base) -> PolicyBuilder {
        PolicyBuilder {
            document: Document {
                base,
                ..Document::default()
            },
        }
    }

    pub(crate) fn from_document(document: Document) -> PolicyBuilder {
        PolicyBuilder { document }
    }

    /// Names the policy, for people; the base's title otherwise.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> PolicyBuilder {
        self.document.name = Some(name.into());
        self
    }

    /// Says which version of the policy this is, for people.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> PolicyBuilder {
        self.document.version = Some(version.into());
        self
    }

    /// Sets how a category is treated; its title and rules stay as they are, except that
    /// [`Mode::Removed`] drops them, and with them an added category.
    #[must_use]
    pub fn mode(mut self, id: &str, mode: Mode) -> PolicyBuilder {
        let of_base = self.document.base.taxonomy().category(id).is_some();
        let known = self.document.changes.iter().any(|(other, _)| other == id);
        if mode == Mode::Removed && known && !of_base {
            return self.reset(id);
        }
        self.change(id).mode = Some(mode);
        self
    }

    /// Gives a category of the base another title.
    #[must_use]
    pub fn title(mut self, id: &str, title: impl Into<String>) -> PolicyBuilder {
        let of_base = self.document.base.taxonomy().category(id).is_some();
        let change = self.change(id);
        change.title = Some(title.into());
        if of_base && change.mode.is_none() && !change.has_rules() {
            change.mode = Some(Mode::Default);
        }
        self
    }

    /// Gives a category rules in place of the base's, and puts them into force.
    #[must_use]
    pub fn rules(mut self, id: &str, rules: Rules) -> PolicyBuilder {
        let change = self.change(id);
        change.should_not = rules.should_not;
        change.can = rules.can;
        change.mode = None;
        self
    }

    /// Adds a category, e.g. `O10`, or replaces title and rules of one the base has.
    #[must_use]
    pub fn add(mut self, id: &str, title: impl Into<String>, rules: Rules) -> PolicyBuilder {
        *self.change(id) = CategoryChange {
            mode: None,
            title: Some(title.into()),
            should_not: rules.should_not,
            can: rules.can,
        };
        self
    }

    /// Takes back every change made to a category; an added one disappears.
    #[must_use]
    pub fn reset(mut self, id: &str) -> PolicyBuilder {
        self.document.changes.retain(|(other, _)| other != id);
        self
    }

    /// Checks and composes.
    ///
    /// # Errors
    /// Whatever [`Policy::from_json`] would say about the same policy as a document.
    pub fn build(self) -> Result<Policy, PolicyError> {
        Policy::from_document(self.document)
    }

    fn change(&mut self, id: &str) -> &mut CategoryChange {
        let changes = &mut self.document.changes;
        let at = changes
            .iter()
            .position(|(other, _)| other == id)
            .unwrap_or_else(|| {
                changes.push((id.to_owned(), CategoryChange::default()));
                changes.len() - 1
            });
        &mut changes[at].1
    }
}
