//! A golden image that a model file may carry, so that a device can be tried with the whole way from a
//! file's bytes to a verdict.
//!
//! The model's self-test ([`llavaguard_model::self_test`]) looks into the network with made-up numbers.
//! A golden image is judged as a caller's is: decoded, cut into a tile, encoded, read with a prompt and
//! answered. What it should come to was computed on the CPU, and how far off a device may be was
//! measured there: what the smallest change of its pixels makes of the probabilities, with a margin.

use std::future::Future;
use std::pin::Pin;

use llavaguard_backend::{Cancelled, Control, Device, DeviceError};
use llavaguard_model::ModelError;
use llavaguard_model::config_gguf::GOLDEN_KEYS;
use llavaguard_model::gguf::{GgufError, Metadata};
use llavaguard_policy::{Assessment, Detail, Policy, Rating};
use llavaguard_vision::Rgb8Image;
use serde::{Serialize, Serializer};

use crate::engine::Engine;
use crate::error::Error;
use crate::request::{ImageInput, Rationale, Request, Watcher};

/// Longest golden image, in bytes: it is in every copy of its model.
pub const MAX_GOLDEN_BYTES: usize = 64 << 10;

/// Version of the case.
const VERSION: u32 = 1;

/// Times the pixels are changed, each time otherwise, to measure the tolerance.
const NUDGES: u64 = 4;
/// Times the largest measured difference that is allowed.
const MARGIN: f32 = 2.0;
/// What is allowed at least: three and a half times the most that a device was seen to differ
/// (docs/reliability.md).
const LEAST_TOLERANCE: f32 = 0.005;
/// What is allowed at most: beyond that a case says too little.
const MOST_TOLERANCE: f32 = 0.1;

/// An image and what a model makes of it, under the default policy at detail `low`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Golden {
    /// The image file's bytes, at most [`MAX_GOLDEN_BYTES`]; their number in JSON.
    #[serde(rename = "image_bytes", serialize_with = "length")]
    pub image: Vec<u8>,
    /// Whose image it is and under what licence, where that was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit: Option<String>,
    /// [`Policy::policy_id`] of the default policy.
    pub policy_id: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How far off each of the probabilities may be.
    pub tolerance: f32,
}

/// What an image comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The rating.
    pub rating: Rating,
    /// Id of the category.
    pub category: String,
    /// Probability of `Unsafe`.
    pub unsafe_probability: f32,
    /// Probability of each category given the rating, in the policy's order.
    pub category_probabilities: Vec<f32>,
}

fn length<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(bytes.len() as u64)
}

/// The metadata key of a part of the case.
fn key(part: &str) -> String {
    format!("{GOLDEN_KEYS}{part}")
}

