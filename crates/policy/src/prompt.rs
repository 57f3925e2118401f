//! The chat turns around image and policy.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;

/// The system turn of training (conversation `qwen_1_5` in LLaVA-NeXT).
pub const SYSTEM_MESSAGE: &str = "You are a helpful assistant.";

const TURN_START: Segment = Segment::Special("<|im_start|>");
const TURN_END: Segment = Segment::Special("<|im_end|>");

/// A piece of a prompt. Specials become one token each, by name; text is tokenised with special
/// tokens switched off, so nothing a user wrote can become one; the image becomes the visual
/// tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A special token of the chat format.
    Special(&'static str),
    /// Plain text.
    Text(String),
    /// Where the visual tokens go.
    Image,
}

impl fmt::Display for Segment {
    /// As the authors' code writes it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Segment::Special(name) => name,
            Segment::Text(text) => text,
            Segment::Image => "<image>",
        })
    }
}

/// The chat format around image and policy. A model file says which one it wants; they give
/// different assessments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatWrapping {
    /// As in training and as SGLang's `chatml-llava` has it: a system turn, and the policy
    /// stripped as Python's `str.strip` does (LLaVA-NeXT `train.py`, `preprocess_multimodal` and
    /// `preprocess_qwen`). The paper's figures were measured this way.
    #[default]
    Training,
    /// As the Hugging Face processor's chat template has it: no system turn, the policy as it is.
    HuggingFace,
}

impl ChatWrapping {
    /// Both formats.
    pub const ALL: [ChatWrapping; 2] = [ChatWrapping::Training, ChatWrapping::HuggingFace];

    /// The name in model files, e.g. `hugging_face`.
    pub fn name(self) -> &'static str {
        match self {
            ChatWrapping::Training => "training",
            ChatWrapping::HuggingFace => "hugging_face",
        }
    }

    /// The format of that name, if there is one.
    pub fn from_name(name: &str) -> Option<ChatWrapping> {
        ChatWrapping::ALL
            .into_iter()
            .find(|wrapping| wrapping.name() == name)
    }

    /// Everything up to and including the image. It is the same for every policy, so its keys and
    /// values can be kept when the same image is judged again.
    pub fn prefix_segments(self) -> Vec<Segment> {
        let text = |text: &str| Segment::Text(text.to_owned());
        let user = [TURN_START, text("user\n"), Segment::Image];
        match self {
            ChatWrapping::Training => {
                let system = text(&format!("system\n{SYSTEM_MESSAGE}"));
                [TURN_START, system, TURN_END, text("\n")]
                    .into_iter()
                    .chain(user)
                    .collect()
            }
            ChatWrapping::HuggingFace => user.into(),
        }
    }

    /// Everything behind the image, up to where the answer begins.
    pub fn suffix_segments(self, policy: &Policy) -> Vec<Segment> {
        let policy = match self {
            ChatWrapping::Training => python_strip(policy.prompt_text()),
            ChatWrapping::HuggingFace => policy.prompt_text(),
        };
        vec![
            Segment::Text(format!("\n{policy}")),
            TURN_END,
            Segment::Text("\n".to_owned()),
            TURN_START,
            Segment::Text("assistant\n".to_owned()),
        ]
    }

    /// The whole prompt.
    pub fn segments(self, policy: &Policy) -> Vec<Segment> {
        let mut segments = self.prefix_segments();
        segments.extend(self.suffix_segments(policy));
        segments
    }

    /// The whole prompt as one text, for people and for other software.
    pub fn render(self, policy: &Policy) -> String {
        self.segments(policy)
            .iter()
            .map(Segment::to_string)
            .collect()
    }
}

/// Python's `str.strip()`: Unicode white space, and the four separators U+001C to U+001F that
/// Unicode does not count as such.
fn python_strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_what_python_strips() {
        // Python 3: "".join(c for c in map(chr, range(0x110000)) if c.isspace())
        let spaces = "\t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f} \u{85}\u{a0}\u{1680}\u{2000}\
                      \u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\
                      \u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
        assert_eq!(
            python_strip(&format!("{spaces}a {spaces}b{spaces}")),
            format!("a {spaces}b")
        );
        assert_eq!(python_strip("\u{200b}a\u{feff}"), "\u{200b}a\u{feff}");
    }
}
