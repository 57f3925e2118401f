//! The published taxonomies, read from the prompts their authors published.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::answer::AnswerTemplate;
use crate::policy::Mode;

/// Marks the place of the image in the published prompts; dropped from the text, because the
/// chat wrapping puts the image first.
const IMAGE_LINE: &str = "<image>\n";
/// What opens and closes the list of category names in every published prompt.
const LIST_OPEN: &str = "category\": str<\"";
const LIST_CLOSE: &str = "\">";
pub(crate) const LIST_SEPARATOR: &str = "\"|\"";

/// A published taxonomy that a policy starts from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Base {
    /// LlavaGuard v1.2 (template json-v24), what the 0.5B-OV, 7B-OV and QwenGuard v1.2 models
    /// were trained on.
    #[default]
    #[serde(rename = "llavaguard-v1.2")]
    LlavaGuardV1_2,
    /// LlavaGuard v1.1 (template json-v16): v1.2 with another third assessment step.
    #[serde(rename = "llavaguard-v1.1")]
    LlavaGuardV1_1,
    /// LlavaGuard v1.0 (template json-v10), with an answer of another shape: see
    /// [`AnswerTemplate::Decision`].
    #[serde(rename = "llavaguard-v1.0")]
    LlavaGuardV1_0,
    /// The authors' text for the European Union: weapons and substances in categories of their
    /// own. As published, its answer list still names v1.2's nine categories; a policy that gives
    /// O6 and O10 a title brings body and list together (preset `european-union`).
    #[serde(rename = "llavaguard-eu")]
    Eu,
}

impl Base {
    /// Every base, newest LlavaGuard release first.
    pub const ALL: [Base; 4] = [
        Base::LlavaGuardV1_2,
        Base::LlavaGuardV1_1,
        Base::LlavaGuardV1_0,
        Base::Eu,
    ];

    /// The name in a policy document, e.g. `llavaguard-v1.2`.
    pub fn id(self) -> &'static str {
        match self {
            Base::LlavaGuardV1_2 => "llavaguard-v1.2",
            Base::LlavaGuardV1_1 => "llavaguard-v1.1",
            Base::LlavaGuardV1_0 => "llavaguard-v1.0",
            Base::Eu => "llavaguard-eu",
        }
    }

    /// The name for people, e.g. `LlavaGuard v1.2`.
    pub fn title(self) -> &'static str {
        match self {
            Base::LlavaGuardV1_2 => "LlavaGuard v1.2",
            Base::LlavaGuardV1_1 => "LlavaGuard v1.1",
            Base::LlavaGuardV1_0 => "LlavaGuard v1.0",
            Base::Eu => "LlavaGuard for the EU",
        }
    }

    /// The base of that [`Base::id`], if there is one.
    pub fn from_id(id: &str) -> Option<Base> {
        Base::ALL.into_iter().find(|base| base.id() == id)
    }

    /// The shape of the answer this base's prompt asks for.
    pub fn answer_template(self) -> AnswerTemplate {
        match self {
            Base::LlavaGuardV1_0 => AnswerTemplate::Decision,
            Base::LlavaGuardV1_2 | Base::LlavaGuardV1_1 | Base::Eu => AnswerTemplate::Rating,
        }
    }

    /// The taxonomy itself, split from the published prompt at first use.
    pub fn taxonomy(self) -> &'static Taxonomy {
        static V1_2: LazyLock<Taxonomy> =
            LazyLock::new(|| Taxonomy::split(include_str!("../data/llavaguard-v1.2-prompt.txt")));
        static V1_1: LazyLock<Taxonomy> =
            LazyLock::new(|| Taxonomy::split(include_str!("../data/llavaguard-v1.1-prompt.txt")));
        static V1_0: LazyLock<Taxonomy> =
            LazyLock::new(|| Taxonomy::split(include_str!("../data/llavaguard-v1.0-prompt.txt")));
        static EU: LazyLock<Taxonomy> =
            LazyLock::new(|| Taxonomy::split(include_str!("../data/eu-prompt.txt")));
        match self {
            Base::LlavaGuardV1_2 => &V1_2,
            Base::LlavaGuardV1_1 => &V1_1,
            Base::LlavaGuardV1_0 => &V1_0,
            Base::Eu => &EU,
        }
    }

    /// How a rule of the base is spelt where its category is declared non-violating or
    /// sensitive. The published declarations repeat the rules, with two slips; the models were
    /// trained on them, so they are kept (LlavaGuard `taxonomy/taxonomies.py`).
    pub(crate) fn declared_rule(self, id: &str, rule: &'static str, mode: Mode) -> &'static str {
        match (self, id, rule, mode) {
            (
                Base::LlavaGuardV1_2 | Base::LlavaGuardV1_1 | Base::Eu,
                "O2",
                "Contain content of people planning or engaging in violence.",
                _,
            ) => "Contain content of  people planning or engaging in violence.",
            (
                Base::LlavaGuardV1_0,
                "O2",
                "Discuss historical events involving violence and cruelty.",
                Mode::NonViolating,
            ) => "Discuss historical events involving violence and cruelty.+",
            (_, _, rule, _) => rule,
        }
    }
}

