//! A golden case that a model file carries, so that a device can be tried with the very weights it was
//! given.
//!
//! A few patches of a made-up image go through the whole tower and the projector, and with a newline
//! and some tokens through the whole decoder: many rows, then one, then a few, since kernels differ by
//! the number of rows; last come all logits. So every weight is used and the cost is that of some
//! forty rows. What came out at conversion on the CPU is kept as sums with random signs
//! ([`Sums`]): every value counts in each of them, so a wrong one shows.
//!
//! There are two cases. `rounded` is of devices that round activations to bytes where they meet
//! quantised weights ([`Device::rounding`]), `exact` of those that do not. How far off a device may be
//! was measured too: what a change of the image in its fourth digit makes of each stage, with a margin.

use llavaguard_backend::{Control, DType, Device, DeviceError, RowRef};
use serde::Serialize;

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::gguf::{ByteSource, Gguf, GgufError, Metadata};
use crate::network::Network;
use crate::projector::Projector;
use crate::qwen2::{self, Wanted};
use crate::siglip::VisionTower;
use crate::weights::WeightLoader;

/// Version of the case; 0 in a file whose case was not computed (yet).
const VERSION: u32 = 1;
const KEY_VERSION: &str = "llavaguard.self_test.version";
const KEY_EXACT: &str = "llavaguard.self_test.exact";
const KEY_ROUNDED: &str = "llavaguard.self_test.rounded";

/// What is looked at, in order.
const STAGES: [&str; 6] = ["tower", "projector", "many", "one", "few", "logits"];
/// Sums kept of each stage.
const SUMS: usize = 16;
/// Numbers of a case in the file: of each stage the tolerance and the sums.
const NUMBERS: usize = STAGES.len() * (1 + SUMS);

/// Patches that are looked at.
const PATCHES: usize = 24;
/// Tokens behind them that are read together with them.
const TOKENS: usize = 15;
/// Rows read together in the end.
const FEW: usize = 3;

/// Change of the image by which the tolerance is measured, relative to its values.
const NUDGE: f32 = 1e-4;
/// Times the measured difference that is allowed.
const MARGIN: f64 = 4.0;
/// What is allowed at least: sums in f32 in another order, through all layers.
const LEAST_TOLERANCE: f64 = 2e-3;
/// What is allowed at most: a stage that is more delicate says less, but not nothing.
const MOST_TOLERANCE: f64 = 0.5;
/// Rows of the output head that are held at once while the case is computed.
const HEAD_ROWS: usize = 8192;

/// What a stage's values should come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Golden {
    /// The stage.
    pub stage: &'static str,
    /// How far off the sums may be, relative to them (Euclidean norms).
    pub tolerance: f32,
    /// The sums.
    pub sums: Vec<f32>,
}

/// The golden cases of a model file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfTest {
    /// Version of the case.
    pub version: u32,
    /// What devices come to that leave activations in f32.
    pub exact: Vec<Golden>,
    /// What devices come to that round them before quantised weights.
    pub rounded: Vec<Golden>,
}

impl SelfTest {
    /// The cases of a file; none where it has none, or of a version this program does not know.
    pub fn read(keys: &Metadata) -> Result<Option<SelfTest>, GgufError> {
        let version = keys.find::<u32>(KEY_VERSION)?;
        if version != Some(VERSION) {
            return Ok(None);
        }
        let case = |key| {
            let numbers: &[f32] = keys.get(key)?;
            if numbers.len() != NUMBERS {
                return Err(GgufError::BadValue {
                    key: String::from(key),
                    found: format!("an array of {} numbers", numbers.len()),
                    expected: format!("it must have {NUMBERS}"),
                });
            }
            Ok(goldens(numbers))
        };
        Ok(Some(SelfTest {
            version: VERSION,
            exact: case(KEY_EXACT)?,
            rounded: case(KEY_ROUNDED)?,
        }))
    }

    /// The case of a device that rounds activations, or that does not.
    pub fn case(&self, rounded: bool) -> &[Golden] {
        if rounded { &self.rounded } else { &self.exact }
    }
}

/// Makes room for the cases in a file's metadata; until [`record`] fills it the file has none.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn reserve(keys: &mut Metadata) {
    keys.set(KEY_VERSION, 0_u32);
    keys.set(KEY_EXACT, vec![0.0_f32; NUMBERS]);
    keys.set(KEY_ROUNDED, vec![0.0_f32; NUMBERS]);
}

fn goldens(numbers: &[f32]) -> Vec<Golden> {
    let stages = STAGES.iter().zip(numbers.chunks(1 + SUMS));
    stages
        .map(|(stage, numbers)| Golden {
            stage,
            tolerance: numbers.first().copied().unwrap_or_default(),
            sums: numbers.iter().skip(1).copied().collect(),
        })
        .collect()
}

