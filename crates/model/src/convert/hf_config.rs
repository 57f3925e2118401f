//! `config.json` and its companions, in the forms four generations of code have written.
//!
//! A sub-configuration that leaves a setting out means the default of its class in transformers
//! (`SiglipVisionConfig`, `Qwen2Config`), as when transformers itself loads it; a sub-configuration
//! that is absent altogether means LLaVA-OneVision's own tower.

use std::path::Path;

use serde_json::{Value, json};

use super::dialect::Dialect;
use super::error::ConvertError;
use super::json::Node;
use crate::config::{
    Activation, AnyresSettings, LanguageConfig, ProjectorConfig, Rounding, VisionConfig,
};
use crate::config_gguf::{MAX_LAYERS, MAX_PINPOINTS, MAX_RESOLUTION, MAX_SIZE};

/// SigLIP's own normalisation; LLaVA-OneVision's preprocessor states the same.
pub const SIGLIP_MEAN_AND_STD: [f32; 3] = [0.5; 3];

/// What the configuration files say, the tokeniser's part excepted.
pub struct HfConfig {
    /// The tower; its MLP width as the checkpoint has it.
    pub vision: VisionConfig,
    /// The projector.
    pub projector: ProjectorConfig,
    /// The language model.
    pub language: LanguageConfig,
    /// The anyres scheme.
    pub anyres: AnyresSettings,
    /// The image token's number, where stated.
    pub image_token: Option<u32>,
    /// The number of the token that ends an answer, where stated.
    pub end_token: Option<u32>,
}

/// A parsed file of the checkpoint.
pub struct JsonFile<'a> {
    /// Its path, for errors.
    pub path: &'a Path,
    /// What it holds.
    pub value: &'a Value,
}

impl JsonFile<'_> {
    /// Its outermost object.
    pub fn root(&self) -> Node<'_> {
        Node::root(self.path, self.value)
    }
}

impl HfConfig {
    /// Reads the sizes and settings of a checkpoint: its `config.json`, and the tower's configuration
    /// where the original code only names it. Normalisation is SigLIP's until
    /// [`preprocessor::read`](super::preprocessor::read) says otherwise.
    pub fn read(
        dialect: Dialect,
        config: &JsonFile<'_>,
        tower: Option<&JsonFile<'_>>,
    ) -> Result<HfConfig, ConvertError> {
        match dialect {
            Dialect::Original => original(config.root(), tower.map(JsonFile::root)),
            _ => hugging_face(config.root()),
        }
    }
}

fn hugging_face(root: Node<'_>) -> Result<HfConfig, ConvertError> {
    root.only("model_type", &json!("llava_onevision"))?;
    root.only("vision_feature_select_strategy", &json!("full"))?;
    root.only("multimodal_projector_bias", &json!(true))?;
    let tower = match root.raw("vision_config") {
        Some(_) => vision(root.below("vision_config", "vision_config."))?,
        None => VisionConfig {
            layers: 26,
            ..siglip_so400m()
        },
    };
    let layers = chosen_layers(root, tower.layers)?;
    let text = root.below("text_config", "text_config.");
    text.only("model_type", &json!("qwen2"))?;
    let tied = text.flag("tie_word_embeddings")?.unwrap_or(false)
        || root.flag("tie_word_embeddings")?.unwrap_or(false);
    let image_token = token(root, "image_token_index")?.or(token(root, "image_token_id")?);
    Ok(HfConfig {
        vision: VisionConfig { layers, ..tower },
        projector: ProjectorConfig {
            activation: activation(root, "projector_hidden_act", "gelu")?,
        },
        language: language(text, tied)?,
        anyres: AnyresSettings {
            // transformers lists (height, width).
            pinpoints: pinpoints(root, 1)?
                .into_iter()
                .map(|(h, w)| (w, h))
                .collect(),
            max_patches: max_patches(root, "vision_aspect_ratio")?,
            rounding: Rounding::HuggingFace,
        },
        image_token,
        end_token: end_token(text)?,
    })
}