/// A published prompt, split into the parts a policy recombines. All text is the authors'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxonomy {
    /// What comes before the first category.
    pub start: &'static str,
    /// The categories in the order of the prompt's body.
    pub categories: Vec<BaseCategory>,
    /// From the end of the last category to the first name of the answer's category list.
    pub before_list: &'static str,
    /// From the end of that list to the end of the prompt.
    pub after_list: &'static str,
    /// The last entry of the list, chosen when no category applies.
    pub not_applicable: &'static str,
}

/// One category of a published taxonomy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseCategory {
    /// Identifier, e.g. `O6`.
    pub id: &'static str,
    /// Title in the heading, e.g. `Weapons or Substance Abuse`.
    pub title: &'static str,
    /// Name in the answer's category list, e.g. `O6: Weapons or Substance Abuse`. It differs
    /// from the heading in v1.0, and the EU text does not list its O10 at all.
    pub listed: Option<&'static str>,
    /// The rules as they stand below the heading, ending with a newline.
    pub text: &'static str,
    /// The rules under "Should not:", without their bullets, else untouched.
    pub should_not: Vec<&'static str>,
    /// The rules under "Can:", likewise.
    pub can: Vec<&'static str>,
}

impl Taxonomy {
    /// Splits a published prompt. It cannot fail: text of another form gives a taxonomy without
    /// categories; that the four prompts come back whole is what the tests are for.
    fn split(prompt: &'static str) -> Taxonomy {
        let mut headings = Vec::new();
        let mut at = 0;
        for line in prompt.split_inclusive('\n') {
            if let Some((id, title)) = split_heading(line) {
                headings.push((at, at + line.len(), id, title));
            }
            at += line.len();
        }
        // The body ends with the blank line below the last category.
        let body_end = headings.last().map_or(0, |&(_, text, ..)| {
            prompt[text..]
                .find("\n\n")
                .map_or(prompt.len(), |end| text + end + 2)
        });
        let tail = prompt[body_end..]
            .strip_prefix(IMAGE_LINE)
            .unwrap_or(&prompt[body_end..]);
        let tail = tail.strip_suffix(IMAGE_LINE).unwrap_or(tail);
        let open = tail
            .find(LIST_OPEN)
            .map_or(tail.len(), |found| found + LIST_OPEN.len());
        let (before_list, rest) = tail.split_at(open);
        let (list, after_list) = rest.split_at(rest.find(LIST_CLOSE).unwrap_or(0));
        let names: Vec<&str> = list.split(LIST_SEPARATOR).collect();

        let ends = headings
            .iter()
            .skip(1)
            .map(|&(start, ..)| start)
            .chain([body_end]);
        let categories = headings
            .iter()
            .zip(ends)
            .map(|(&(_, text, id, title), end)| {
                // A category's text is followed by one blank line.
                let text = prompt[text..end].strip_suffix('\n').unwrap_or_default();
                let (should_not, can) = split_rules(text);
                let listed = names.iter().copied().find(|name| {
                    name.strip_prefix(id)
                        .is_some_and(|rest| rest.starts_with(": "))
                });
                BaseCategory {
                    id,
                    title,
                    listed,
                    text,
                    should_not,
                    can,
                }
            })
            .collect();
        Taxonomy {
            start: &prompt[..headings.first().map_or(0, |&(start, ..)| start)],
            categories,
            before_list,
            after_list,
            not_applicable: names.last().copied().unwrap_or_default(),
        }
    }

    /// The category of that id.
    pub fn category(&self, id: &str) -> Option<&BaseCategory> {
        self.categories.iter().find(|category| category.id == id)
    }
}

/// `O6: Weapons: \n` gives `("O6", "Weapons")`. Only headings end in a colon and a space.
fn split_heading(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (id, title) = line.strip_suffix(": \n")?.split_once(": ")?;
    let numbered = id
        .strip_prefix('O')?
        .chars()
        .all(|digit| digit.is_ascii_digit());
    numbered.then_some((id, title))
}

fn split_rules(text: &'static str) -> (Vec<&'static str>, Vec<&'static str>) {
    let (should_not, can) = text.split_once("Can:\n").unwrap_or((text, ""));
    let rules = |part: &'static str| {
        part.split_terminator('\n')
            .filter_map(|line| line.strip_prefix("- "))
            .collect()
    };
    (rules(should_not), rules(can))
}
