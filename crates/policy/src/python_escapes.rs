//! Backslash escapes in Python's string and bytes literals.

/// Python's escapes in a `str`. An unknown one stays as it is, backslash included.
pub(crate) fn unescape(raw: &str, out: &mut String) -> Option<()> {
    let mut units = Surrogates { out, high: None };
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.push(u32::from(c));
            continue;
        }
        let escape = chars.next()?;
        let simple = match escape {
            '\n' => continue,
            '\\' | '\'' | '"' => escape,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0'..='7' => {
                units.push(octal(escape, &mut chars));
                continue;
            }
            'x' | 'u' | 'U' => {
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                units.push(hexadecimal(digits, &mut chars).filter(|code| *code <= 0x10_ffff)?);
                continue;
            }
            // Names stand in braces, which do not get here.
            'N' => return None,
            other => {
                units.push(u32::from('\\'));
                other
            }
        };
        units.push(u32::from(simple));
    }
    units.flush();
    Some(())
}

/// Bytes are never looked at, but a broken `\x` in them is an error.
pub(crate) fn check_bytes(raw: &str) -> Option<()> {
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next()? == 'x' {
            hexadecimal(2, &mut chars)?;
        }
    }
    Some(())
}

/// Up to two digits behind the first.
fn octal(first: char, chars: &mut std::str::Chars) -> u32 {
    let mut code = first.to_digit(8).unwrap_or_default();
    for _ in 0..2 {
        let Some(digit) = chars.clone().next().and_then(|c| c.to_digit(8)) else {
            break;
        };
        chars.next();
        code = code * 8 + digit;
    }
    code
}

fn hexadecimal(digits: usize, chars: &mut std::str::Chars) -> Option<u32> {
    (0..digits).try_fold(0, |code, _| Some(code << 4 | chars.next()?.to_digit(16)?))
}

/// Python keeps halves of surrogate pairs as characters; a Rust string cannot, so pairs become the
/// character they mean and lone halves U+FFFD.
struct Surrogates<'a> {
    out: &'a mut String,
    high: Option<u32>,
}

impl Surrogates<'_> {
    fn push(&mut self, code: u32) {
        if let (Some(high), 0xdc00..=0xdfff) = (self.high, code) {
            self.high = None;
            let pair = 0x1_0000 + ((high - 0xd800) << 10) + (code - 0xdc00);
            self.out
                .push(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER));
            return;
        }
        self.flush();
        match code {
            0xd800..=0xdbff => self.high = Some(code),
            _ => self
                .out
                .push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn flush(&mut self) {
        if self.high.take().is_some() {
            self.out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}
