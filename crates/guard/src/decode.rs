//! Decoding an answer under its grammar.

use llavaguard_backend::{Control, Device, Stage};
use llavaguard_model::{KvCache, ModelError, Network, Wanted};
use llavaguard_policy::{AnswerSkeleton, Rating};

use crate::answer_tree::{AnswerTree, Outcome};
use crate::error::Error;
use crate::json_string::JsonStringReader;
use crate::sampling::{Random, Sampling, draw, softmax};

/// A branch of the answer tree is looked into for category probabilities only where at least this
/// much probability leads there; less is shared evenly among the categories behind it.
const NEGLIGIBLE: f64 = 1e-4;

/// A token sequence that is being continued.
pub struct Decoder<'a, D: Device> {
    network: &'a Network<D>,
    cache: &'a mut KvCache<D>,
    control: &'a dyn Control,
    /// Tokens that follow what the cache holds and have not been run.
    pending: Vec<u32>,
    /// Tokens the model chose (forced ones and looks into side branches are not counted).
    pub chosen: usize,
}

/// The part of an answer that precedes its rationale.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Rating and category.
    pub outcome: Outcome,
    /// Softmax over the two ratings.
    pub unsafe_probability: f64,
    /// Probability of each category given the rating, in the skeleton's order.
    pub category_probabilities: Vec<f64>,
}

/// A decoded rationale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RationaleText {
    /// The text, unescaped.
    pub text: String,
    /// Whether it was cut at the token bound.
    pub truncated: bool,
}

impl<'a, D: Device> Decoder<'a, D> {
    /// Continues what `cache` holds with `tokens`.
    pub fn new(
        network: &'a Network<D>,
        cache: &'a mut KvCache<D>,
        tokens: Vec<u32>,
        control: &'a dyn Control,
    ) -> Self {
        Decoder {
            network,
            cache,
            control,
            pending: tokens,
            chosen: 0,
        }
    }

    /// Runs what is pending; gives the state behind it, `[1, hidden]`.
    async fn run(&mut self) -> Result<D::Matrix, Error> {
        let x = self
            .network
            .decoder
            .embed(self.network.device(), &self.pending)?;
        let state = self
            .network
            .decoder
            .forward(
                self.network.device(),
                &x,
                self.cache,
                Wanted::LastState,
                self.control,
            )
            .await?;
        self.pending.clear();
        state.ok_or_else(|| ModelError::Input("no tokens to run".to_owned()).into())
    }

    /// Runs the prompt's end together with the tokens every answer begins with; gives the state from
    /// which the rating is read.
    pub async fn prefill(&mut self, tree: &AnswerTree) -> Result<D::Matrix, Error> {
        self.pending.extend_from_slice(&tree.branch(&[]).forced);
        self.run().await
    }

    /// Probabilities of `choices` behind `state`.
    async fn ask(&self, state: &D::Matrix, choices: &[u32]) -> Result<Vec<f64>, Error> {
        let device = self.network.device();
        let logits = self.network.decoder.logits_of(device, state, choices)?;
        let logits = device.read(&logits).await?;
        if logits.iter().any(|logit| !logit.is_finite()) {
            return Err(Error::NotANumber {
                what: "the logits of the verdict",
            });
        }
        Ok(softmax(&logits))
    }

    /// Decodes rating and category from the state that [`Decoder::prefill`] gave. The tokens after
    /// the last choice stay pending.
    pub async fn verdict(
        &mut self,
        tree: &AnswerTree,
        skeleton: &AnswerSkeleton,
        mut state: D::Matrix,
    ) -> Result<Verdict, Error> {
        let mut branch = tree.branch(&[]);
        let mut path = branch.forced.clone();

        // The first branch is between the two ratings, since all answers are the same up to there.
        let chances = self.ask(&state, &branch.choices).await?;
        let mut unsafe_probability = 0.0;
        for (choice, chance) in branch.choices.iter().zip(&chances) {
            path.push(*choice);
            if tree
                .below(&path)
                .all(|answer| answer.rating == Rating::Unsafe)
            {
                unsafe_probability += chance;
            }
            path.pop();
        }
        let mut chosen = likeliest(&branch.choices, &chances);

        let mut category_probabilities = vec![0.0; skeleton.categories.len()];
        let mut reached = 1.0;
        loop {
            path.push(chosen);
            self.chosen += 1;
            self.pending.push(chosen);
            branch = tree.branch(&path);
            path.extend_from_slice(&branch.forced);
            self.pending.extend_from_slice(&branch.forced);
            if branch.choices.is_empty() {
                break;
            }
            state = self.run().await?;
            let chances = self.ask(&state, &branch.choices).await?;
            chosen = likeliest(&branch.choices, &chances);
            for (choice, chance) in branch.choices.iter().zip(&chances) {
                if *choice != chosen {
                    let mut side = path.clone();
                    side.push(*choice);
                    self.spread(
                        tree,
                        &side,
                        1,
                        reached * chance,
                        &mut category_probabilities,
                    )
                    .await?;
                }
            }
            let at = branch
                .choices
                .iter()
                .position(|choice| *choice == chosen)
                .unwrap_or(0);
            reached *= chances[at];
        }
        let outcome = tree.below(&path).next().ok_or_else(|| {
            ModelError::Input("a policy without categories to answer with".to_owned())
        })?;
        category_probabilities[outcome.category] += reached;
        Ok(Verdict {
            outcome,
            unsafe_probability,
            category_probabilities,
        })
    }

