//! SigLIP-so400m at 384 pixels: candle-transformers' own in f32, and the same with candle's
//! quantised products, which candle-transformers has not.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{Device, Module, Result, Tensor};
use candle_nn::{Activation, Conv2d, Conv2dConfig, LayerNorm, VarBuilder};
use candle_transformers::models::siglip::{VisionConfig, VisionModel};
use candle_transformers::quantized_nn::Linear;

use crate::Quant;
use crate::random::{tensor, var_builder};

/// Layers that LlavaGuard runs.
pub const LAYERS: usize = 26;

/// The tower with a tile to look at.
pub struct Siglip {
    tower: Box<dyn Module>,
    tile: Tensor,
}

impl Siglip {
    /// Random weights; with a quantised format all matrices of the layers are in it.
    pub fn new(layers: usize, quant: Quant) -> Result<Siglip> {
        let device = Device::Cpu;
        let config = VisionConfig {
            image_size: 384,
            num_hidden_layers: layers,
            ..VisionConfig::paligemma_3b_224()
        };
        let side = config.image_size;
        let weights = var_builder(&device);
        let tower: Box<dyn Module> = match quant {
            Quant::F32 => Box::new(VisionModel::new(&config, false, weights)?),
            quant => Box::new(QuantizedTower::new(&config, quant, weights)?),
        };
        Ok(Siglip {
            tower,
            tile: tensor((1, config.num_channels, side, side), "tile", &device)?,
        })
    }

    /// Looks at the tile and gives the milliseconds that took.
    pub fn encode(&self, now: impl Fn() -> f64) -> Result<f64> {
        let start = now();
        let features = self.tower.forward(&self.tile)?;
        let sum = features.sum_all()?.to_scalar::<f32>()?;
        let end = now();
        if !sum.is_finite() {
            candle_core::bail!("the features are not numbers");
        }
        Ok(end - start)
    }
}

/// The tower with quantised layers; the rest is f32 as in candle-transformers' own.
struct QuantizedTower {
    patches: Conv2d,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

impl QuantizedTower {
    /// Takes the weights candle-transformers' tower would take.
    fn new(config: &VisionConfig, quant: Quant, weights: VarBuilder) -> Result<QuantizedTower> {
        let width = config.hidden_size;
        let stride = Conv2dConfig {
            stride: config.patch_size,
            ..Default::default()
        };
        let (embeddings, layers) = (weights.pp("embeddings"), weights.pp("encoder.layers"));
        let layers =
            (0..config.num_hidden_layers).map(|layer| Layer::new(config, quant, layers.pp(layer)));
        Ok(QuantizedTower {
            patches: candle_nn::conv2d(
                config.num_channels,
                width,
                config.patch_size,
                stride,
                embeddings.pp("patch_embedding"),
            )?,
            positions: embeddings
                .pp("position_embedding")
                .get((config.num_patches(), width), "weight")?,
            layers: layers.collect::<Result<_>>()?,
            norm: norm(config, weights.pp("post_layernorm"))?,
        })
    }
}

impl Module for QuantizedTower {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // [1, width, 27, 27] to [1, 729, width]
        let x = x.apply(&self.patches)?.flatten_from(2)?.transpose(1, 2)?;
        let mut x = x.broadcast_add(&self.positions)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        x.apply(&self.norm)
    }
}

/// One encoder layer.
struct Layer {
    heads: usize,
    attention_norm: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    mlp_norm: LayerNorm,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Layer {
    fn new(config: &VisionConfig, quant: Quant, weights: VarBuilder) -> Result<Layer> {
        // Blocks hold 32 values: the 4304 columns of the MLP become 4320, as in LlavaGuard's files.
        // GELU(0) = 0, so the zeros change nothing.
        let whole = |size: usize| size.next_multiple_of(quant.ggml().block_size());
        let linear = |name: &str, rows: usize, cols: usize| {
            let weights = weights.pp(name);
            let weight = weights
                .get((rows, cols), "weight")?
                .pad_with_zeros(0, 0, whole(rows) - rows)?
                .pad_with_zeros(1, 0, whole(cols) - cols)?;
            let bias = weights
                .get(rows, "bias")?
                .pad_with_zeros(0, 0, whole(rows) - rows)?;
            let weight = Arc::new(QTensor::quantize(&weight, quant.ggml())?);
            Linear::from_arc(weight, Some(bias))
        };
        let (width, mlp) = (config.hidden_size, config.intermediate_size);
        Ok(Layer {
            heads: config.num_attention_heads,
            attention_norm: norm(config, weights.pp("layer_norm1"))?,
            query: linear("self_attn.q_proj", width, width)?,
            key: linear("self_attn.k_proj", width, width)?,
            value: linear("self_attn.v_proj", width, width)?,
            out: linear("self_attn.out_proj", width, width)?,
            mlp_norm: norm(config, weights.pp("layer_norm2"))?,
            up: linear("mlp.fc1", mlp, width)?,
            down: linear("mlp.fc2", width, mlp)?,
            activation: config.hidden_act,
        })
    }

    /// Full attention as candle-transformers' SigLIP computes it.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, width) = x.dims3()?;
        let head = width / self.heads;
        let split = |x: Tensor| {
            x.reshape((batch, rows, self.heads, head))?
                .transpose(1, 2)?
                .contiguous()
        };
        let q = split(x.apply(&self.query)?)?;
        let k = split(x.apply(&self.key)?)?;
        let v = split(x.apply(&self.value)?)?;
        let scores = (q.matmul(&k.t()?)? * (head as f64).powf(-0.5))?;
        candle_nn::ops::softmax_last_dim(&scores)?
            .matmul(&v)?
            .transpose(1, 2)?
            .reshape((batch, rows, width))?
            .apply(&self.out)
    }
}

impl Module for Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = (x + self.attend(&x.apply(&self.attention_norm)?)?)?;
        let h = x.apply(&self.mlp_norm)?;
        let h = h.apply(&self.up)?.apply(&self.activation)?;
        h.apply(&self.down)? + x
    }
}

fn norm(config: &VisionConfig, weights: VarBuilder) -> Result<LayerNorm> {
    candle_nn::layer_norm(config.hidden_size, config.layer_norm_eps, weights)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_quantised_tower_is_the_other_one_but_for_rounding() {
        let device = Device::Cpu;
        // The MLP's 80 columns do not fill whole blocks, like the real one's.
        let config = VisionConfig {
            hidden_size: 64,
            intermediate_size: 80,
            num_attention_heads: 4,
            num_hidden_layers: 3,
            image_size: 70,
            ..VisionConfig::paligemma_3b_224()
        };
        let own = VisionModel::new(&config, false, var_builder(&device)).unwrap();
        let tile = tensor((1, 3, 70, 70), "tile", &device).unwrap();
        let expected = own.forward(&tile).unwrap();
        let scale = expected.sqr().unwrap().mean_all().unwrap();
        for (quant, bound) in [(Quant::Q8_0, 1e-3), (Quant::Q4_0, 5e-2)] {
            let tower = QuantizedTower::new(&config, quant, var_builder(&device)).unwrap();
            let found = tower.forward(&tile).unwrap();
            assert_eq!(found.dims(), [1, 25, 64]);
            let off = (found - &expected)
                .unwrap()
                .sqr()
                .unwrap()
                .mean_all()
                .unwrap();
            let off = (off / &scale)
                .unwrap()
                .sqrt()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!(off > 0.0 && off < bound, "{quant:?} is off by {off}");
        }
    }
}
