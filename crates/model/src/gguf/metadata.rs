//! The metadata of a file: keys with typed values, in file order.

use super::{Array, GgufError, Value};

/// Keys and values, in the order they have in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
}

impl Metadata {
    /// No keys at all.
    pub fn new() -> Self {
        Metadata::default()
    }

    /// Sets `key`, in its old place where it was there already.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Removes all keys that begin with `prefix`; gives whether there were any.
    pub fn remove_all(&mut self, prefix: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(key, _)| !key.starts_with(prefix));
        self.entries.len() < before
    }

    /// Appends an entry without looking for an earlier one of the same name.
    pub(super) fn push_unchecked(&mut self, key: String, value: Value) {
        self.entries.push((key, value));
    }

    /// The raw value of `key`.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.entries
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    /// The value of `key` as a `T`; an error where there is no such key or it is of another type.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T, GgufError> {
        self.find(key)?.ok_or_else(|| GgufError::MissingKey {
            key: key.to_owned(),
            expected: T::EXPECTED,
        })
    }

    /// The value of `key` as a `T`, `None` where there is no such key; an error where it is of
    /// another type.
    pub fn find<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>, GgufError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        T::from_value(value)
            .map(Some)
            .ok_or_else(|| GgufError::WrongType {
                key: key.to_owned(),
                expected: T::EXPECTED,
                found: describe(value),
            })
    }

    /// All entries, in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A value in words short enough for an error message.
fn describe(value: &Value) -> String {
    match value {
        Value::Array(array) => format!("an array of {} {}", array.len(), array.kind()),
        Value::String(text) => {
            let start: String = text.chars().take(40).collect();
            let rest = if start.len() < text.len() { "…" } else { "" };
            format!("the string {start:?}{rest}")
        }
        Value::F32(x) => format!("the float32 {x}"),
        Value::F64(x) => format!("the float64 {x}"),
        Value::Bool(x) => format!("the bool {x}"),
        integer => {
            format!(
                "the {} {}",
                integer.kind(),
                integer.as_integer().unwrap_or_default()
            )
        }
    }
}

/// Types a metadata value can be read as. Integers of any width are accepted where they fit, since
/// writers differ in the width they choose.
pub trait FromValue<'a>: Sized {
    /// The type in words.
    const EXPECTED: &'static str;

    /// The value, where it is of this type.
    fn from_value(value: &'a Value) -> Option<Self>;
}

macro_rules! integer_from_value {
    ($($kind:ty: $words:literal),*) => {$(
        impl FromValue<'_> for $kind {
            const EXPECTED: &'static str = $words;

            fn from_value(value: &Value) -> Option<Self> {
                value.as_integer().and_then(|x| x.try_into().ok())
            }
        }
    )*};
}

integer_from_value! {
    u32: "an unsigned 32-bit integer",
    u64: "an unsigned 64-bit integer",
    usize: "an unsigned integer",
    i32: "a 32-bit integer"
}

impl FromValue<'_> for f32 {
    const EXPECTED: &'static str = "a finite float";

    fn from_value(value: &Value) -> Option<Self> {
        let number = match *value {
            Value::F32(x) => x,
            Value::F64(x) => x as f32,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }
}

impl FromValue<'_> for bool {
    const EXPECTED: &'static str = "a bool";

    fn from_value(value: &Value) -> Option<Self> {
        match *value {
            Value::Bool(x) => Some(x),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const EXPECTED: &'static str = "a string";

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    const EXPECTED: &'static str = "an array of bytes";

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(Array::U8(x)) => Some(x),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a [f32] {
    const EXPECTED: &'static str = "an array of finite floats";

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(Array::F32(x)) if x.iter().all(|x| x.is_finite()) => Some(x),
            _ => None,
        }
    }
}

impl<'a> FromValue<'a> for &'a [i32] {
    const EXPECTED: &'static str = "an array of 32-bit integers";

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::Array(Array::I32(x)) => Some(x),
            _ => None,
        }
    }
}