    /// Shares `mass` among the categories of the answers that begin with `path`, asking the model
    /// where they part. The last `fresh` tokens of `path` follow what the cache and the model have
    /// seen; both are left as they were.
    async fn spread(
        &mut self,
        tree: &AnswerTree,
        path: &[u32],
        fresh: usize,
        mass: f64,
        probabilities: &mut [f64],
    ) -> Result<(), Error> {
        let mut work = vec![(path.to_vec(), fresh, mass)];
        let start = self.cache.len();
        while let Some((mut path, fresh, mass)) = work.pop() {
            let below: Vec<usize> = tree.below(&path).map(|answer| answer.category).collect();
            let branch = tree.branch(&path);
            if mass < NEGLIGIBLE || branch.choices.is_empty() {
                for category in &below {
                    probabilities[*category] += mass / below.len() as f64;
                }
                continue;
            }
            path.extend_from_slice(&branch.forced);
            let fresh = fresh + branch.forced.len();
            self.pending = path[path.len() - fresh..].to_vec();
            let state = self.run().await?;
            let chances = self.ask(&state, &branch.choices).await?;
            self.cache.truncate(start);
            for (choice, chance) in branch.choices.iter().zip(chances) {
                let mut next = path.clone();
                next.push(*choice);
                work.push((next, fresh + 1, mass * chance));
            }
        }
        Ok(())
    }

    /// Decodes the rationale up to its closing quote, the end of the answer or `max_tokens`.
    /// `banned` (sorted) are tokens that stand for no text.
    pub async fn rationale(
        &mut self,
        sampling: Sampling,
        max_tokens: usize,
        (banned, end_token): (&[u32], u32),
        mut told: impl FnMut(&str),
    ) -> Result<RationaleText, Error> {
        let mut reader = JsonStringReader::default();
        let mut text = String::new();
        let mut random = match sampling {
            Sampling::Greedy => Random::new(0),
            Sampling::Nucleus { seed, .. } => Random::new(seed),
        };
        for step in 0..max_tokens {
            let state = self.run().await?;
            self.chosen += 1;
            let token = self
                .next_token(&state, sampling, banned, &mut random)
                .await?;
            if token == end_token {
                text.push_str(&reader.finish());
                return Ok(RationaleText {
                    text,
                    truncated: false,
                });
            }
            let piece = reader.push(self.network.tokenizer.bytes(token));
            if !piece.is_empty() {
                told(&piece);
                text.push_str(&piece);
            }
            self.control.progress(Stage::Decode, step + 1, max_tokens);
            if reader.ended() {
                return Ok(RationaleText {
                    text,
                    truncated: false,
                });
            }
            self.pending.push(token);
        }
        text.push_str(&reader.finish());
        Ok(RationaleText {
            text,
            truncated: true,
        })
    }

    async fn next_token(
        &self,
        state: &D::Matrix,
        sampling: Sampling,
        banned: &[u32],
        random: &mut Random,
    ) -> Result<u32, Error> {
        let device = self.network.device();
        let logits = self.network.decoder.logits(device, state)?;
        match sampling {
            Sampling::Greedy => Ok(device.argmax(&logits, banned).await?),
            Sampling::Nucleus {
                temperature, top_p, ..
            } => {
                let logits = device.read(&logits).await?;
                Ok(draw(&logits, banned, temperature, top_p, random))
            }
        }
    }
}

/// The choice with the highest probability, the first one on a tie.
fn likeliest(choices: &[u32], chances: &[f64]) -> u32 {
    let mut best = 0;
    for (at, chance) in chances.iter().enumerate() {
        if *chance > chances[best] {
            best = at;
        }
    }
    choices.get(best).copied().unwrap_or(0)
}
