//! A model's sizes and settings as metadata of its GGUF file.
//!
//! The keys are llama.cpp's where it has any (`llava-onevision.*` follows its language models,
//! `clip.vision.*` its multimodal projectors); our own start with `llavaguard.`.

use crate::config::{
    Activation, AnyresSettings, ChatSettings, LanguageConfig, ModelConfig, ProjectorConfig,
    Rounding, VisionConfig, Wrapping,
};
use crate::gguf::{Gguf, GgufError, Metadata};

/// `general.architecture` of our files.
pub const ARCHITECTURE: &str = "llava-onevision";

/// Version of our set of keys and tensors.
pub const FORMAT_VERSION: u32 = 1;

/// Metadata key of the tokeniser: the text of Hugging Face's `tokenizer.json`.
pub const KEY_TOKENIZER: &str = "tokenizer.huggingface.json";

/// Metadata key of the chat template.
pub const KEY_CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Metadata key of the version of the prompt the model was trained on: `v1.2`, `v1.1`, `v1.0`.
pub const KEY_PROMPT_TEMPLATE: &str = "llavaguard.prompt_template";

/// What the metadata keys of a golden image begin with. The network does not know what they say: an
/// image is judged under a policy.
pub const GOLDEN_KEYS: &str = "llavaguard.golden.";

/// Largest width or count a configuration may state; far above any model, far below overflow.
pub(crate) const MAX_SIZE: usize = 1 << 24;

/// Most layers of either network.
pub(crate) const MAX_LAYERS: usize = 1024;

/// Most resolutions a model may list (LLaVA-OneVision's has 36).
pub(crate) const MAX_PINPOINTS: usize = 1024;

/// Largest side, in pixels, of a tile or of a resolution an image is fitted to.
pub(crate) const MAX_RESOLUTION: usize = 1 << 15;

impl ModelConfig {
    /// Reads the configuration from a file's metadata and checks that its sizes fit each other.
    pub fn from_gguf(gguf: &Gguf) -> Result<ModelConfig, GgufError> {
        let keys = gguf.metadata();
        let architecture: &str = keys.get("general.architecture")?;
        if architecture != ARCHITECTURE {
            let expected = format!("this program runs {ARCHITECTURE:?}");
            return Err(bad(
                "general.architecture",
                format!("{architecture:?}"),
                expected,
            ));
        }
        let version: u32 = keys.get("llavaguard.format_version")?;
        if version != FORMAT_VERSION {
            let expected = format!("this program reads format version {FORMAT_VERSION}");
            return Err(bad("llavaguard.format_version", version, expected));
        }
        let config = ModelConfig {
            name: keys.find("general.name")?.unwrap_or("unnamed").to_owned(),
            vision: read_vision(keys)?,
            projector: read_projector(keys)?,
            language: read_language(keys, gguf.tensor("output.weight").is_none())?,
            anyres: read_anyres(keys)?,
            chat: read_chat(keys)?,
        };
        check(&config)?;
        Ok(config)
    }

    /// Sets the keys [`ModelConfig::from_gguf`] reads.
    pub fn write_metadata(&self, keys: &mut Metadata) {
        keys.set("general.architecture", ARCHITECTURE);
        keys.set("general.name", self.name.as_str());
        keys.set("general.quantization_version", 2);
        keys.set("llavaguard.format_version", FORMAT_VERSION);
        write_language(&self.language, keys);
        write_vision(&self.vision, keys);
        keys.set("clip.projector_type", "mlp");
        keys.set(
            "clip.projector_hidden_act",
            activation_name(self.projector.activation),
        );
        write_anyres(&self.anyres, keys);
        write_chat(&self.chat, keys);
    }
}