impl Golden {
    /// The case of a file; none where it has none, or one of a version or a policy that this program
    /// does not know.
    ///
    /// # Errors
    /// [`GgufError`] where the case is not what it should be.
    pub fn read(keys: &Metadata) -> Result<Option<Golden>, GgufError> {
        if keys.find::<u32>(&key("version"))? != Some(VERSION) {
            return Ok(None);
        }
        let policy = Policy::default();
        let policy_id: &str = keys.get(&key("policy_id"))?;
        if policy_id != policy.policy_id() {
            return Ok(None);
        }
        let wrong = |part, found: String, expected: String| GgufError::BadValue {
            key: key(part),
            found,
            expected,
        };
        let image: &[u8] = keys.get(&key("image"))?;
        if !(1..=MAX_GOLDEN_BYTES).contains(&image.len()) {
            let found = format!("an array of {} bytes", image.len());
            let expected = format!("it must have 1 to {MAX_GOLDEN_BYTES}");
            return Err(wrong("image", found, expected));
        }
        let name: &str = keys.get(&key("rating"))?;
        let known = [Rating::Safe, Rating::Unsafe]
            .into_iter()
            .find(|rating| rating.name() == name);
        let rating = known.ok_or_else(|| {
            let expected = "it must be \"Safe\" or \"Unsafe\"".to_owned();
            wrong("rating", format!("{name:?}"), expected)
        })?;
        let categories = policy.answer_categories();
        let category: &str = keys.get(&key("category"))?;
        if categories.iter().all(|known| known.id != category) {
            let expected = "it must be the id of one of the default policy's categories".to_owned();
            return Err(wrong("category", format!("{category:?}"), expected));
        }
        let probabilities: &[f32] = keys.get(&key("probabilities"))?;
        let (unsafe_probability, category_probabilities) = match probabilities {
            [first, rest @ ..] if rest.len() == categories.len() => (*first, rest.to_vec()),
            _ => {
                let found = format!("an array of {} numbers", probabilities.len());
                let expected = format!("it must have {}", 1 + categories.len());
                return Err(wrong("probabilities", found, expected));
            }
        };
        if let Some(number) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            let expected = "probabilities are from 0 to 1".to_owned();
            return Err(wrong("probabilities", number.to_string(), expected));
        }
        let tolerance: f32 = keys.get(&key("tolerance"))?;
        if !(tolerance > 0.0 && tolerance <= MOST_TOLERANCE) {
            let expected = format!("it must be above 0 and at most {MOST_TOLERANCE}");
            return Err(wrong("tolerance", tolerance.to_string(), expected));
        }
        Ok(Some(Golden {
            image: image.to_vec(),
            credit: keys.find::<&str>(&key("credit"))?.map(str::to_owned),
            policy_id: policy_id.to_owned(),
            verdict: Verdict {
                rating,
                category: category.to_owned(),
                unsafe_probability,
                category_probabilities,
            },
            tolerance,
        }))
    }

    /// Puts the case into a file's metadata, in place of an earlier one.
    pub fn write(&self, keys: &mut Metadata) {
        let Verdict {
            rating,
            category,
            unsafe_probability,
            category_probabilities,
        } = &self.verdict;
        let mut probabilities = vec![*unsafe_probability];
        probabilities.extend(category_probabilities);
        keys.remove_all(GOLDEN_KEYS);
        keys.set(key("version"), VERSION);
        keys.set(key("image"), self.image.clone());
        if let Some(credit) = &self.credit {
            keys.set(key("credit"), credit.as_str());
        }
        keys.set(key("policy_id"), self.policy_id.as_str());
        keys.set(key("rating"), rating.name());
        keys.set(key("category"), category.as_str());
        keys.set(key("probabilities"), probabilities);
        keys.set(key("tolerance"), self.tolerance);
    }

    /// Refuses a device that comes to something else.
    fn agree(&self, found: &Verdict) -> Result<(), DeviceError> {
        let (expected, off) = (&self.verdict, found.off(&self.verdict));
        let same = found.rating == expected.rating && found.category == expected.category;
        if same && off <= self.tolerance {
            return Ok(());
        }
        let told = |verdict: &Verdict| {
            format!(
                "{}, {}, P(Unsafe) {:.3}",
                verdict.rating.name(),
                verdict.category,
                verdict.unsafe_probability
            )
        };
        Err(DeviceError::Wrong(format!(
            "the model's golden image comes to {}, where {} is right; its probabilities are off by {off:.1e}, where {:.1e} is allowed",
            told(found),
            told(expected),
            self.tolerance
        )))
    }
}

impl Verdict {
    /// The largest difference of a probability.
    fn off(&self, other: &Verdict) -> f32 {
        let all = |verdict: &Verdict| {
            let mut all = vec![verdict.unsafe_probability];
            all.extend(&verdict.category_probabilities);
            all
        };
        let (ours, theirs) = (all(self), all(other));
        if ours.len() != theirs.len() {
            return f32::INFINITY;
        }
        let differences = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs());
        // What is no number is the largest of all.
        differences.max_by(f32::total_cmp).unwrap_or_default()
    }

    /// How far off a device may be, where the smallest change of the image moved a probability by `off`.
    fn tolerance(&self, off: f32) -> Result<f32, Error> {
        let (tolerance, lead) = ((MARGIN * off).max(LEAST_TOLERANCE), self.lead());
        // Of two devices that are off each its own way neither may come to another verdict.
        if tolerance <= MOST_TOLERANCE && lead >= 2.0 * tolerance {
            return Ok(tolerance);
        }
        Err(Error::Option(format!(
            "the smallest change of this image moves its probabilities by {off:.1e}, and its rating and category ({}, {}) lead by {lead:.2}, so a device that computes wrongly would hardly show. Choose a clearer image.",
            self.rating.name(),
            self.category,
        )))
    }

    /// How much probability the rating and the category have over what stands next to them.
    fn lead(&self) -> f32 {
        let mut sorted = self.category_probabilities.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let category = match sorted[..] {
            [first, second, ..] => first - second,
            _ => 1.0,
        };
        category.min((2.0 * self.unsafe_probability - 1.0).abs())
    }
}

impl From<Assessment> for Verdict {
    fn from(assessment: Assessment) -> Verdict {
        let categories = assessment.category_probabilities;
        Verdict {
            rating: assessment.rating,
            category: assessment.category.id,
            unsafe_probability: assessment.unsafe_probability,
            category_probabilities: categories.iter().map(|of| of.probability).collect(),
        }
    }
}

impl<D: Device> Engine<D> {
    /// Judges the golden image that the model's file carries, so that a device that comes to another
    /// verdict is found out before it judges. Gives whether there is one.
    ///
    /// # Errors
    /// [`DeviceError::Wrong`] where the device comes to something else; [`GgufError::BadValue`] where
    /// the image in the file cannot be read.
    pub async fn golden_test(&self, control: &dyn Control) -> Result<bool, Error> {
        let Some(golden) = self.golden() else {
            return Ok(false);
        };
        let found = self.verdict(ImageInput::Encoded(&golden.image), control);
        let found = found.await.map_err(|error| match error {
            Error::Image(_) | Error::Anyres(_) => ModelError::from(GgufError::BadValue {
                key: key("image"),
                found: format!("{} bytes", golden.image.len()),
                expected: format!("they must be an image that can be judged: {error}"),
            })
            .into(),
            // Of this image it is known that the model's output is made of numbers.
            Error::NotANumber { what } => DeviceError::Wrong(format!(
                "for the model's golden image {what} are not numbers"
            ))
            .into(),
            error => error,
        })?;
        golden.agree(&found)?;
        Ok(true)
    }

