//! Sizes and settings of a model, read from its file.

use serde::{Deserialize, Serialize};

/// Everything about a model that is not a weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Human-readable name, e.g. `LlavaGuard-v1.2-0.5B-OV`.
    pub name: String,
    /// The vision tower.
    pub vision: VisionConfig,
    /// The projector between tower and language model.
    pub projector: ProjectorConfig,
    /// The language model.
    pub language: LanguageConfig,
    /// How an image is cut into tiles and its features put together again.
    pub anyres: AnyresSettings,
    /// How the prompt is wrapped for the chat model.
    pub chat: ChatSettings,
}

/// A SigLIP vision tower (Zhai et al. 2023; transformers' `SiglipVisionModel`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Side of a tile in pixels (384).
    pub image_size: usize,
    /// Side of a patch in pixels (14). `image_size % patch_size` pixels at the right and bottom are unused.
    pub patch_size: usize,
    /// Width of the residual stream (1152).
    pub hidden: usize,
    /// Width of the MLP as stored: 4304, or 4320 where it was padded with zeros to whole quantisation blocks.
    pub intermediate: usize,
    /// Layers that are run (26 of SigLIP-so400m's 27).
    pub layers: usize,
    /// Attention heads (16).
    pub heads: usize,
    /// Epsilon of the layer norms (1e-6).
    pub layer_norm_eps: f32,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Mean subtracted from a pixel scaled to 0..1, per channel.
    pub image_mean: [f32; 3],
    /// What the difference is divided by, per channel.
    pub image_std: [f32; 3],
}

/// Two linear layers with an activation between (`mlp2x_gelu`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectorConfig {
    /// The activation between (exact GELU in every released model).
    pub activation: Activation,
}

/// Activation functions the released models use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// GELU by the error function: Hugging Face's `gelu`.
    #[serde(rename = "gelu")]
    Gelu,
    /// GELU by the tanh approximation: Hugging Face's `gelu_pytorch_tanh`.
    #[serde(rename = "gelu_pytorch_tanh")]
    GeluTanh,
}

/// A Qwen2 decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanguageConfig {
    /// Width of the residual stream (896).
    pub hidden: usize,
    /// Width of the gated MLP (4864).
    pub intermediate: usize,
    /// Decoder layers (24).
    pub layers: usize,
    /// Query heads (14).
    pub heads: usize,
    /// Key/value heads (2).
    pub kv_heads: usize,
    /// Width of a head (64).
    pub head_dim: usize,
    /// Rows of the token embedding (152,000 in Hugging Face's conversion of the 0.5B).
    pub vocab: usize,
    /// Longest sequence the model was made for (32,768).
    pub context: usize,
    /// Base of the rotary embedding's frequencies (1e6).
    pub rope_theta: f32,
    /// Epsilon of the RMS norms (1e-6).
    pub rms_norm_eps: f32,
    /// Whether the output head is the token embedding itself.
    pub tied_head: bool,
}

/// The anyres scheme (LLaVA-NeXT's `image_aspect_ratio`, `image_grid_pinpoints`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnyresSettings {
    /// Resolutions `(width, height)` an image may be fitted to, multiples of the tile side.
    pub pinpoints: Vec<(usize, usize)>,
    /// `N` of `anyres_max_N`: above about `N` tiles' worth of features the grid is pooled.
    pub max_patches: usize,
    /// Which of the two published arithmetics for un-padding is used.
    pub rounding: Rounding,
}

/// How the number of un-padded rows or columns is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// LLaVA-NeXT's own: `int(x)`.
    Original,
    /// Hugging Face's: `int(round(x, 7))`.
    HuggingFace,
}

/// How a prompt becomes a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatSettings {
    /// Which wrapping the model is to be asked with.
    pub wrapping: Wrapping,
    /// Token that stands for the image.
    pub image_token: u32,
    /// Token that ends an answer (`<|im_end|>`).
    pub end_token: u32,
    /// The chat template as the checkpoint had it, for other tools.
    pub template: Option<String>,
}

/// The two published chat wrappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wrapping {
    /// As in training and under SGLang: a system turn, the policy stripped.
    Training,
    /// As Hugging Face's processor does it: no system turn, the policy as it is.
    HuggingFace,
}

impl VisionConfig {
    /// Patches along one side of a tile (27).
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Patches of a tile, so visual tokens of a tile (729).
    pub fn patches(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Width of a head (72).
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// Values of one flattened RGB patch (588).
    pub fn patch_values(&self) -> usize {
        3 * self.patch_size * self.patch_size
    }
}
