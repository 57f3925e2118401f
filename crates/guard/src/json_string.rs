//! Reading a JSON string while it is being generated, byte by byte.

/// Decodes the inside of a JSON string as its bytes arrive in pieces of any size, and notices where
/// it ends. Takes whatever a model writes: a broken escape or broken UTF-8 becomes the replacement
/// character, never an error.
#[derive(Debug, Default)]
pub struct JsonStringReader {
    /// Decoded bytes that do not make a whole character yet.
    partial: Vec<u8>,
    /// Characters of an escape sequence read so far, the backslash included.
    escape: Vec<u8>,
    /// First half of a surrogate pair.
    high_surrogate: Option<u32>,
    ended: bool,
}

impl JsonStringReader {
    /// Whether the closing quote has been read. What comes after it is ignored.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Takes the next bytes, gives the text that is complete with them.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        for &byte in bytes {
            if self.ended {
                break;
            }
            self.push_byte(byte, &mut out);
        }
        self.take_whole_characters(&mut out);
        out
    }

    /// Gives what is left when generation stops in the middle: an unfinished character or escape is
    /// replaced.
    pub fn finish(mut self) -> String {
        let mut out = String::new();
        if !self.ended && (!self.escape.is_empty() || !self.partial.is_empty()) {
            self.partial.clear();
            out.push(char::REPLACEMENT_CHARACTER);
        } else {
            self.flush_surrogate(&mut out);
        }
        out
    }

    fn push_byte(&mut self, byte: u8, out: &mut String) {
        if self.escape.is_empty() {
            match byte {
                b'"' => {
                    self.take_whole_characters(out);
                    self.replace_partial(out);
                    self.flush_surrogate(out);
                    self.ended = true;
                }
                b'\\' => {
                    self.take_whole_characters(out);
                    self.replace_partial(out);
                    self.escape.push(byte);
                }
                _ => {
                    self.flush_surrogate(out);
                    self.partial.push(byte);
                }
            }
            return;
        }
        self.escape.push(byte);
        match self.escape.as_slice() {
            [_, b'u', hex @ ..] => match (hex.len(), byte.is_ascii_hexdigit() || hex.is_empty()) {
                (_, false) => {
                    self.escape.clear();
                    self.flush_surrogate(out);
                    out.push(char::REPLACEMENT_CHARACTER);
                    // The offending byte starts anew: it may be the closing quote.
                    self.push_byte(byte, out);
                }
                (4, true) => {
                    let unit = hex.iter().fold(0, |value, digit| {
                        value * 16 + (*digit as char).to_digit(16).unwrap_or(0)
                    });
                    self.escape.clear();
                    self.push_unit(unit, out);
                }
                _ => {}
            },
            [_, simple] => {
                let c = match simple {
                    b'n' => '\n',
                    b't' => '\t',
                    b'r' => '\r',
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'"' | b'\\' | b'/' => *simple as char,
                    _ => char::REPLACEMENT_CHARACTER,
                };
                self.escape.clear();
                self.flush_surrogate(out);
                out.push(c);
            }
            _ => {}
        }
    }

    /// A `\uXXXX` unit: a character, or half of a surrogate pair.
    fn push_unit(&mut self, unit: u32, out: &mut String) {
        match (self.high_surrogate.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (pending, _) => {
                if pending.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    0xd800..=0xdbff => self.high_surrogate = Some(unit),
                    _ => out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
        }
    }

    fn flush_surrogate(&mut self, out: &mut String) {
        if self.high_surrogate.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }

    fn replace_partial(&mut self, out: &mut String) {
        if !self.partial.is_empty() {
            self.partial.clear();
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Moves all whole characters out of `partial`, replacing bytes that can become none.
    fn take_whole_characters(&mut self, out: &mut String) {
        loop {
            match std::str::from_utf8(&self.partial) {
                Ok(text) => {
                    out.push_str(text);
                    self.partial.clear();
                    return;
                }
                Err(error) => {
                    let (whole, rest) = self.partial.split_at(error.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(whole));
                    let Some(broken) = error.error_len() else {
                        self.partial = rest.to_vec();
                        return;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    self.partial = rest[broken..].to_vec();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (String, bool) {
        let mut reader = JsonStringReader::default();
        let mut text: String = pieces.iter().map(|piece| reader.push(piece)).collect();
        let ended = reader.ended();
        text.push_str(&reader.finish());
        (text, ended)
    }

    #[test]
    fn plain_text_ends_at_the_quote() {
        assert_eq!(read(&[b"a gun", b".\"\n}"]), ("a gun.".into(), true));
    }

    #[test]
    fn escapes_are_decoded_across_pieces() {
        assert_eq!(
            read(&[b"\\", b"\"x\\\\", b"\\u00", b"e9\\n\""]),
            ("\"x\\é\n".into(), true)
        );
    }

    #[test]
    fn surrogates_pair_up_or_are_replaced() {
        assert_eq!(read(&[b"\\ud83d\\ude00\""]).0, "😀");
        assert_eq!(read(&[b"\\ud83dx\""]).0, "\u{fffd}x");
        assert_eq!(read(&[b"\\ud83d\\ud83d\\ude00\""]).0, "\u{fffd}😀");
        assert_eq!(read(&[b"\\ud83d"]).0, "\u{fffd}");
    }

    #[test]
    fn utf8_is_joined_across_pieces_and_broken_bytes_replaced() {
        assert_eq!(read(&[&[0xc3], &[0xa9], b"\""]).0, "é");
        assert_eq!(read(&[&[0xff], b"a\""]).0, "\u{fffd}a");
        assert_eq!(read(&[&[0xe2, 0x82]]).0, "\u{fffd}");
    }

    #[test]
    fn a_broken_unicode_escape_does_not_swallow_the_closing_quote() {
        assert_eq!(read(&[b"\\u12\" rest"]), ("\u{fffd}".into(), true));
    }

    #[test]
    fn agrees_with_serde_json_on_what_serde_writes() {
        for text in ["", "a\"b\\c/\n\t\u{8}\u{c}", "naïve 😀 \u{7f}", "\\u0041"] {
            let written = serde_json::to_string(text).unwrap();
            for cut in 1..written.len() {
                let (a, b) = written.as_bytes()[1..].split_at(cut - 1);
                assert_eq!(
                    read(&[a, b]),
                    (text.to_owned(), true),
                    "{written} cut at {cut}"
                );
            }
        }
    }
}