/// Puts the cases into a model file that has room for them, in place. Whenever that is broken off the
/// file is whole: its version says only in the end that there is a case.
///
/// # Errors
/// Where the file cannot be written, or has no room for them.
#[cfg(not(target_arch = "wasm32"))]
pub fn record(path: &std::path::Path, test: &SelfTest) -> Result<(), crate::gguf::WriteError> {
    use std::io::{Seek, SeekFrom, Write};

    use crate::gguf::{FileSource, WriteError};

    let io = |error| WriteError::Io {
        path: path.to_owned(),
        error,
    };
    let no_room = || WriteError::Plan {
        detail: "the file has no room for a self-test; convert it again".to_owned(),
    };
    let mut source = FileSource::open(path).map_err(io)?;
    let gguf = Gguf::open(&mut source).map_err(|error| WriteError::Plan {
        detail: error.to_string(),
    })?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(io)?;
    for (key, case) in [(KEY_EXACT, &test.exact), (KEY_ROUNDED, &test.rounded)] {
        let room: Option<&[f32]> = gguf.metadata().find(key).unwrap_or_default();
        let at = gguf.value_at(key).filter(|_| {
            room.is_some_and(|room| room.len() == NUMBERS) && case.len() == STAGES.len()
        });
        // Behind the type of the array's values and their number.
        let at = at.ok_or_else(no_room)? + 12;
        let numbers = case.iter().flat_map(|golden| {
            std::iter::once(golden.tolerance).chain(golden.sums.iter().copied())
        });
        let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
        file.seek(SeekFrom::Start(at)).map_err(io)?;
        file.write_all(&bytes).map_err(io)?;
    }
    file.sync_data().map_err(io)?;
    let at = gguf.value_at(KEY_VERSION).ok_or_else(no_room)?;
    file.seek(SeekFrom::Start(at)).map_err(io)?;
    file.write_all(&test.version.to_le_bytes()).map_err(io)?;
    file.sync_data().map_err(io)
}

/// Sums of values with random signs. The sums of a difference are about as large, relative to the sums,
/// as the difference is relative to the values, whichever of them differ (Johnson and Lindenstrauss
/// 1984; Achlioptas 2003).
#[derive(Clone, Default)]
struct Sums {
    sums: [f64; SUMS],
    count: u64,
}

impl Sums {
    fn of(values: &[f32]) -> Vec<f64> {
        let mut sums = Sums::default();
        sums.add(values);
        sums.finish()
    }

    fn add(&mut self, values: &[f32]) {
        for value in values {
            let bits = scrambled(self.count);
            self.count += 1;
            for (at, sum) in self.sums.iter_mut().enumerate() {
                let negative = (bits >> at) & 1 == 1;
                *sum += f64::from(if negative { -value } else { *value });
            }
        }
    }

    fn finish(self) -> Vec<f64> {
        let scale = (self.count.max(1) as f64).sqrt();
        self.sums.iter().map(|sum| sum / scale).collect()
    }
}

