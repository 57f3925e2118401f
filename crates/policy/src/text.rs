//! Limits on a policy, and what text a user may put into a prompt.

use crate::error::PolicyError;

/// Most categories a policy may have, the base's included.
pub const MAX_CATEGORIES: usize = 32;
/// Most rules a category may have, "should not" and "can" together.
pub const MAX_RULES: usize = 32;
/// Longest rule, in characters.
pub const MAX_RULE_CHARS: usize = 600;
/// Longest category title, in characters.
pub const MAX_TITLE_CHARS: usize = 80;
/// Longest policy name, in characters.
pub const MAX_NAME_CHARS: usize = 120;
/// Longest policy version, in characters.
pub const MAX_VERSION_CHARS: usize = 32;
/// Longest prompt, in bytes. LlavaGuard's context has 32,768 tokens, of which an image at high
/// detail takes up to 8,721; a token of English is four bytes or five, one of other scripts
/// rarely less than two.
pub const MAX_PROMPT_BYTES: usize = 32 * 1024;
/// Largest policy document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Strings that mark turns, images or ends in the chat formats of LLaVA, Qwen and LLaMA. The
/// engine never looks for them in user text ([`crate::Segment`]); they are refused all the same,
/// because a rendered prompt may go to software that does.
const MARKERS: [&str; 12] = [
    "<|",
    "|>",
    "<image",
    "<video",
    "<im_start",
    "<im_end",
    "<im_patch",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<eos>",
];

/// What a title may not contain, because the answer's category list is written with it. Without
/// them a title cannot end its own entry and forge another.
const LIST_CHARACTERS: [char; 7] = ['"', '\\', '|', '<', '>', '{', '}'];

/// Checks a text of at most `limit` characters and takes away the spaces around it.
pub(crate) fn check_line(text: &str, limit: usize, place: &str) -> Result<String, PolicyError> {
    let place = || place.to_owned();
    let chars = text.chars().count();
    if chars > limit {
        return Err(PolicyError::TextTooLong {
            place: place(),
            chars,
            limit,
        });
    }
    for (position, character) in text.chars().enumerate() {
        if is_control(character) {
            return Err(PolicyError::ControlCharacter {
                place: place(),
                character,
                position,
            });
        }
        if is_invisible(character) {
            return Err(PolicyError::InvisibleCharacter {
                place: place(),
                character,
                position,
            });
        }
    }
    let lower = text.to_ascii_lowercase();
    if let Some(marker) = MARKERS.into_iter().find(|marker| lower.contains(marker)) {
        return Err(PolicyError::ChatMarker {
            place: place(),
            marker,
        });
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(PolicyError::EmptyText { place: place() });
    }
    Ok(trimmed.to_owned())
}

/// Checks a category's title.
pub(crate) fn check_title(text: &str, place: &str) -> Result<String, PolicyError> {
    let title = check_line(text, MAX_TITLE_CHARS, place)?;
    match title.chars().find(|c| LIST_CHARACTERS.contains(c)) {
        Some(character) => Err(PolicyError::ForbiddenCharacter {
            place: place.to_owned(),
            character,
        }),
        None => Ok(title),
    }
}

/// Controls (C0, DEL, C1) and Unicode's line and paragraph separators.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Bidirectional controls, zero-width and filler characters, tags and variation selectors
/// beyond the first sixteen: all can carry text that a reader of the policy does not see. The
/// joiners U+200C and U+200D stay: scripts and emoji need them.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}
