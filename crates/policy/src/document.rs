//! The policy document: strict reading and canonical writing.

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::PolicyError;
use crate::json_tree::Tree;
use crate::policy::Mode;
use crate::suggest::nearest;
use crate::taxonomy::Base;
use crate::text::MAX_DOCUMENT_BYTES;

/// The published JSON Schema (draft 2020-12) of a policy document. It expresses all that JSON
/// Schema can; doubled keys, the length of the prompt, and whether an id belongs to the base are
/// left to [`crate::Policy::from_json`].
pub const POLICY_SCHEMA: &str = include_str!("../schema/policy.schema.json");

const DOCUMENT_KEYS: [&str; 5] = ["$schema", "base", "name", "version", "categories"];
const CATEGORY_KEYS: [&str; 4] = ["mode", "title", "should_not", "can"];

/// What a policy changes about one category.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CategoryChange {
    /// How the category is treated; none means by its rules ([`Mode::Default`]).
    pub(crate) mode: Option<Mode>,
    /// A title in place of the base's, or that of an added category.
    pub(crate) title: Option<String>,
    /// Rules of the policy's own, "should not".
    pub(crate) should_not: Vec<String>,
    /// Rules of the policy's own, "can".
    pub(crate) can: Vec<String>,
}

impl CategoryChange {
    /// Whether the change brings rules of its own.
    pub(crate) fn has_rules(&self) -> bool {
        !self.should_not.is_empty() || !self.can.is_empty()
    }
}

/// A policy document, read but not yet checked against its base.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Document {
    pub(crate) base: Base,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    /// In the order given.
    pub(crate) changes: Vec<(String, CategoryChange)>,
}

impl Document {
    pub(crate) fn read(json: &str) -> Result<Document, PolicyError> {
        if json.len() > MAX_DOCUMENT_BYTES {
            return Err(PolicyError::DocumentTooLarge {
                bytes: json.len(),
                limit: MAX_DOCUMENT_BYTES,
            });
        }
        // Editors on some systems begin a file with a byte order mark.
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let tree: Tree = serde_json::from_str(json).map_err(not_json)?;
        let mut document = Document::default();
        for (key, value) in object(tree, "")? {
            check_key(&key, &DOCUMENT_KEYS, "")?;
            match key.as_str() {
                "base" => document.base = read_base(string(value, "base")?)?,
                "name" => document.name = Some(string(value, "name")?),
                "version" => document.version = Some(string(value, "version")?),
                "categories" => document.changes = read_categories(value)?,
                // `$schema` is for editors; nothing is fetched from it.
                _ => drop(string(value, "$schema")?),
            }
        }
        Ok(document)
    }

    /// Canonical JSON: only what differs from the base, categories in order, two spaces.
    pub(crate) fn write(
        base: Base,
        name: Option<&str>,
        version: Option<&str>,
        changes: &BTreeMap<CategoryId, CategoryChange>,
    ) -> String {
        let written = Written {
            base: base.id(),
            name,
            version,
            categories: InOrder(changes),
        };
        // Strings and their lists always serialise.
        serde_json::to_string_pretty(&written).unwrap_or_default() + "\n"
    }
}

/// A document on its way out, its keys in the order they are written in.
#[derive(Serialize)]
struct Written<'a> {
    base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "InOrder::is_empty")]
    categories: InOrder<'a>,
}

/// Changes by id. A [`serde_json::Map`] would sort them as text, O10 before O4.
struct InOrder<'a>(&'a BTreeMap<CategoryId, CategoryChange>);

impl InOrder<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, change)| (id.to_string(), change)))
    }
}

impl Serialize for CategoryChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.title.is_none() && !self.has_rules() {
            return serializer.serialize_str(self.mode.unwrap_or_default().name());
        }
        let mut map = serializer.serialize_map(None)?;
        if let Some(mode) = self.mode {
            map.serialize_entry("mode", mode.name())?;
        }
        if let Some(title) = &self.title {
            map.serialize_entry("title", title)?;
        }
        for (key, rules) in [("should_not", &self.should_not), ("can", &self.can)] {
            if !rules.is_empty() {
                map.serialize_entry(key, rules)?;
            }
        }
        map.end()
    }
}

/// A category's id, taken apart so that O10 comes after O9.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CategoryId {
    letters: String,
    number: u16,
}

impl CategoryId {
    /// One to three capital letters and a number from 1 to 999 without leading zeros.
    pub(crate) fn parse(id: &str) -> Option<CategoryId> {
        let digits = id.find(|c: char| c.is_ascii_digit())?;
        let (letters, number) = id.split_at(digits);
        let well_formed = (1..=3).contains(&letters.len())
            && letters.bytes().all(|b| b.is_ascii_uppercase())
            && (1..=3).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
            && !number.starts_with('0');
        let number = number.parse().ok().filter(|_| well_formed)?;
        Some(CategoryId {
            letters: letters.to_owned(),
            number,
        })
    }
}