/// LLaVA-NeXT's own form. Its `vision_config`, `text_config` and `vision_feature_layer` are
/// placeholders of the class it derives from and say nothing; `mm_vision_select_layer` is ignored by
/// its tower, which drops the last layer whatever it says
/// (llava/model/multimodal_encoder/siglip_encoder.py).
fn original(root: Node<'_>, tower: Option<Node<'_>>) -> Result<HfConfig, ConvertError> {
    root.only("mm_projector_type", &json!("mlp2x_gelu"))?;
    root.only("mm_patch_merge_type", &json!("spatial_unpad"))?;
    root.only("mm_newline_position", &json!("one_token"))?;
    let tower = match tower {
        Some(tower) => {
            let nested = tower.raw("vision_config").is_some();
            vision(if nested {
                tower.below("vision_config", "vision_config.")
            } else {
                tower
            })?
        }
        None => {
            let name = root.text("mm_vision_tower", "")?;
            if !name.ends_with("siglip-so400m-patch14-384") {
                let expected = "only the sizes of google/siglip-so400m-patch14-384 are known; \
                                give the tower's own config.json";
                return Err(root.wrong("mm_vision_tower", expected));
            }
            siglip_so400m()
        }
    };
    let hidden = root.size("mm_hidden_size", MAX_SIZE, Some(tower.hidden))?;
    if hidden != tower.hidden {
        let expected = format!("the tower's width is {}", tower.hidden);
        return Err(root.wrong("mm_hidden_size", expected));
    }
    if tower.layers < 2 {
        return Err(root.wrong("mm_vision_tower", "a tower of two layers or more is needed"));
    }
    let tied = root.flag("tie_word_embeddings")?.unwrap_or(false);
    let pinpoints = pinpoints(root, tower.image_size)?;
    Ok(HfConfig {
        vision: VisionConfig {
            layers: tower.layers - 1,
            ..tower
        },
        projector: ProjectorConfig {
            activation: Activation::Gelu,
        },
        language: language(root, tied)?,
        anyres: AnyresSettings {
            pinpoints,
            max_patches: max_patches(root, "image_aspect_ratio")?,
            rounding: Rounding::Original,
        },
        image_token: token(root, "image_token_index")?,
        end_token: end_token(root)?,
    })
}

/// google/siglip-so400m-patch14-384.
fn siglip_so400m() -> VisionConfig {
    VisionConfig {
        image_size: 384,
        patch_size: 14,
        hidden: 1152,
        intermediate: 4304,
        layers: 27,
        heads: 16,
        layer_norm_eps: 1e-6,
        activation: Activation::GeluTanh,
        image_mean: SIGLIP_MEAN_AND_STD,
        image_std: SIGLIP_MEAN_AND_STD,
    }
}

/// A `SiglipVisionConfig`; all its layers.
fn vision(node: Node<'_>) -> Result<VisionConfig, ConvertError> {
    node.only("model_type", &json!("siglip_vision_model"))?;
    node.only("num_channels", &json!(3))?;
    let config = VisionConfig {
        image_size: square(node, "image_size", 224)?,
        patch_size: square(node, "patch_size", 16)?,
        hidden: node.size("hidden_size", MAX_SIZE, Some(768))?,
        intermediate: node.size("intermediate_size", MAX_SIZE, Some(3072))?,
        layers: node.size("num_hidden_layers", MAX_LAYERS, Some(12))?,
        heads: node.size("num_attention_heads", MAX_SIZE, Some(12))?,
        layer_norm_eps: node.positive("layer_norm_eps", 1e-6)?,
        activation: activation(node, "hidden_act", "gelu_pytorch_tanh")?,
        image_mean: SIGLIP_MEAN_AND_STD,
        image_std: SIGLIP_MEAN_AND_STD,
    };
    if !config.hidden.is_multiple_of(config.heads) {
        let expected = format!("it must divide the width {}", config.hidden);
        return Err(node.wrong("num_attention_heads", expected));
    }
    if config.patch_size > config.image_size {
        return Err(node.wrong("patch_size", "a patch cannot exceed the image"));
    }
    Ok(config)
}

