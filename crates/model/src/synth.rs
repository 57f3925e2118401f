//! Full-size models with random weights, for benchmarks and tests of size.
//!
//! Weights are scaled so that activations keep a sensible size through all layers: matrices by the
//! square root of their columns, gains near one, biases small. The same seed gives the same file on
//! every machine, since only integer arithmetic and exact scaling are used.

mod tokenizer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use llavaguard_backend::DType;

use crate::config::{
    Activation, AnyresSettings, ChatSettings, LanguageConfig, ModelConfig, ProjectorConfig,
    Rounding, VisionConfig, Wrapping,
};
use crate::config_gguf::{KEY_PROMPT_TEMPLATE, KEY_TOKENIZER};
use crate::convert::{ConvertError, TokenizerFile};
use crate::emit::{self, Progress};
use crate::gguf::Metadata;
use crate::layout::{Kind, Quantisation, Slot, slots};

/// Whose sizes a random model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// LlavaGuard-v1.2-0.5B-OV.
    Half,
    /// LlavaGuard-v1.2-7B-OV.
    Seven,
    /// The demo model.
    Demo,
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "0.5b" => Ok(Preset::Half),
            "7b" => Ok(Preset::Seven),
            "demo" => Ok(Preset::Demo),
            _ => Err(format!(
                "{text:?} is no size; the sizes are 0.5b, 7b and demo"
            )),
        }
    }
}

/// How to make a random model.
#[derive(Debug, Clone)]
pub struct SynthOptions {
    /// Whose sizes.
    pub preset: Preset,
    /// Format of the language model's matrices, and of all others unless told otherwise.
    pub quant: DType,
    /// Format of the tower's and the projector's matrices; as `quant` where `None`.
    pub vision_quant: Option<DType>,
    /// Format of token embedding and output head; as `quant` where `None`, but q8_0 for q4_0.
    pub embedding_quant: Option<DType>,
    /// The same seed gives the same file.
    pub seed: u64,
    /// A `tokenizer.json` to put into the file; a byte-level one is made where `None`.
    pub tokenizer: Option<PathBuf>,
    /// Text whose words become single tokens of the tokeniser that is made, so that a prompt like it
    /// has about as many tokens as with a real vocabulary.
    pub text: Option<String>,
    /// Name of the model.
    pub name: Option<String>,
}

impl SynthOptions {
    /// A model of `preset`'s sizes, all in `quant`, the rest by default.
    pub fn new(preset: Preset, quant: DType) -> Self {
        SynthOptions {
            preset,
            quant,
            vision_quant: None,
            embedding_quant: None,
            seed: 0,
            tokenizer: None,
            text: None,
            name: None,
        }
    }
}

/// What was made.
#[derive(Debug, Clone)]
pub struct SynthReport {
    /// Sizes and settings as written.
    pub config: ModelConfig,
    /// Tensors written.
    pub tensors: usize,
    /// Bytes of tensor data written.
    pub bytes: u64,
}