    /// Computes what an image comes to, and how far off a device may be; this device has to be the
    /// CPU's, which all others are measured by.
    ///
    /// # Errors
    /// [`Error::Option`] where the image is too large for a model's file, or its verdict is too close
    /// to another one to show anything.
    pub async fn golden_case(
        &self,
        image: Vec<u8>,
        credit: Option<String>,
        control: &dyn Control,
    ) -> Result<Golden, Error> {
        if image.len() > MAX_GOLDEN_BYTES {
            return Err(Error::Option(format!(
                "a golden image has at most {MAX_GOLDEN_BYTES} bytes, this one has {}. Make it smaller.",
                image.len()
            )));
        }
        let verdict = self.verdict(ImageInput::Encoded(&image), control).await?;
        let decoded = self.decode(ImageInput::Encoded(&image))?;
        let mut off = 0.0_f32;
        for seed in 0..NUDGES {
            let pixels = nudged(&decoded, seed);
            let input = ImageInput::Rgba {
                width: decoded.width(),
                height: decoded.height(),
                pixels: &pixels,
            };
            off = off.max(self.verdict(input, control).await?.off(&verdict));
        }
        let tolerance = verdict.tolerance(off)?;
        Ok(Golden {
            image,
            credit,
            policy_id: Policy::default().policy_id().to_owned(),
            verdict,
            tolerance,
        })
    }

    async fn verdict(
        &self,
        image: ImageInput<'_>,
        control: &dyn Control,
    ) -> Result<Verdict, Error> {
        let request = Request {
            policy: Policy::default(),
            detail: Detail::Low,
            rationale: Rationale::None,
        };
        Ok(self.assess(image, &request, &Quiet(control)).await?.into())
    }
}

/// The image as RGBA, every value of which is one up, one down or as it was.
fn nudged(image: &Rgb8Image, seed: u64) -> Vec<u8> {
    // An LCG's high bits (Knuth's MMIX).
    let mut state = seed;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let (pixels, _) = image.data().as_chunks::<3>();
    pixels
        .iter()
        .flat_map(|pixel| {
            let [r, g, b] = pixel.map(|value| match next() % 3 {
                0 => value.saturating_sub(1),
                1 => value,
                _ => value.saturating_add(1),
            });
            [r, g, b, u8::MAX]
        })
        .collect()
}

/// Passes a cancellation on and tells nothing: nobody asked for this assessment.
struct Quiet<'a>(&'a dyn Control);

impl Control for Quiet<'_> {
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>> {
        self.0.checkpoint()
    }
}

impl Watcher for Quiet<'_> {
    fn now_ms(&self) -> f64 {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(unsafe_probability: f32, categories: [f32; 3]) -> Verdict {
        Verdict {
            rating: Rating::Unsafe,
            category: "O6".to_owned(),
            unsafe_probability,
            category_probabilities: categories.to_vec(),
        }
    }

    #[test]
    fn any_probability_counts() {
        let clear = verdict(0.9, [0.0, 0.9, 0.1]);
        assert_eq!(clear.off(&clear), 0.0);
        assert!((verdict(0.6, [0.0, 0.9, 0.1]).off(&clear) - 0.3).abs() < 1e-6);
        assert!((verdict(0.9, [0.2, 0.7, 0.1]).off(&clear) - 0.2).abs() < 1e-6);
        assert!(verdict(0.9, [f32::NAN, 0.9, 0.1]).off(&clear).is_nan());
        let mut shorter = clear.clone();
        shorter.category_probabilities.pop();
        assert_eq!(shorter.off(&clear), f32::INFINITY);
    }

    #[test]
    fn the_tolerance_is_what_was_measured_and_an_unclear_image_is_refused() {
        let clear = verdict(0.9, [0.0, 0.9, 0.1]);
        assert_eq!(clear.tolerance(0.0).unwrap(), LEAST_TOLERANCE);
        assert_eq!(clear.tolerance(0.004).unwrap(), 0.008);
        for (verdict, off) in [
            (&clear, 0.06),
            (&clear, f32::INFINITY),
            (&verdict(0.505, [0.0, 0.9, 0.1]), 0.004),
            (&verdict(0.495, [0.0, 0.9, 0.1]), 0.004),
            (&verdict(0.9, [0.45, 0.45, 0.1]), 0.0),
        ] {
            let error = verdict.tolerance(off).unwrap_err();
            assert_eq!(error.code(), "engine.bad_option");
            assert!(error.to_string().contains("clearer"), "{error}");
        }
    }
}
