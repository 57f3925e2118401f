//! The part of Python's `ast.literal_eval` that a model's answer can reach: a dictionary without
//! braces inside.

use crate::python_escapes::{check_bytes, unescape};

/// A Python value, as far as the evaluation looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// A `str`.
    Text(String),
    /// Numbers, bytes, constants, lists, tuples.
    Other,
}

impl Literal {
    /// Whether it equals that text.
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(self, Literal::Text(own) if own == text)
    }
}

/// Python gives up on more brackets than this inside one another (`MAXSTACK` of its tokenizer,
/// less the braces around).
const MAX_DEPTH: usize = 198;

/// The entries of the dictionary that `{` + `inside` + `}` writes, `None` where Python would raise
/// an exception or give something else than a dictionary.
pub(crate) fn parse_braced(inside: &str) -> Option<Vec<(Literal, Literal)>> {
    if inside.contains('\0') {
        return None;
    }
    let mut reader = Reader { rest: inside };
    let mut entries = Vec::new();
    loop {
        reader.skip_space();
        if reader.rest.is_empty() {
            return Some(entries);
        }
        let key = reader.value(0)?.hashable()?;
        reader.expect(':')?;
        let value = reader.value(0)?.value;
        entries.push((key, value));
        reader.skip_space();
        if !reader.rest.is_empty() {
            reader.expect(',')?;
        }
    }
}

/// A value, and whether it can be a key.
struct Value {
    value: Literal,
    hashable: bool,
}

impl Value {
    fn other(hashable: bool) -> Value {
        Value {
            value: Literal::Other,
            hashable,
        }
    }

    fn hashable(self) -> Option<Literal> {
        self.hashable.then_some(self.value)
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// White space, line breaks (free inside brackets), continued lines and comments.
    fn skip_space(&mut self) {
        loop {
            self.rest = self
                .rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            if self.rest.starts_with('#') {
                // A comment that no line break ends has swallowed the closing brace.
                let Some(end) = self.rest.find(['\n', '\r']) else {
                    return;
                };
                self.rest = &self.rest[end..];
            } else if let Some(rest) = line_break_after_backslash(self.rest) {
                self.rest = rest;
            } else {
                return;
            }
        }
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest
            .strip_prefix(token)
            .map(|rest| self.rest = rest)
            .is_some()
    }

    fn expect(&mut self, token: char) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_space();
        if self.string_ahead() {
            return self.strings();
        }
        let first = self.rest.chars().next()?;
        match first {
            '[' | '(' => self.sequence(depth),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ => {
                let end = self
                    .rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                matches!(word, "None" | "True" | "False").then(|| Value::other(true))
            }
        }
    }

    /// A list, a tuple or a value in parentheses, from its opening bracket.
    fn sequence(&mut self, depth: usize) -> Option<Value> {
        let list = self.take("[");
        let close = if list {
            "]"
        } else {
            self.take("(");
            ")"
        };
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.skip_space();
            if self.take(close) {
                break;
            }
            if !comma {
                return None;
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            comma = self.take(",");
        }
        // One value in parentheses without a comma is just that value.
        if !list && !comma && items.len() == 1 {
            return items.pop();
        }
        Some(Value::other(
            !list && items.iter().all(|item| item.hashable),
        ))
    }

