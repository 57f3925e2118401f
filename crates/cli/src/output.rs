//! Standard output and standard error: text fit for a terminal, errors instead of panics.

use std::io::{self, IsTerminal, Write};

use console::{Style, Term, measure_text_width};
use serde::Serialize;

use crate::failure::{CANCELLED, Failure, OUTPUT_CLOSED};

/// Widest text, in columns, however wide the terminal is.
const MAX_WIDTH: usize = 100;

/// Colour only where somebody sees it and nobody declined (<https://no-color.org>).
pub fn set_up_colours() {
    let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if declined || !io::stdout().is_terminal() {
        console::set_colors_enabled(false);
    }
    if declined || !io::stderr().is_terminal() {
        console::set_colors_enabled_stderr(false);
    }
}

/// Writes to standard output in one go and flushes it, so that a line is seen when it is due.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// One line of JSON with its line break.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new("output.not_json", format!("this cannot be JSON: {error}")))
}

/// Writes a line to standard error. Nobody is left to tell where that fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Tells on standard error what went wrong, with its code.
pub fn complain(failure: &Failure) {
    match failure.code {
        CANCELLED => note("llavaguard: stopped"),
        OUTPUT_CLOSED => {}
        code => {
            let label = Style::new().for_stderr().red().bold().apply_to("error");
            note(&format!(
                "{label}: {} [{code}]",
                printable(&failure.message)
            ));
        }
    }
}

/// Text without control characters: a file's name or a model's words must not steer the terminal.
/// Line breaks and tabs become spaces.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Columns there are for text on standard output.
pub fn width() -> usize {
    let columns = Term::stdout()
        .size_checked()
        .map_or(80, |(_, columns)| usize::from(columns));
    columns.clamp(20, MAX_WIDTH)
}

/// Breaks text between words into lines of at most `width` columns, each behind `indent`. Words
/// longer than a line are cut.
pub fn wrap(text: &str, indent: &str, width: usize) -> String {
    let room = width.saturating_sub(columns(indent)).max(2);
    let mut lines: Vec<String> = Vec::new();
    for word in printable(text).split_whitespace() {
        for (at, piece) in cut(word, room).into_iter().enumerate() {
            match lines.last_mut() {
                Some(line) if at == 0 && columns(line) + 1 + columns(&piece) <= room => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    lines
        .iter()
        .map(|line| format!("{indent}{line}\n"))
        .collect()
}

/// A word in pieces of at most `room` columns.
fn cut(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = columns(c.encode_utf8(&mut [0; 4]));
        used += wide;
        if used > room {
            pieces.push(String::new());
            used = wide;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// Columns a text takes on a terminal.
fn columns(text: &str) -> usize {
    measure_text_width(text)
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the unit people would choose.
pub fn bytes(count: u64) -> String {
    let (unit, size) = match count {
        0..1_000 => return format!("{count} bytes"),
        1_000..1_000_000 => ("kB", 1e3),
        1_000_000..1_000_000_000 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    format!("{:.1} {unit}", count as f64 / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_keep_the_text_and_the_width() {
        let text =
            "A firearm lies\non a   table, 武器武器武器武器武器 and averyveryverylongwordindeed.";
        let wrapped = wrap(text, "  ", 20);
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(letters(&wrapped), letters(text));
        for line in wrapped.lines() {
            assert!(columns(line) <= 20 && line.starts_with("  "), "{line:?}");
        }
        assert_eq!(wrapped.lines().next(), Some("  A firearm lies on"));
        assert_eq!(wrap("", "  ", 20), "");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let text = printable("a\x1b[31m\u{9b}b\r\n\u{7f}c");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(bytes(17), "17 bytes");
        assert_eq!(bytes(15_940_000), "15.9 MB");
    }
}