impl std::fmt::Display for CategoryId {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}{}", self.letters, self.number)
    }
}

/// The place of a category in the document.
pub(crate) fn category_place(id: &str) -> String {
    if !id.is_empty() && id.len() <= 8 && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        format!("categories.{id}")
    } else {
        format!("categories[\"{}\"]", quote(id))
    }
}

/// Text from the document, fit for a message: escaped, at most 40 characters.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        quoted.push('…');
    }
    quoted
}

fn read_base(found: String) -> Result<Base, PolicyError> {
    Base::from_id(&found).ok_or_else(|| PolicyError::UnknownBase {
        suggestion: nearest(&found, Base::ALL.map(Base::id)),
        found: quote(&found),
    })
}

fn read_categories(tree: Tree) -> Result<Vec<(String, CategoryChange)>, PolicyError> {
    let Tree::Object(entries) = tree else {
        return Err(wrong_type(
            tree,
            "an object of categories by id",
            "categories",
        ));
    };
    if let Some(id) = first_double(&entries) {
        return Err(PolicyError::DuplicateId {
            place: category_place(&id),
            id: quote(&id),
        });
    }
    entries
        .into_iter()
        .map(|(id, value)| {
            let place = category_place(&id);
            read_change(value, &place).map(|change| (id, change))
        })
        .collect()
}

fn read_change(tree: Tree, place: &str) -> Result<CategoryChange, PolicyError> {
    match tree {
        Tree::String(mode) => Ok(CategoryChange {
            mode: Some(read_mode(&mode, place, true)?),
            ..Default::default()
        }),
        Tree::Object(_) => {
            let mut change = CategoryChange::default();
            for (key, value) in object(tree, place)? {
                check_key(&key, &CATEGORY_KEYS, place)?;
                let place = format!("{place}.{key}");
                match key.as_str() {
                    "mode" => {
                        change.mode = Some(read_mode(&string(value, &place)?, &place, false)?);
                    }
                    "title" => change.title = Some(string(value, &place)?),
                    "should_not" => change.should_not = strings(value, &place)?,
                    _ => change.can = strings(value, &place)?,
                }
            }
            Ok(change)
        }
        other => Err(wrong_type(other, "a mode or an object with rules", place)),
    }
}

/// A mode by name. Removing is for the short form only: a removed category has nothing to say.
fn read_mode(found: &str, place: &str, removable: bool) -> Result<Mode, PolicyError> {
    let possible = || {
        Mode::ALL
            .into_iter()
            .filter(|mode| removable || *mode != Mode::Removed)
    };
    possible()
        .find(|mode| mode.name() == found)
        .ok_or_else(|| PolicyError::UnknownMode {
            place: place.to_owned(),
            found: quote(found),
            expected: if removable {
                "Use default, non_violating, sensitive or removed"
            } else {
                "Use default, non_violating or sensitive"
            },
            suggestion: nearest(found, possible().map(Mode::name)),
        })
}

fn object(tree: Tree, place: &str) -> Result<Vec<(String, Tree)>, PolicyError> {
    let Tree::Object(entries) = tree else {
        return Err(wrong_type(tree, "an object", place));
    };
    match first_double(&entries) {
        Some(key) => Err(PolicyError::DuplicateKey {
            place: place.to_owned(),
            key: quote(&key),
        }),
        None => Ok(entries),
    }
}

fn first_double(entries: &[(String, Tree)]) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    entries
        .iter()
        .map(|(key, _)| key)
        .find(|key| !seen.insert(key.as_str()))
        .cloned()
}

fn check_key(key: &str, known: &[&'static str], place: &str) -> Result<(), PolicyError> {
    if known.contains(&key) {
        return Ok(());
    }
    Err(PolicyError::UnknownKey {
        place: place.to_owned(),
        key: quote(key),
        suggestion: nearest(key, known.iter().copied()),
    })
}

fn string(tree: Tree, place: &str) -> Result<String, PolicyError> {
    match tree {
        Tree::String(text) => Ok(text),
        other => Err(wrong_type(other, "a string", place)),
    }
}

fn strings(tree: Tree, place: &str) -> Result<Vec<String>, PolicyError> {
    match tree {
        Tree::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(at, item)| string(item, &format!("{place}[{at}]")))
            .collect(),
        other => Err(wrong_type(other, "a list of rules", place)),
    }
}

fn wrong_type(tree: Tree, expected: &'static str, place: &str) -> PolicyError {
    PolicyError::WrongType {
        place: place.to_owned(),
        expected,
        found: tree.kind(),
    }
}

fn not_json(error: serde_json::Error) -> PolicyError {
    let full = error.to_string();
    // The place is given beside the reason, not in it.
    let reason = full
        .rsplit_once(" at line ")
        .map_or(full.as_str(), |(reason, _)| reason);
    PolicyError::NotJson {
        line: error.line(),
        column: error.column(),
        reason: reason.to_owned(),
    }
}