/// Writes a random model to `out`.
///
/// `progress` is called after every tensor and may stop it. Nothing is left at `out` unless the file
/// is complete.
pub fn synth(
    out: &Path,
    options: &SynthOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<SynthReport, ConvertError> {
    let quants = Quantisation::new(options.quant, options.vision_quant, options.embedding_quant);
    let mut config = sizes(options.preset);
    if let Some(name) = &options.name {
        config.name.clone_from(name);
    }
    let json = match &options.tokenizer {
        None => tokenizer::byte_level(&config.chat, config.language.vocab, options.text.as_deref())
            .map_err(|detail| ConvertError::Tokenizer {
                path: PathBuf::from("tokenizer"),
                detail,
            })?,
        Some(path) => {
            let file = TokenizerFile::read(path, config.language.vocab)?;
            let chat = &mut config.chat;
            chat.image_token = file.control("<image>").unwrap_or(chat.image_token);
            chat.end_token = file.control("<|im_end|>").unwrap_or(chat.end_token);
            file.json
        }
    };
    let mlp_width = config.vision.intermediate;
    config.vision.intermediate = quants.stored_mlp_width(mlp_width);

    let mut metadata = Metadata::new();
    config.write_metadata(&mut metadata);
    metadata.set(KEY_PROMPT_TEMPLATE, "v1.2");
    metadata.set(KEY_TOKENIZER, json);
    let slots = slots(&config, mlp_width);
    let written = emit::write_model(out, &metadata, &slots, &quants, progress, |index, slot| {
        let mut random = Random::new(options.seed, index as u64);
        let (centre, spread) = scale(slot);
        Ok(move |values: &mut [f32]| {
            values
                .iter_mut()
                .for_each(|value| *value = centre + spread * random.normal());
            Ok(())
        })
    })?;
    Ok(SynthReport {
        config,
        tensors: slots.len(),
        bytes: written,
    })
}

/// Mean and standard deviation of a tensor's values.
fn scale(slot: &Slot) -> (f32, f32) {
    let cols: usize = slot.source_shape.iter().skip(1).product();
    let name = slot.name.as_str();
    match slot.kind {
        Kind::Exact if name == "v.position_embd.weight" => (0.0, 0.1),
        Kind::Exact if name == "model.image_newline" => (0.0, 0.3),
        // The other vectors called weight are the gains of norms.
        Kind::Exact if name.ends_with(".weight") => (1.0, 0.1),
        Kind::Exact => (0.0, 0.02),
        Kind::Embedding if name == "token_embd.weight" => (0.0, 0.3),
        _ => (0.0, 1.0 / (cols as f32).sqrt()),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014), and normal-like values by it.
struct Random(u64);

impl Random {
    /// An own sequence for each `stream` of a `seed`.
    fn new(seed: u64, stream: u64) -> Self {
        let mut random = Random(seed);
        let start = random.next();
        let mut random = Random(start ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Mean 0, deviation 1, at most 3.47 away: the sum of four uniform 16-bit numbers.
    fn normal(&mut self) -> f32 {
        /// Deviation of the sum: sqrt(4 * (2^32 - 1) / 12).
        const DEVIATION: f32 = 37_837.23;
        /// Twice the mean of one number.
        const CENTRE: i32 = 4 * 0xffff / 2;
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        (sum as i32 - CENTRE) as f32 / DEVIATION
    }
}

/// Sizes and settings; the tower's MLP width before padding.
fn sizes(preset: Preset) -> ModelConfig {
    let so400m = VisionConfig {
        image_size: 384,
        patch_size: 14,
        hidden: 1152,
        intermediate: 4304,
        layers: 26,
        heads: 16,
        layer_norm_eps: 1e-6,
        activation: Activation::GeluTanh,
        image_mean: [0.5; 3],
        image_std: [0.5; 3],
    };
    let (name, vision, language, steps, max_patches) = match preset {
        Preset::Half => ("random-0.5b", so400m, qwen2_half(), 6, 9),
        Preset::Seven => ("random-7b", so400m, qwen2_seven(), 6, 9),
        Preset::Demo => {
            let vision = VisionConfig {
                image_size: 128,
                patch_size: 16,
                hidden: 256,
                intermediate: 1024,
                layers: 6,
                heads: 4,
                ..so400m
            };
            ("random-demo", vision, qwen2_demo(), 2, 4)
        }
    };
    let side = vision.image_size;
    let pinpoints = (1..=steps)
        .flat_map(|w| (1..=steps).map(move |h| (w * side, h * side)))
        .collect();
    let image_token = match preset {
        Preset::Demo => language.vocab as u32 - 2,
        _ => 151_646,
    };
    ModelConfig {
        name: name.to_owned(),
        vision,
        projector: ProjectorConfig {
            activation: Activation::Gelu,
        },
        language,
        anyres: AnyresSettings {
            pinpoints,
            max_patches,
            rounding: Rounding::HuggingFace,
        },
        chat: ChatSettings {
            wrapping: Wrapping::Training,
            image_token,
            end_token: image_token - 1,
            template: None,
        },
    }
}

fn qwen2_half() -> LanguageConfig {
    LanguageConfig {
        hidden: 896,
        intermediate: 4864,
        layers: 24,
        heads: 14,
        kv_heads: 2,
        head_dim: 64,
        vocab: 152_000,
        context: 32_768,
        rope_theta: 1e6,
        rms_norm_eps: 1e-6,
        tied_head: true,
    }
}

fn qwen2_seven() -> LanguageConfig {
    LanguageConfig {
        hidden: 3584,
        intermediate: 18_944,
        layers: 28,
        heads: 28,
        kv_heads: 4,
        head_dim: 128,
        vocab: 152_064,
        tied_head: false,
        ..qwen2_half()
    }
}

fn qwen2_demo() -> LanguageConfig {
    LanguageConfig {
        hidden: 256,
        intermediate: 512,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 64,
        vocab: 4096,
        context: 4096,
        rope_theta: 1e4,
        ..qwen2_half()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_are_normal_like_and_the_same_everywhere() {
        let mut random = Random::new(7, 3);
        let values: Vec<f64> = (0..200_000).map(|_| f64::from(random.normal())).collect();
        let n = values.len() as f64;
        let moment = |power: i32| values.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.01, "{}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.01, "{}", moment(2));
        // Kurtosis of a sum of four uniform numbers: 3 - 1.2 / 4.
        assert!((moment(4) - 2.7).abs() < 0.05, "{}", moment(4));
        assert!(values.iter().all(|x| x.abs() < 3.47));
        // SplitMix64's published first outputs for seed 1234567.
        let mut known = Random(1_234_567);
        assert_eq!(known.next(), 6_457_827_717_110_365_317);
        assert_eq!(known.next(), 3_203_168_211_198_807_973);
    }
}