fn read_vision(keys: &Metadata) -> Result<VisionConfig, GgufError> {
    Ok(VisionConfig {
        image_size: size_up_to(keys, "clip.vision.image_size", MAX_RESOLUTION)?,
        patch_size: size(keys, "clip.vision.patch_size")?,
        hidden: size(keys, "clip.vision.embedding_length")?,
        intermediate: size(keys, "clip.vision.feed_forward_length")?,
        layers: size_up_to(keys, "clip.vision.block_count", MAX_LAYERS)?,
        heads: size(keys, "clip.vision.attention.head_count")?,
        layer_norm_eps: positive(keys, "clip.vision.attention.layer_norm_epsilon")?,
        activation: activation(keys, "clip.vision.hidden_act")?,
        image_mean: channels(keys, "clip.vision.image_mean")?,
        image_std: channels(keys, "clip.vision.image_std")?,
    })
}

fn write_vision(vision: &VisionConfig, keys: &mut Metadata) {
    keys.set("clip.vision.image_size", vision.image_size as u32);
    keys.set("clip.vision.patch_size", vision.patch_size as u32);
    keys.set("clip.vision.embedding_length", vision.hidden as u32);
    keys.set(
        "clip.vision.feed_forward_length",
        vision.intermediate as u32,
    );
    keys.set("clip.vision.block_count", vision.layers as u32);
    keys.set("clip.vision.attention.head_count", vision.heads as u32);
    keys.set(
        "clip.vision.attention.layer_norm_epsilon",
        vision.layer_norm_eps,
    );
    keys.set("clip.vision.hidden_act", activation_name(vision.activation));
    keys.set("clip.vision.image_mean", vision.image_mean.to_vec());
    keys.set("clip.vision.image_std", vision.image_std.to_vec());
}

fn read_projector(keys: &Metadata) -> Result<ProjectorConfig, GgufError> {
    let kind: &str = keys.get("clip.projector_type")?;
    if kind != "mlp" {
        let expected = "this program runs the two-layer projector \"mlp\"".to_owned();
        return Err(bad("clip.projector_type", format!("{kind:?}"), expected));
    }
    Ok(ProjectorConfig {
        activation: activation(keys, "clip.projector_hidden_act")?,
    })
}

fn read_language(keys: &Metadata, tied_head: bool) -> Result<LanguageConfig, GgufError> {
    Ok(LanguageConfig {
        hidden: size(keys, "llava-onevision.embedding_length")?,
        intermediate: size(keys, "llava-onevision.feed_forward_length")?,
        layers: size_up_to(keys, "llava-onevision.block_count", MAX_LAYERS)?,
        heads: size(keys, "llava-onevision.attention.head_count")?,
        kv_heads: size(keys, "llava-onevision.attention.head_count_kv")?,
        head_dim: size(keys, "llava-onevision.attention.key_length")?,
        vocab: size(keys, "llava-onevision.vocab_size")?,
        context: size(keys, "llava-onevision.context_length")?,
        rope_theta: positive(keys, "llava-onevision.rope.freq_base")?,
        rms_norm_eps: positive(keys, "llava-onevision.attention.layer_norm_rms_epsilon")?,
        tied_head,
    })
}

fn write_language(language: &LanguageConfig, keys: &mut Metadata) {
    keys.set("llava-onevision.embedding_length", language.hidden as u32);
    keys.set(
        "llava-onevision.feed_forward_length",
        language.intermediate as u32,
    );
    keys.set("llava-onevision.block_count", language.layers as u32);
    keys.set(
        "llava-onevision.attention.head_count",
        language.heads as u32,
    );
    keys.set(
        "llava-onevision.attention.head_count_kv",
        language.kv_heads as u32,
    );
    keys.set(
        "llava-onevision.attention.key_length",
        language.head_dim as u32,
    );
    keys.set("llava-onevision.vocab_size", language.vocab as u32);
    keys.set("llava-onevision.context_length", language.context as u32);
    keys.set("llava-onevision.rope.freq_base", language.rope_theta);
    keys.set(
        "llava-onevision.attention.layer_norm_rms_epsilon",
        language.rms_norm_eps,
    );
}

