//! The SigLIP vision tower (Zhai et al. 2023), as LLaVA-OneVision uses it: the residual stream
//! after the last kept layer, before any post-layernorm, no pooling head.

use llavaguard_backend::{AttentionShape, Control, Device, Epilogue, RowRef, Stage};

use crate::config::VisionConfig;
use crate::error::ModelError;
use crate::linear::Linear;
use crate::weights::WeightLoader;

/// Layer normalisation's parameters.
struct LayerNorm<D: Device> {
    gain: D::Matrix,
    bias: D::Matrix,
}

impl<D: Device> LayerNorm<D> {
    async fn load(
        loader: &mut WeightLoader<'_, D>,
        prefix: &str,
        width: usize,
    ) -> Result<Self, ModelError> {
        Ok(LayerNorm {
            gain: loader.vector(&format!("{prefix}.weight"), width).await?,
            bias: loader.vector(&format!("{prefix}.bias"), width).await?,
        })
    }

    fn forward(&self, device: &D, x: &D::Matrix, eps: f32) -> Result<D::Matrix, ModelError> {
        Ok(device.layer_norm(x, &self.gain, &self.bias, eps)?)
    }
}

/// One pre-norm transformer layer.
struct EncoderLayer<D: Device> {
    norm1: LayerNorm<D>,
    query: Linear<D>,
    key: Linear<D>,
    value: Linear<D>,
    out: Linear<D>,
    norm2: LayerNorm<D>,
    up: Linear<D>,
    down: Linear<D>,
}

impl<D: Device> EncoderLayer<D> {
    async fn load(
        loader: &mut WeightLoader<'_, D>,
        index: usize,
        config: &VisionConfig,
    ) -> Result<Self, ModelError> {
        let (width, mlp) = (config.hidden, config.intermediate);
        let name = |part: &str| format!("v.blk.{index}.{part}");
        Ok(EncoderLayer {
            norm1: LayerNorm::load(loader, &name("ln1"), width).await?,
            query: loader.linear(&name("attn_q"), width, width).await?,
            key: loader.linear(&name("attn_k"), width, width).await?,
            value: loader.linear(&name("attn_v"), width, width).await?,
            out: loader.linear(&name("attn_out"), width, width).await?,
            norm2: LayerNorm::load(loader, &name("ln2"), width).await?,
            up: loader.linear(&name("ffn_up"), mlp, width).await?,
            down: loader.linear(&name("ffn_down"), width, mlp).await?,
        })
    }

    /// `x`: `[patches, hidden]`.
    fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        config: &VisionConfig,
    ) -> Result<D::Matrix, ModelError> {
        let heads = AttentionShape {
            heads: config.heads,
            kv_heads: config.heads,
            head_dim: config.head_dim(),
        };
        let h = self.norm1.forward(device, x, config.layer_norm_eps)?;
        let q = self.query.forward(device, &h, Epilogue::None)?;
        let k = self.key.forward(device, &h, Epilogue::None)?;
        let v = self.value.forward(device, &h, Epilogue::None)?;
        let attended = device.attention(&q, &k, &v, heads)?;
        let x = self.out.forward(device, &attended, Epilogue::Add(x))?;
        let h = self.norm2.forward(device, &x, config.layer_norm_eps)?;
        let h = self.up.forward(device, &h, config.activation.epilogue())?;
        self.down.forward(device, &h, Epilogue::Add(&x))
    }
}

/// The whole tower.
pub struct VisionTower<D: Device> {
    config: VisionConfig,
    patch_embedding: Linear<D>,
    position_embedding: D::Matrix,
    layers: Vec<EncoderLayer<D>>,
}

impl<D: Device> VisionTower<D> {
    /// Takes the tower's weights from a file.
    pub async fn load(
        loader: &mut WeightLoader<'_, D>,
        config: &VisionConfig,
    ) -> Result<Self, ModelError> {
        let mut tower = VisionTower::without_layers(loader, config).await?;
        for index in 0..config.layers {
            let layer = EncoderLayer::load(loader, index, config).await?;
            tower.layers.push(layer);
        }
        Ok(tower)
    }