    /// Numbers, signs and sums of a number and an imaginary one are told apart no further: their
    /// value is never looked at.
    fn number(&mut self) -> Option<Value> {
        if self.take("...") {
            return Some(Value::other(true));
        }
        while self.take("+") || self.take("-") {
            self.skip_space();
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let exponent = number.ends_with(['e', 'E']) && !number.starts_with("0x");
        self.rest = rest;
        if exponent && (self.take("+") || self.take("-")) {
            let end = self
                .rest
                .find(|c: char| !(c.is_ascii_digit() || c == '_'))
                .unwrap_or(self.rest.len());
            if end == 0 {
                return None;
            }
            self.rest = &self.rest[end..];
            return is_number(&format!("{number}0")).then(|| Value::other(true));
        }
        is_number(number).then(|| Value::other(true))
    }

    fn string_ahead(&self) -> bool {
        let after_prefix = self
            .rest
            .trim_start_matches(|c: char| c.is_ascii_alphabetic());
        self.rest.len() - after_prefix.len() <= 2 && after_prefix.starts_with(['\'', '"'])
    }

    /// One string or several in a row, which Python joins.
    fn strings(&mut self) -> Option<Value> {
        let mut joined = String::new();
        let mut bytes = None;
        while self.string_ahead() {
            let quote = self.rest.find(['\'', '"'])?;
            let (prefix, rest) = self.rest.split_at(quote);
            self.rest = rest;
            let prefix = prefix.to_ascii_lowercase();
            if !matches!(prefix.as_str(), "" | "u" | "r" | "b" | "br" | "rb") {
                return None;
            }
            // Text and bytes do not join.
            if *bytes.get_or_insert(prefix.contains('b')) != prefix.contains('b') {
                return None;
            }
            let raw = self.string_body()?;
            if prefix.contains('b') && !raw.is_ascii() {
                return None;
            }
            if prefix.contains('r') {
                joined.push_str(&raw);
            } else if prefix.contains('b') {
                check_bytes(&raw)?;
            } else {
                unescape(&raw, &mut joined)?;
            }
            self.skip_space();
        }
        Some(if bytes == Some(true) {
            Value::other(true)
        } else {
            Value {
                value: Literal::Text(joined),
                hashable: true,
            }
        })
    }

    /// The raw inside of a string, from its opening quote to behind its closing one, with line
    /// breaks as Python reads them from a source.
    fn string_body(&mut self) -> Option<String> {
        let quote = if self.rest.starts_with('"') {
            '"'
        } else {
            '\''
        };
        let triple = String::from_iter([quote; 3]);
        let (end, multiline) = match self.rest.strip_prefix(&triple) {
            Some(rest) => {
                self.rest = rest;
                (triple, true)
            }
            None => {
                self.take(quote.encode_utf8(&mut [0; 4]));
                (quote.to_string(), false)
            }
        };
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    // Whatever follows is not the end; `\` CR LF is one break.
                    if self.rest[at + 1..].starts_with("\r\n") {
                        chars.next();
                    }
                    chars.next()?;
                }
                '\n' | '\r' if !multiline => return None,
                _ if self.rest[at..].starts_with(&end) => {
                    let body = self.rest[..at].replace("\r\n", "\n").replace('\r', "\n");
                    self.rest = &self.rest[at + end.len()..];
                    return Some(body);
                }
                _ => {}
            }
        }
        None
    }
}

fn line_break_after_backslash(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('\\')?;
    rest.strip_prefix("\r\n")
        .or_else(|| rest.strip_prefix(['\n', '\r']))
}

/// Whether Python reads the word as a number. Underscores are allowed between digits; a leading
/// zero is not, but for zero itself, fractions and imaginary numbers.
fn is_number(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let grouped = |digits: &str, radix: u32| {
        !digits.is_empty()
            && digits
                .split('_')
                .all(|group| !group.is_empty() && group.chars().all(|c| c.is_digit(radix)))
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return grouped(digits.strip_prefix('_').unwrap_or(digits), radix);
        }
    }
    let (number, imaginary) = match lower.strip_suffix('j') {
        Some(number) => (number, true),
        None => (lower.as_str(), false),
    };
    let (mantissa, exponent) = match number.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (number, None),
    };
    if exponent.is_some_and(|exponent| !grouped(exponent, 10)) {
        return false;
    }
    match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            (whole.is_empty() || grouped(whole, 10))
                && (fraction.is_empty() || grouped(fraction, 10))
                && mantissa != "."
        }
        None => {
            let zeros = mantissa.chars().all(|c| matches!(c, '0' | '_'));
            let plain = !mantissa.starts_with('0') || zeros;
            grouped(mantissa, 10) && (plain || imaginary || exponent.is_some())
        }
    }
}