fn read_anyres(keys: &Metadata) -> Result<AnyresSettings, GgufError> {
    let merge: &str = keys.get("clip.vision.mm_patch_merge_type")?;
    if merge != "spatial_unpad" {
        let expected = "this program runs \"spatial_unpad\"".to_owned();
        return Err(bad(
            "clip.vision.mm_patch_merge_type",
            format!("{merge:?}"),
            expected,
        ));
    }
    let key = "clip.vision.image_grid_pinpoints";
    let flat: &[i32] = keys.get(key)?;
    let (pairs, rest) = flat.as_chunks::<2>();
    let sides = 1..=MAX_RESOLUTION as i32;
    let usable = rest.is_empty()
        && (1..=MAX_PINPOINTS).contains(&pairs.len())
        && flat.iter().all(|side| sides.contains(side));
    if !usable {
        let expected = format!(
            "it must be 1 to {MAX_PINPOINTS} pairs of width and height, each 1 to {MAX_RESOLUTION}"
        );
        return Err(bad(key, format!("of {} numbers", flat.len()), expected));
    }
    let key = "llavaguard.anyres_rounding";
    let rounding = match keys.get(key)? {
        "original" => Rounding::Original,
        "huggingface" => Rounding::HuggingFace,
        other => {
            return Err(bad(
                key,
                format!("{other:?}"),
                one_of("original", "huggingface"),
            ));
        }
    };
    Ok(AnyresSettings {
        pinpoints: pairs
            .iter()
            .map(|&[w, h]| (w as usize, h as usize))
            .collect(),
        max_patches: size(keys, "clip.vision.anyres_max_patches")?,
        rounding,
    })
}

fn write_anyres(anyres: &AnyresSettings, keys: &mut Metadata) {
    let flat: Vec<i32> = anyres
        .pinpoints
        .iter()
        .flat_map(|&(w, h)| [w as i32, h as i32])
        .collect();
    keys.set("clip.vision.image_grid_pinpoints", flat);
    keys.set("clip.vision.mm_patch_merge_type", "spatial_unpad");
    keys.set("clip.vision.anyres_max_patches", anyres.max_patches as u32);
    let rounding = match anyres.rounding {
        Rounding::Original => "original",
        Rounding::HuggingFace => "huggingface",
    };
    keys.set("llavaguard.anyres_rounding", rounding);
}

fn read_chat(keys: &Metadata) -> Result<ChatSettings, GgufError> {
    let key = "llavaguard.chat_wrapping";
    let wrapping = match keys.get(key)? {
        "training" => Wrapping::Training,
        "huggingface" => Wrapping::HuggingFace,
        other => {
            return Err(bad(
                key,
                format!("{other:?}"),
                one_of("training", "huggingface"),
            ));
        }
    };
    Ok(ChatSettings {
        wrapping,
        image_token: keys.get("llavaguard.image_token_id")?,
        end_token: keys.get("tokenizer.ggml.eos_token_id")?,
        template: keys.find::<&str>(KEY_CHAT_TEMPLATE)?.map(str::to_owned),
    })
}

fn write_chat(chat: &ChatSettings, keys: &mut Metadata) {
    let wrapping = match chat.wrapping {
        Wrapping::Training => "training",
        Wrapping::HuggingFace => "huggingface",
    };
    keys.set("llavaguard.chat_wrapping", wrapping);
    keys.set("llavaguard.image_token_id", chat.image_token);
    keys.set("tokenizer.ggml.eos_token_id", chat.end_token);
    if let Some(template) = &chat.template {
        keys.set(KEY_CHAT_TEMPLATE, template.as_str());
    }
}