    async fn without_layers(
        loader: &mut WeightLoader<'_, D>,
        config: &VisionConfig,
    ) -> Result<Self, ModelError> {
        Ok(VisionTower {
            config: config.clone(),
            patch_embedding: loader
                .linear("v.patch_embd", config.hidden, config.patch_values())
                .await?,
            position_embedding: loader
                .matrix("v.position_embd.weight", config.patches(), config.hidden)
                .await?,
            layers: Vec::new(),
        })
    }

    /// What [`VisionTower::forward_some`] gives for each of several inputs, with one layer in memory
    /// at a time.
    pub(crate) async fn stream(
        loader: &mut WeightLoader<'_, D>,
        config: &VisionConfig,
        inputs: &[(&[f32], &[RowRef])],
    ) -> Result<Vec<D::Matrix>, ModelError> {
        let device = loader.device();
        let tower = VisionTower::without_layers(loader, config).await?;
        let mut all = Vec::new();
        for (pixels, places) in inputs {
            all.push(tower.embed_some(device, pixels, places)?);
        }
        drop(tower);
        for index in 0..config.layers {
            let layer = EncoderLayer::load(loader, index, config).await?;
            for x in &mut all {
                *x = layer.forward(device, x, config)?;
            }
        }
        Ok(all)
    }

    /// Embeds patches `[places.len(), patch values]` that are at `places` of a tile.
    fn embed_some(
        &self,
        device: &D,
        pixels: &[f32],
        places: &[RowRef],
    ) -> Result<D::Matrix, ModelError> {
        let patches = device.upload(places.len(), self.config.patch_values(), pixels)?;
        let positions = device.gather(&[&self.position_embedding], places)?;
        let added = Epilogue::Add(&positions);
        self.patch_embedding.forward(device, &patches, added)
    }

    /// Encodes some patches of a tile as if there were no others: `[places.len(), hidden]`.
    pub(crate) async fn forward_some(
        &self,
        device: &D,
        pixels: &[f32],
        places: &[RowRef],
        control: &dyn Control,
    ) -> Result<D::Matrix, ModelError> {
        let mut x = self.embed_some(device, pixels, places)?;
        for layer in &self.layers {
            control.checkpoint().await?;
            x = layer.forward(device, &x, &self.config)?;
        }
        Ok(x)
    }

    /// How many layers run on each tile.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Encodes one tile.
    ///
    /// `pixels`: normalised, `[3, S, S]`. Gives `[patches, hidden]`. Progress is told as layers out of
    /// `total`, `done` of which were run for earlier tiles.
    pub async fn forward(
        &self,
        device: &D,
        pixels: &[f32],
        control: &dyn Control,
        done: usize,
        total: usize,
    ) -> Result<D::Matrix, ModelError> {
        let patches = self.patches(pixels)?;
        let patches = device.upload(self.config.patches(), self.config.patch_values(), &patches)?;
        let mut x = self.patch_embedding.forward(
            device,
            &patches,
            Epilogue::Add(&self.position_embedding),
        )?;
        for (index, layer) in self.layers.iter().enumerate() {
            control.checkpoint().await?;
            x = layer.forward(device, &x, &self.config)?;
            control.progress(Stage::Vision, done + index + 1, total);
        }
        Ok(x)
    }

    /// Cuts a tile `[3, S, S]` into rows of one patch each, `(channel, y, x)` within a row: the
    /// convolution with stride = kernel, written as a matrix product.
    fn patches(&self, pixels: &[f32]) -> Result<Vec<f32>, ModelError> {
        let (side, patch, grid) = (
            self.config.image_size,
            self.config.patch_size,
            self.config.grid(),
        );
        if pixels.len() != 3 * side * side {
            return Err(ModelError::Input(format!(
                "a tile of {} values where 3 x {side} x {side} are needed",
                pixels.len()
            )));
        }
        let mut rows = Vec::with_capacity(self.config.patches() * self.config.patch_values());
        for patch_y in 0..grid {
            for patch_x in 0..grid {
                for channel in 0..3 {
                    for y in 0..patch {
                        let start = (channel * side + patch_y * patch + y) * side + patch_x * patch;
                        rows.extend_from_slice(&pixels[start..start + patch]);
                    }
                }
            }
        }
        Ok(rows)
    }
}
