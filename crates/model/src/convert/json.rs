//! Settings out of a JSON file, with errors that say where.

use std::path::Path;

use serde_json::Value;

use super::error::ConvertError;

/// An object of a JSON file and the way to it.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    file: &'a Path,
    /// `""` at the root, else ending in a dot: `text_config.`.
    prefix: &'a str,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// The root of a file.
    pub fn root(file: &'a Path, value: &'a Value) -> Self {
        Node {
            file,
            prefix: "",
            value,
        }
    }

    /// An object below, `prefix` being its path and a dot; as if empty where it is absent.
    pub fn below(self, key: &str, prefix: &'a str) -> Self {
        static NULL: Value = Value::Null;
        Node {
            file: self.file,
            prefix,
            value: self.raw(key).unwrap_or(&NULL),
        }
    }

    /// The value of a key; `None` where it is absent or null.
    pub fn raw(self, key: &str) -> Option<&'a Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    /// An error about a key.
    pub fn wrong(self, key: &str, expected: impl Into<String>) -> ConvertError {
        let found = self.raw(key).map_or_else(|| "absent".to_owned(), short);
        self.error(key, found, expected)
    }

    /// An error about a key, with words for what is there.
    pub fn error(self, key: &str, found: String, expected: impl Into<String>) -> ConvertError {
        let key = format!("{}{key}", self.prefix);
        ConvertError::Config {
            path: self.file.to_owned(),
            key,
            found,
            expected: expected.into(),
        }
    }

    /// A positive whole number, at most `limit`.
    pub fn size(
        self,
        key: &str,
        limit: usize,
        default: Option<usize>,
    ) -> Result<usize, ConvertError> {
        let Some(value) = self.raw(key) else {
            return default.ok_or_else(|| self.wrong(key, "it is needed"));
        };
        value
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| (1..=limit).contains(size))
            .ok_or_else(|| self.wrong(key, format!("a whole number from 1 to {limit} is needed")))
    }

    /// A positive number.
    pub fn positive(self, key: &str, default: f64) -> Result<f32, ConvertError> {
        let value = self
            .raw(key)
            .map_or(Some(default), Value::as_f64)
            .map(|x| x as f32);
        value
            .filter(|x| x.is_finite() && *x > 0.0)
            .ok_or_else(|| self.wrong(key, "a positive number is needed"))
    }

    /// A string.
    pub fn text(self, key: &str, default: &'a str) -> Result<&'a str, ConvertError> {
        self.raw(key)
            .map_or(Some(default), Value::as_str)
            .ok_or_else(|| self.wrong(key, "a string is needed"))
    }

    /// True or false; `None` where it is not said.
    pub fn flag(self, key: &str) -> Result<Option<bool>, ConvertError> {
        self.raw(key)
            .map(|value| {
                value
                    .as_bool()
                    .ok_or_else(|| self.wrong(key, "true or false is needed"))
            })
            .transpose()
    }

    /// Refuses any other value of a key than `only`, where the key is there at all.
    pub fn only(self, key: &str, only: &Value) -> Result<(), ConvertError> {
        match self.raw(key) {
            Some(value) if value != only => {
                Err(self.wrong(key, format!("only {only} is supported")))
            }
            _ => Ok(()),
        }
    }
}

/// A value in words short enough for an error message.
fn short(value: &Value) -> String {
    const LIMIT: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