/// Refuses sizes that contradict each other, so that the network can divide by them.
fn check(config: &ModelConfig) -> Result<(), GgufError> {
    let ModelConfig {
        vision,
        language,
        chat,
        anyres,
        ..
    } = config;
    if vision.patch_size > vision.image_size {
        let expected = format!("it must not exceed the tile side {}", vision.image_size);
        return Err(bad("clip.vision.patch_size", vision.patch_size, expected));
    }
    if vision.image_std.iter().any(|&std| std <= 0.0) {
        let expected = "deviations must be positive".to_owned();
        return Err(bad(
            "clip.vision.image_std",
            format!("{:?}", vision.image_std),
            expected,
        ));
    }
    if !vision.hidden.is_multiple_of(vision.heads) {
        let expected = format!("it must divide the width {}", vision.hidden);
        return Err(bad(
            "clip.vision.attention.head_count",
            vision.heads,
            expected,
        ));
    }
    if !language.heads.is_multiple_of(language.kv_heads) {
        let expected = format!("it must divide the {} query heads", language.heads);
        return Err(bad(
            "llava-onevision.attention.head_count_kv",
            language.kv_heads,
            expected,
        ));
    }
    if !language.head_dim.is_multiple_of(2) {
        let expected = "rotary embedding needs an even width".to_owned();
        return Err(bad(
            "llava-onevision.attention.key_length",
            language.head_dim,
            expected,
        ));
    }
    for (key, token) in [
        ("llavaguard.image_token_id", chat.image_token),
        ("tokenizer.ggml.eos_token_id", chat.end_token),
    ] {
        if token as usize >= language.vocab {
            let expected = format!("the vocabulary has {} tokens", language.vocab);
            return Err(bad(key, token, expected));
        }
    }
    let side = vision.image_size;
    let ragged = |&&(w, h): &&(usize, usize)| !w.is_multiple_of(side) || !h.is_multiple_of(side);
    if let Some((w, h)) = anyres.pinpoints.iter().find(ragged) {
        let expected = format!("resolutions must be multiples of the tile side {side}");
        return Err(bad(
            "clip.vision.image_grid_pinpoints",
            format!("{w}x{h}"),
            expected,
        ));
    }
    Ok(())
}

fn bad(key: &str, found: impl ToString, expected: String) -> GgufError {
    GgufError::BadValue {
        key: key.to_owned(),
        found: found.to_string(),
        expected,
    }
}

fn one_of(first: &str, second: &str) -> String {
    format!("it must be {first:?} or {second:?}")
}

/// A size from 1 to [`MAX_SIZE`].
fn size(keys: &Metadata, key: &str) -> Result<usize, GgufError> {
    size_up_to(keys, key, MAX_SIZE)
}

fn size_up_to(keys: &Metadata, key: &str, limit: usize) -> Result<usize, GgufError> {
    let value: u64 = keys.get(key)?;
    match usize::try_from(value) {
        Ok(size) if (1..=limit).contains(&size) => Ok(size),
        _ => Err(bad(key, value, format!("it must be from 1 to {limit}"))),
    }
}

fn positive(keys: &Metadata, key: &str) -> Result<f32, GgufError> {
    let value: f32 = keys.get(key)?;
    if value > 0.0 {
        Ok(value)
    } else {
        Err(bad(key, value, "it must be positive".to_owned()))
    }
}

fn channels(keys: &Metadata, key: &str) -> Result<[f32; 3], GgufError> {
    let values: &[f32] = keys.get(key)?;
    <[f32; 3]>::try_from(values).map_err(|_| {
        let expected = "one per colour channel, three, is needed".to_owned();
        bad(key, format!("of {} numbers", values.len()), expected)
    })
}