/// A `Qwen2Config`.
fn language(node: Node<'_>, tied_head: bool) -> Result<LanguageConfig, ConvertError> {
    node.only("hidden_act", &json!("silu"))?;
    node.only("use_sliding_window", &json!(false))?;
    let hidden = node.size("hidden_size", MAX_SIZE, Some(4096))?;
    let heads = node.size("num_attention_heads", MAX_SIZE, Some(32))?;
    let kv_heads = node.size("num_key_value_heads", MAX_SIZE, Some(heads.min(32)))?;
    let head_dim = node.size("head_dim", MAX_SIZE, Some((hidden / heads).max(1)))?;
    if node.raw("head_dim").is_none() && !hidden.is_multiple_of(heads) {
        let expected = format!("it must divide the width {hidden}");
        return Err(node.wrong("num_attention_heads", expected));
    }
    if !heads.is_multiple_of(kv_heads) {
        let expected = format!("it must divide the {heads} query heads");
        return Err(node.wrong("num_key_value_heads", expected));
    }
    if !head_dim.is_multiple_of(2) {
        let found = head_dim.to_string();
        return Err(node.error("head_dim", found, "rotary embedding needs an even width"));
    }
    Ok(LanguageConfig {
        hidden,
        intermediate: node.size("intermediate_size", MAX_SIZE, Some(22016))?,
        layers: node.size("num_hidden_layers", MAX_LAYERS, Some(32))?,
        heads,
        kv_heads,
        head_dim,
        vocab: node.size("vocab_size", MAX_SIZE, Some(151_936))?,
        context: node.size("max_position_embeddings", MAX_SIZE, Some(32_768))?,
        rope_theta: rope_theta(node)?,
        rms_norm_eps: node.positive("rms_norm_eps", 1e-6)?,
        tied_head,
    })
}

/// The base of the rotary frequencies: `rope_theta` of transformers 4, `rope_parameters` (or
/// `rope_scaling`) of transformers 5. Scaled variants are refused.
fn rope_theta(node: Node<'_>) -> Result<f32, ConvertError> {
    const DEFAULT: f64 = 10_000.0;
    for (key, prefix) in [
        ("rope_parameters", "rope_parameters."),
        ("rope_scaling", "rope_scaling."),
    ] {
        if node.raw(key).is_none() {
            continue;
        }
        let rope = node.below(key, prefix);
        rope.only("rope_type", &json!("default"))?;
        rope.only("type", &json!("default"))?;
        if rope.raw("rope_theta").is_some() {
            return rope.positive("rope_theta", DEFAULT);
        }
    }
    node.positive("rope_theta", DEFAULT)
}

/// How many layers lead to the features: `vision_feature_layer` indexes the embedding's output (0)
/// and the outputs of the layers.
fn chosen_layers(root: Node<'_>, layers: usize) -> Result<usize, ConvertError> {
    let key = "vision_feature_layer";
    let index = root.raw(key).map_or(Some(-1), Value::as_i64);
    let chosen = index.and_then(|index| {
        let from_end = if index < 0 { layers as i64 + 1 } else { 0 };
        usize::try_from(index.checked_add(from_end)?).ok()
    });
    chosen
        .filter(|chosen| (1..=layers).contains(chosen))
        .ok_or_else(|| {
            root.wrong(
                key,
                format!("one number that names a layer of the tower's {layers} is needed"),
            )
        })
}

