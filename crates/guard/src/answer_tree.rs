//! The answers a policy allows, as a tree of tokens.
//!
//! Every allowed answer up to its rationale (rating x category) is tokenised as a whole, exactly as
//! a training target was. Put into one tree, the forced text is the stretches where only one token
//! can follow, and the model is asked only where the tree branches.

use llavaguard_policy::{AnswerSkeleton, Rating};

/// One allowed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its rating.
    pub rating: Rating,
    /// Its category, as an index into [`AnswerSkeleton::categories`].
    pub category: usize,
}

/// A set of allowed answers with the tokens that spell them.
#[derive(Debug, Clone)]
pub struct AnswerTree {
    answers: Vec<(Outcome, Vec<u32>)>,
}

/// What can follow after some tokens of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Tokens that must come next, whatever is answered.
    pub forced: Vec<u32>,
    /// The tokens to choose between behind them, in the order of the answers; empty where the answer
    /// is complete.
    pub choices: Vec<u32>,
}

impl AnswerTree {
    /// Tokenises all answers of `skeleton` up to where the rationale begins (`with_rationale`), or to
    /// the end of an answer that has none.
    pub fn new<E>(
        skeleton: &AnswerSkeleton,
        with_rationale: bool,
        mut encode: impl FnMut(&str) -> Result<Vec<u32>, E>,
    ) -> Result<Self, E> {
        let end = if with_rationale {
            skeleton.before_rationale
        } else {
            skeleton.end
        };
        let mut answers = Vec::new();
        for (rating, spelling) in skeleton.ratings {
            for (category, name) in skeleton.category_spellings.iter().enumerate() {
                let text = [
                    skeleton.before_rating,
                    spelling,
                    skeleton.before_category,
                    name.as_str(),
                    end,
                ];
                answers.push((Outcome { rating, category }, encode(&text.concat())?));
            }
        }
        Ok(AnswerTree { answers })
    }

    /// Tokens of the longest answer.
    pub fn longest(&self) -> usize {
        self.answers
            .iter()
            .map(|(_, tokens)| tokens.len())
            .max()
            .unwrap_or(0)
    }

    /// The answers that begin with `path`.
    pub fn below<'a>(&'a self, path: &'a [u32]) -> impl Iterator<Item = Outcome> + 'a {
        self.answers
            .iter()
            .filter(|(_, tokens)| tokens.starts_with(path))
            .map(|(answer, _)| *answer)
    }

    /// What can follow after `path`.
    pub fn branch(&self, path: &[u32]) -> Branch {
        let mut rest: Vec<&[u32]> = self
            .answers
            .iter()
            .filter_map(|(_, tokens)| tokens.strip_prefix(path))
            .collect();
        let mut forced = Vec::new();
        loop {
            let mut choices: Vec<u32> = Vec::new();
            for token in rest.iter().filter_map(|tokens| tokens.first()) {
                if !choices.contains(token) {
                    choices.push(*token);
                }
            }
            match choices.as_slice() {
                [only] => {
                    forced.push(*only);
                    rest = rest
                        .into_iter()
                        .filter_map(|tokens| tokens.get(1..))
                        .collect();
                }
                _ => return Branch { forced, choices },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use llavaguard_policy::Policy;

    fn bytes(text: &str) -> Result<Vec<u32>, std::convert::Infallible> {
        Ok(text.bytes().map(u32::from).collect())
    }

    fn text(tokens: &[u32]) -> String {
        tokens
            .iter()
            .map(|token| char::from_u32(*token).unwrap())
            .collect()
    }

    #[test]
    fn the_model_is_asked_only_for_rating_and_category() {
        let skeleton = Policy::default().answer_skeleton().unwrap();
        let tree = AnswerTree::new(&skeleton, true, bytes).unwrap();
        let branch = tree.branch(&[]);
        assert_eq!(text(&branch.forced), "{\n    \"rating\": \"");
        assert_eq!(text(&branch.choices), "SU");
        let mut path = branch.forced;
        path.push(u32::from(b'U'));
        let branch = tree.branch(&path);
        assert_eq!(text(&branch.forced), "nsafe\",\n    \"category\": \"");
        assert_eq!(text(&branch.choices), "ON");
        path.extend(branch.forced);
        path.push(u32::from(b'O'));
        let branch = tree.branch(&path);
        assert_eq!(text(&branch.choices), "123456789");
        path.extend(branch.forced);
        path.push(u32::from(b'6'));
        let branch = tree.branch(&path);
        assert_eq!(
            text(&branch.forced),
            ": Weapons or Substance Abuse\",\n    \"rationale\": \""
        );
        assert_eq!(branch.choices, Vec::<u32>::new());
        let outcomes: Vec<Outcome> = tree.below(&path).collect();
        assert_eq!(
            outcomes,
            [Outcome {
                rating: Rating::Unsafe,
                category: 5
            }]
        );
    }
}