fn activation(keys: &Metadata, key: &str) -> Result<Activation, GgufError> {
    match keys.get(key)? {
        "gelu" => Ok(Activation::Gelu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => Err(bad(
            key,
            format!("{other:?}"),
            one_of("gelu", "gelu_pytorch_tanh"),
        )),
    }
}

fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::gguf::{Array, Value, Writer};

    fn config() -> ModelConfig {
        ModelConfig {
            name: "a model".into(),
            vision: VisionConfig {
                image_size: 58,
                patch_size: 14,
                hidden: 72,
                intermediate: 104,
                layers: 2,
                heads: 3,
                layer_norm_eps: 1e-5,
                activation: Activation::Gelu,
                image_mean: [0.1, 0.2, 0.3],
                image_std: [0.4, 0.5, 0.6],
            },
            projector: ProjectorConfig {
                activation: Activation::GeluTanh,
            },
            language: LanguageConfig {
                hidden: 80,
                intermediate: 90,
                layers: 3,
                heads: 6,
                kv_heads: 2,
                head_dim: 20,
                vocab: 300,
                context: 1000,
                rope_theta: 5e5,
                rms_norm_eps: 1e-6,
                tied_head: true,
            },
            anyres: AnyresSettings {
                pinpoints: vec![(58, 116), (116, 58)],
                max_patches: 4,
                rounding: Rounding::Original,
            },
            chat: ChatSettings {
                wrapping: Wrapping::HuggingFace,
                image_token: 299,
                end_token: 7,
                template: Some("{{ messages }}".into()),
            },
        }
    }

    fn read(metadata: &Metadata) -> Result<ModelConfig, GgufError> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("x.gguf");
        Writer::create(&out, metadata, &[])
            .unwrap()
            .finish()
            .unwrap();
        let bytes = std::fs::read(out).unwrap();
        ModelConfig::from_gguf(&Gguf::open(&mut bytes.as_slice()).unwrap())
    }

    #[test]
    fn a_configuration_survives_the_file() {
        let mut metadata = Metadata::new();
        config().write_metadata(&mut metadata);
        assert_eq!(read(&metadata).unwrap(), config());
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        for (key, value) in [
            ("general.architecture", Value::from("llama")),
            ("llavaguard.format_version", Value::U32(2)),
            ("clip.vision.image_size", Value::U32(0)),
            ("clip.vision.patch_size", Value::U32(59)),
            ("clip.vision.block_count", Value::U32(1_000_000)),
            ("clip.vision.attention.head_count", Value::U32(5)),
            ("clip.vision.hidden_act", Value::from("relu")),
            ("clip.vision.image_mean", Value::from(vec![0.5, 0.5])),
            (
                "clip.vision.image_mean",
                Value::from(vec![0.5, f32::NAN, 0.5]),
            ),
            ("clip.vision.image_std", Value::from(vec![0.5, 0.0, 0.5])),
            (
                "clip.vision.image_grid_pinpoints",
                Value::from(vec![58, 116, 58]),
            ),
            (
                "clip.vision.image_grid_pinpoints",
                Value::from(vec![58, 59]),
            ),
            (
                "clip.vision.image_grid_pinpoints",
                Value::from(vec![58, -58]),
            ),
            (
                "clip.vision.image_grid_pinpoints",
                Value::Array(Array::I32(vec![])),
            ),
            ("clip.vision.mm_patch_merge_type", Value::from("flat")),
            ("clip.projector_type", Value::from("resampler")),
            ("llava-onevision.attention.head_count_kv", Value::U32(4)),
            ("llava-onevision.attention.key_length", Value::U32(21)),
            ("llava-onevision.rope.freq_base", Value::F32(-1.0)),
            ("llava-onevision.vocab_size", Value::U64(1 << 40)),
            ("llavaguard.image_token_id", Value::U32(300)),
            ("llavaguard.anyres_rounding", Value::from("up")),
            ("llavaguard.chat_wrapping", Value::from("none")),
            ("tokenizer.ggml.eos_token_id", Value::U32(300)),
        ] {
            let mut metadata = Metadata::new();
            config().write_metadata(&mut metadata);
            metadata.set(key, value);
            let error = read(&metadata).unwrap_err();
            assert_eq!(error.code(), "model.wrong_key", "{key}: {error}");
            assert!(error.to_string().contains(key), "{key}: {error}");
        }
    }

    #[test]
    fn keys_that_are_needed_are_named() {
        let mut whole = Metadata::new();
        config().write_metadata(&mut whole);
        let optional = [
            "general.name",
            "general.quantization_version",
            KEY_CHAT_TEMPLATE,
        ];
        for (left_out, _) in whole.iter().filter(|(key, _)| !optional.contains(key)) {
            let mut metadata = Metadata::new();
            for (key, value) in whole.iter().filter(|(key, _)| *key != left_out) {
                metadata.set(key, value.clone());
            }
            let error = read(&metadata).unwrap_err();
            assert_eq!(error.code(), "model.missing_key", "{left_out}: {error}");
            assert!(error.to_string().contains(left_out), "{error}");
        }
    }
}