fn activation(node: Node<'_>, key: &str, default: &str) -> Result<Activation, ConvertError> {
    match node.text(key, default)? {
        "gelu" => Ok(Activation::Gelu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        _ => Err(node.wrong(key, "only \"gelu\" and \"gelu_pytorch_tanh\" are supported")),
    }
}

/// A side in pixels, which transformers 5 may write as a pair of equal ones.
fn square(node: Node<'_>, key: &str, default: usize) -> Result<usize, ConvertError> {
    match node.raw(key) {
        Some(Value::Array(sides)) => match sides.as_slice() {
            [first, second] if first == second => first
                .as_u64()
                .and_then(|side| usize::try_from(side).ok())
                .filter(|side| (1..=MAX_RESOLUTION).contains(side))
                .ok_or_else(|| node.wrong(key, "two whole numbers are needed")),
            _ => Err(node.wrong(key, "only squares are supported")),
        },
        _ => node.size(key, MAX_RESOLUTION, Some(default)),
    }
}

fn token(node: Node<'_>, key: &str) -> Result<Option<u32>, ConvertError> {
    let Some(value) = node.raw(key) else {
        return Ok(None);
    };
    match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
        Some(id) => Ok(Some(id)),
        None => Err(node.wrong(key, "the number of a token is needed")),
    }
}

/// `eos_token_id`, of which there may be several; the first counts.
fn end_token(node: Node<'_>) -> Result<Option<u32>, ConvertError> {
    match node.raw("eos_token_id") {
        Some(Value::Array(ids)) => {
            let first = ids
                .first()
                .and_then(Value::as_u64)
                .and_then(|id| u32::try_from(id).ok());
            let wrong = || node.wrong("eos_token_id", "the number of a token is needed");
            first.map(Some).ok_or_else(wrong)
        }
        _ => token(node, "eos_token_id"),
    }
}

/// `N` of `anyres_max_N`.
fn max_patches(root: Node<'_>, key: &str) -> Result<usize, ConvertError> {
    root.text(key, "anyres_max_9")?
        .strip_prefix("anyres_max_")
        .and_then(|number| number.parse().ok())
        .filter(|number| (1..=MAX_SIZE).contains(number))
        .ok_or_else(|| root.wrong(key, "only \"anyres_max_N\" is supported"))
}

/// The pairs of `image_grid_pinpoints` in the order of the file; LLaVA-OneVision's 36 where absent.
///
/// The original code also takes the text `"(1x1),...,(6x6)"`, in units of the tile `side`.
fn pinpoints(root: Node<'_>, side: usize) -> Result<Vec<(usize, usize)>, ConvertError> {
    let key = "image_grid_pinpoints";
    let wrong = || {
        let expected =
            format!("1 to {MAX_PINPOINTS} pairs of sides from 1 to {MAX_RESOLUTION} are needed");
        root.wrong(key, expected)
    };
    let pairs = match root.raw(key) {
        None => return Ok(grid((1, 1), (6, 6), 384)),
        Some(Value::Array(pairs)) => pairs.iter().map(pair).collect::<Option<Vec<_>>>(),
        Some(Value::String(text)) => match numbers(text).as_slice() {
            [a, b, .., c, d] if [a, b, c, d].iter().all(|&&x| (1..=64).contains(&x)) => {
                Some(grid((*a, *b), (*c, *d), side))
            }
            _ => None,
        },
        Some(_) => None,
    };
    pairs
        .filter(|pairs| (1..=MAX_PINPOINTS).contains(&pairs.len()))
        .filter(|pairs| {
            let usable = 1..=MAX_RESOLUTION;
            pairs
                .iter()
                .all(|(a, b)| usable.contains(a) && usable.contains(b))
        })
        .ok_or_else(wrong)
}

/// All pairs between two, the first side outermost, times `side`.
fn grid(from: (usize, usize), to: (usize, usize), side: usize) -> Vec<(usize, usize)> {
    (from.0..=to.0)
        .flat_map(|a| (from.1..=to.1).map(move |b| (a * side, b * side)))
        .collect()
}

fn pair(value: &Value) -> Option<(usize, usize)> {
    match value.as_array()?.as_slice() {
        [a, b] => Some((
            usize::try_from(a.as_u64()?).ok()?,
            usize::try_from(b.as_u64()?).ok()?,
        )),
        _ => None,
    }
}

/// The whole numbers in a text.
fn numbers(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}