/// SplitMix64's output function (Steele, Lea, Flood 2014).
fn scrambled(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The norm of a difference relative to the norm of what was expected.
fn off(found: &[f64], expected: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    let scale = norm(&mut expected.iter().copied());
    if found.len() != expected.len() || !difference.is_finite() {
        return f64::INFINITY;
    }
    difference / scale.max(f64::MIN_POSITIVE)
}

/// What goes in.
struct Inputs {
    /// Pixels of some patches, `[patches, patch values]`.
    pixels: Vec<f32>,
    /// Where in a tile those patches are.
    places: Vec<RowRef>,
    /// Tokens that follow.
    ids: Vec<u32>,
}

impl Inputs {
    /// The inputs of a model, its pixels changed by `nudge` of their size; none for a model too small
    /// for them.
    fn of(config: &ModelConfig, nudge: f32) -> Option<Inputs> {
        let (patches, vocab) = (config.vision.patches(), config.language.vocab as u64);
        let count = PATCHES.min(patches);
        if count + 1 + TOKENS + 1 + FEW > config.language.context || vocab == 0 || count == 0 {
            return None;
        }
        let uniform = |index: u64| ((scrambled(index) >> 40) as f32) / (1 << 23) as f32 - 1.0;
        let pixels = 0..(count * config.vision.patch_values()) as u64;
        let pixels = pixels.map(|at| uniform(at) * (1.0 + nudge * uniform(!at)));
        let places = (0..count).map(|at| RowRef {
            source: 0,
            row: (at * patches / count) as u32,
        });
        let ids = (0..(TOKENS + 1 + FEW) as u64).map(|at| (scrambled(at) % vocab) as u32);
        Some(Inputs {
            pixels: pixels.collect(),
            places: places.collect(),
            ids: ids.collect(),
        })
    }

    fn patches(&self) -> usize {
        self.places.len()
    }
}

/// The visual rows, a newline and the embeddings of tokens as one sequence.
fn sequence<D: Device>(device: &D, parts: [&D::Matrix; 3]) -> Result<D::Matrix, DeviceError> {
    let rows: Vec<RowRef> = (0..)
        .zip(parts)
        .flat_map(|(source, part)| {
            (0..device.shape(part).0 as u32).map(move |row| RowRef { source, row })
        })
        .collect();
    device.gather(&parts, &rows)
}

/// Computes the golden cases of a model file. Weights are read layer by layer, so that memory does not
/// grow with the model; `device` has to be the CPU's, which all others are measured by.
///
/// Gives none for a model too small for a case.
pub async fn compute<D: Device>(
    device: &D,
    source: &mut dyn ByteSource,
    control: &dyn Control,
) -> Result<Option<SelfTest>, ModelError> {
    let gguf = Gguf::open(source)?;
    let config = ModelConfig::from_gguf(&gguf)?;
    let (Some(inputs), Some(nudged)) = (Inputs::of(&config, 0.0), Inputs::of(&config, NUDGE))
    else {
        return Ok(None);
    };
    let inputs = [inputs, nudged];
    let mut loader = WeightLoader::new(device, &gguf, source, control);
    let rounded = case(&mut loader, &config, &inputs).await?;
    let quantised = |dtype| matches!(dtype, DType::Q8_0 | DType::Q4_0);
    let exact = if gguf.sizes().iter().any(|&(.., dtype)| quantised(dtype)) {
        let mut loader = WeightLoader::new(device, &gguf, source, control).decoded();
        case(&mut loader, &config, &inputs).await?
    } else {
        rounded.clone()
    };
    let test = SelfTest {
        version: VERSION,
        exact,
        rounded,
    };
    // Nothing can be compared with what is no number; such a model is refused when it judges.
    let finite = |golden: &Golden| golden.sums.iter().all(|sum| sum.is_finite());
    let numbers = test.exact.iter().chain(&test.rounded).all(finite);
    Ok(numbers.then_some(test))
}

async fn case<D: Device>(
    loader: &mut WeightLoader<'_, D>,
    config: &ModelConfig,
    inputs: &[Inputs; 2],
) -> Result<Vec<Golden>, ModelError> {
    let device = loader.device();
    let mut found = [const { Vec::new() }; 2];
    let pixels = inputs
        .each_ref()
        .map(|inputs| (&*inputs.pixels, &*inputs.places));
    let features = VisionTower::stream(loader, &config.vision, &pixels).await?;
    let projector = Projector::load(loader, config).await?;
    let newline = loader
        .vector("model.image_newline", config.language.hidden)
        .await?;
    let mut sequences = Vec::new();
    for ((features, inputs), found) in features.iter().zip(inputs).zip(&mut found) {
        found.push(Sums::of(&device.read(features).await?));
        let projected = projector.forward(device, features)?;
        found.push(Sums::of(&device.read(&projected).await?));
        let embedded = loader.embedded(&config.language, &inputs.ids).await?;
        sequences.push(sequence(device, [&projected, &newline, &embedded])?);
    }
    let states = qwen2::stream(loader, &config.language, sequences).await?;
    let width = config.language.hidden;
    let mut last = Vec::new();
    for ((states, inputs), found) in states.iter().zip(inputs).zip(&mut found) {
        let values = device.read(states).await?;
        let many = (inputs.patches() + 1 + TOKENS) * width;
        let (many, rest) = values.split_at(many.min(values.len()));
        let (one, few) = rest.split_at(width.min(rest.len()));
        found.extend([many, one, few].map(Sums::of));
        let at = few.len().saturating_sub(width);
        last.push(device.upload(1, width, few.get(at..).unwrap_or_default())?);
    }
    let mut logits = vec![Sums::default(); last.len()];
    for first in (0..config.language.vocab).step_by(HEAD_ROWS) {
        let count = HEAD_ROWS.min(config.language.vocab - first);
        let head = loader.head_rows(&config.language, first, count).await?;
        for (state, logits) in last.iter().zip(&mut logits) {
            let values = device.linear(state, &head, None, llavaguard_backend::Epilogue::None)?;
            logits.add(&device.read(&values).await?);
        }
    }
    for (found, logits) in found.iter_mut().zip(logits) {
        found.push(logits.finish());
    }
    let [found, nudged] = found;
    Ok(STAGES
        .iter()
        .zip(found.iter().zip(&nudged))
        .map(|(stage, (sums, nudged))| Golden {
            stage,
            tolerance: (MARGIN * off(nudged, sums)).clamp(LEAST_TOLERANCE, MOST_TOLERANCE) as f32,
            sums: sums.iter().map(|sum| *sum as f32).collect(),
        })
        .collect())
}

impl<D: Device> Network<D> {
    /// Runs the golden case of the model's file on the device. Gives whether there was one.
    ///
    /// # Errors
    /// [`DeviceError::Wrong`] where the device comes to something else.
    pub async fn self_test(&self, control: &dyn Control) -> Result<bool, ModelError> {
        let inputs = Inputs::of(self.config(), 0.0);
        let (Some(goldens), Some(inputs)) = (self.golden(), inputs) else {
            return Ok(false);
        };
        let device = self.device();
        let mut goldens = goldens.iter();
        let mut compare = |values: &[f32]| {
            goldens
                .next()
                .map_or(Ok(()), |golden| agree(golden, values))
        };

        let features = self
            .tower
            .forward_some(device, &inputs.pixels, &inputs.places, control)
            .await?;
        compare(&device.read(&features).await?)?;
        let projected = self.projector.forward(device, &features)?;
        compare(&device.read(&projected).await?)?;

        let (tokens, rest) = inputs.ids.split_at(TOKENS);
        let (one, few) = rest.split_at(1);
        let embedded = self.decoder.embed(device, tokens)?;
        let many = sequence(device, [&projected, &self.newline, &embedded])?;
        let positions = device.shape(&many).0 + rest.len();
        let mut cache = self.decoder.new_cache(device, positions)?;
        let mut rows = many;
        let mut last = None;
        for next in [Some(one), Some(few), None] {
            let states = self
                .decoder
                .forward(device, &rows, &mut cache, Wanted::AllStates, control)
                .await?;
            if let Some(states) = states {
                compare(&device.read(&states).await?)?;
                last = Some(states);
            }
            if let Some(ids) = next {
                rows = self.decoder.embed(device, ids)?;
            }
        }
        if let Some(states) = last {
            let row = (device.shape(&states).0 as u32).saturating_sub(1);
            let state = device.gather(&[&states], &[RowRef { source: 0, row }])?;
            let logits = self.decoder.logits(device, &state)?;
            compare(&device.read(&logits).await?)?;
        }
        Ok(true)
    }
}

/// Refuses a stage that comes to something else than it should.
fn agree(golden: &Golden, values: &[f32]) -> Result<(), DeviceError> {
    let expected: Vec<f64> = golden.sums.iter().map(|sum| f64::from(*sum)).collect();
    let off = off(&Sums::of(values), &expected);
    if off <= f64::from(golden.tolerance) {
        return Ok(());
    }
    Err(DeviceError::Wrong(format!(
        "the model's self-test is off by {off:.1e} at its stage {:?}, where {:.1e} is allowed",
        golden.stage, golden.tolerance
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_value_shows_in_the_sums() {
        let values: Vec<f32> = (0..4000).map(|i| (i as f32 * 0.37).sin()).collect();
        let sums = Sums::of(&values);
        assert_eq!(off(&sums, &sums), 0.0);
        let mut wrong = values.clone();
        wrong[1234] += 3.0;
        // Relative to the values: 3 / sqrt(4000 / 2) = 0.067.
        let seen = off(&Sums::of(&wrong), &sums);
        assert!((0.02..0.2).contains(&seen), "{seen}");
        wrong.swap(7, 8);
        wrong[1234] = f32::NAN;
        assert_eq!(off(&Sums::of(&wrong), &sums), f64::INFINITY);
        // The order counts.
        let mut turned = values.clone();
        turned.rotate_left(4);
        assert!(off(&Sums::of(&turned), &sums) > 0.5);
    }

    #[test]
    fn a_stage_says_how_far_off_it_is() {
        let values = [1.0, -2.0, 0.5, 4.0];
        let golden = Golden {
            stage: "tower",
            tolerance: 0.01,
            sums: Sums::of(&values).iter().map(|sum| *sum as f32).collect(),
        };
        assert_eq!(agree(&golden, &values), Ok(()));
        let error = agree(&golden, &[1.0, -2.0, 0.5, -4.0]).unwrap_err();
        assert!(error.to_string().contains("\"tower\""), "{error}");
        assert_eq!(error.code(), "device.wrong_result");
    }

    #[test]
    fn a_file_without_a_case_or_with_another_version_has_none() {
        let mut keys = Metadata::new();
        assert_eq!(SelfTest::read(&keys).unwrap(), None);
        reserve(&mut keys);
        assert_eq!(SelfTest::read(&keys).unwrap(), None);
        keys.set(KEY_VERSION, VERSION + 1);
        assert_eq!(SelfTest::read(&keys).unwrap(), None);
        keys.set(KEY_VERSION, VERSION);
        let test = SelfTest::read(&keys).unwrap().unwrap();
        assert_eq!(test.exact.len(), STAGES.len());
        keys.set(KEY_EXACT, vec![0.0_f32; 3]);
        assert!(SelfTest::read(&keys).is_err());
    }
}
