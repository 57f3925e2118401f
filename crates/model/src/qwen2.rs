//! The Qwen2 decoder (Yang et al. 2024; transformers' `Qwen2Model`): pre-norm layers of
//! grouped-query attention with rotary positions and a gated SiLU MLP.

use llavaguard_backend::{AttentionShape, CacheShape, Control, Device, Epilogue, RowRef, Stage};

use crate::config::LanguageConfig;
use crate::error::ModelError;
use crate::linear::Linear;
use crate::weights::WeightLoader;

/// Rows prefilled together. Bounds the memory of a prefill's activations (a row of the 0.5B's MLP
/// takes 58 kB) and how long a caller who wants to stop has to wait.
pub const PREFILL_ROWS: usize = 512;

/// Keys and values of the positions seen so far.
pub struct KvCache<D: Device> {
    storage: D::Cache,
    len: usize,
    capacity: usize,
}

impl<D: Device> KvCache<D> {
    /// Positions it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no position.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Only the cache is to be filled.
    Cache,
    /// The state behind the last position, from which logits are computed.
    LastState,
    /// The states behind all positions, for measuring how well every next token is foreseen.
    AllStates,
}

/// One decoder layer.
struct DecoderLayer<D: Device> {
    attention_norm: D::Matrix,
    query: Linear<D>,
    key: Linear<D>,
    value: Linear<D>,
    out: Linear<D>,
    mlp_norm: D::Matrix,
    gate: D::Weight,
    up: D::Weight,
    down: Linear<D>,
}

impl<D: Device> DecoderLayer<D> {
    async fn load(
        loader: &mut WeightLoader<'_, D>,
        index: usize,
        config: &LanguageConfig,
    ) -> Result<Self, ModelError> {
        let (width, mlp) = (config.hidden, config.intermediate);
        let (q, kv) = (
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        );
        let name = |part: &str| format!("blk.{index}.{part}");
        Ok(DecoderLayer {
            attention_norm: loader.vector(&name("attn_norm.weight"), width).await?,
            query: loader.linear(&name("attn_q"), q, width).await?,
            key: loader.linear(&name("attn_k"), kv, width).await?,
            value: loader.linear(&name("attn_v"), kv, width).await?,
            out: loader
                .linear_no_bias(&name("attn_output"), width, q)
                .await?,
            mlp_norm: loader.vector(&name("ffn_norm.weight"), width).await?,
            gate: loader.weight(&name("ffn_gate.weight"), mlp, width).await?,
            up: loader.weight(&name("ffn_up.weight"), mlp, width).await?,
            down: loader.linear_no_bias(&name("ffn_down"), width, mlp).await?,
        })
    }

    /// Fills the layer's cache from `x` `[rows, hidden]`; gives the normalised input back.
    fn fill_cache(
        &self,
        device: &D,
        x: &D::Matrix,
        cache: &mut KvCache<D>,
        layer: usize,
        config: &LanguageConfig,
    ) -> Result<D::Matrix, ModelError> {
        let h = device.rms_norm(x, &self.attention_norm, config.rms_norm_eps)?;
        let mut k = self.key.forward(device, &h, Epilogue::None)?;
        let v = self.value.forward(device, &h, Epilogue::None)?;
        device.rotary(&mut k, config.head_dim, cache.len, config.rope_theta)?;
        device.cache_write(&mut cache.storage, layer, cache.len, &k, &v)?;
        Ok(h)
    }

    /// The layer's output for the rows of `x`, which stand at `first` and after it; `h` is `x`
    /// normalised.
    fn attend(
        &self,
        device: &D,
        (x, h): (&D::Matrix, &D::Matrix),
        cache: &KvCache<D>,
        (layer, first): (usize, usize),
        config: &LanguageConfig,
    ) -> Result<D::Matrix, ModelError> {
        let heads = AttentionShape {
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
        };
        let mut q = self.query.forward(device, h, Epilogue::None)?;
        device.rotary(&mut q, config.head_dim, first, config.rope_theta)?;
        let attended = device.cached_attention(&q, &cache.storage, layer, first, heads)?;
        let x = self.out.forward(device, &attended, Epilogue::Add(x))?;
        let h = device.rms_norm(&x, &self.mlp_norm, config.rms_norm_eps)?;
        let h = device.gated(&h, &self.gate, &self.up)?;
        self.down.forward(device, &h, Epilogue::Add(&x))
    }
}

/// The decoder with its embedding and head.
pub struct Decoder<D: Device> {
    config: LanguageConfig,
    embedding: D::Weight,
    layers: Vec<DecoderLayer<D>>,
    norm: D::Matrix,
    /// `None` where the head is the embedding.
    head: Option<D::Weight>,
}

impl<D: Device> Decoder<D> {
    /// Takes the decoder's weights from a file.
    pub async fn load(
        loader: &mut WeightLoader<'_, D>,
        config: &LanguageConfig,
    ) -> Result<Self, ModelError> {
        let embedding = loader
            .weight("token_embd.weight", config.vocab, config.hidden)
            .await?;
        let mut layers = Vec::new();
        for index in 0..config.layers {
            layers.push(DecoderLayer::load(loader, index, config).await?);
        }
        let norm = loader.vector("output_norm.weight", config.hidden).await?;
        let head = match config.tied_head {
            true => None,
            false => Some(
                loader
                    .weight("output.weight", config.vocab, config.hidden)
                    .await?,
            ),
        };
        Ok(Decoder {
            config: config.clone(),
            embedding,
            layers,
            norm,
            head,
        })
    }

    /// An empty cache for `capacity` positions.
    pub fn new_cache(&self, device: &D, capacity: usize) -> Result<KvCache<D>, ModelError> {
        if capacity > self.config.context {
            return Err(ModelError::ContextFull {
                needed: capacity,
                capacity: self.config.context,
            });
        }
        let storage = device.new_cache(CacheShape {
            layers: self.config.layers,
            width: self.config.kv_heads * self.config.head_dim,
            capacity,
        })?;
        Ok(KvCache {
            storage,
            len: 0,
            capacity,
        })
    }

    /// Embeddings of tokens, `[ids.len(), hidden]`.
    pub fn embed(&self, device: &D, ids: &[u32]) -> Result<D::Matrix, ModelError> {
        Ok(device.embed(&self.embedding, ids)?)
    }

    /// Runs the decoder over `x` `[rows, hidden]`, which follows what the cache holds, and adds its
    /// positions to the cache. Where states are wanted, gives the last row's, `[1, hidden]`, or all rows',
    /// `[rows, hidden]`, normalised.
    ///
    /// Long inputs are run piece by piece; by the device's contract that changes no bit. When it is
    /// cancelled or fails the cache holds what it held before.
    pub async fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        cache: &mut KvCache<D>,
        wanted: Wanted,
        control: &dyn Control,
    ) -> Result<Option<D::Matrix>, ModelError> {
        let start = cache.len;
        let result = self.forward_pieces(device, x, cache, wanted, control).await;
        if result.is_err() {
            cache.truncate(start);
        }
        result
    }

    async fn forward_pieces(
        &self,
        device: &D,
        x: &D::Matrix,
        cache: &mut KvCache<D>,
        wanted: Wanted,
        control: &dyn Control,
    ) -> Result<Option<D::Matrix>, ModelError> {
        let (rows, _) = device.shape(x);
        let needed = cache.len + rows;
        if needed > cache.capacity {
            return Err(ModelError::ContextFull {
                needed,
                capacity: cache.capacity,
            });
        }
        let stage = if rows == 1 {
            None
        } else {
            Some(rows.div_ceil(PREFILL_ROWS))
        };
        let mut states = Vec::new();
        for (piece, first) in (0..rows).step_by(PREFILL_ROWS).enumerate() {
            let count = PREFILL_ROWS.min(rows - first);
            let last = first + count == rows;
            let wanted = match wanted {
                Wanted::LastState if !last => Wanted::Cache,
                wanted => wanted,
            };
            let part = rows_of(device, x, first, count)?;
            let state = self
                .forward_piece(device, part, cache, wanted, control, |layer| {
                    if let Some(pieces) = stage {
                        let total = pieces * self.layers.len();
                        control.progress(
                            Stage::Prefill,
                            piece * self.layers.len() + layer + 1,
                            total,
                        );
                    }
                })
                .await?;
            states.extend(state);
        }
        if states.len() > 1 {
            return Ok(Some(all_rows_of(device, &states)?));
        }
        Ok(states.pop())
    }

    async fn forward_piece(
        &self,
        device: &D,
        mut x: D::Matrix,
        cache: &mut KvCache<D>,
        wanted: Wanted,
        control: &dyn Control,
        told: impl Fn(usize),
    ) -> Result<Option<D::Matrix>, ModelError> {
        let (rows, _) = device.shape(&x);
        let first = cache.len;
        for (index, layer) in self.layers.iter().enumerate() {
            control.checkpoint().await?;
            let h = layer.fill_cache(device, &x, cache, index, &self.config)?;
            if index + 1 < self.layers.len() {
                x = layer.attend(device, (&x, &h), cache, (index, first), &self.config)?;
            } else if let Some(from) = read_from(wanted, rows) {
                // Behind the last layer only the positions that are read are computed.
                let x_read = rows_of(device, &x, from, rows - from)?;
                let h_read = rows_of(device, &h, from, rows - from)?;
                let at = (index, first + from);
                x = layer.attend(device, (&x_read, &h_read), cache, at, &self.config)?;
            }
            told(index);
        }
        cache.len += rows;
        match wanted {
            Wanted::Cache => Ok(None),
            Wanted::LastState | Wanted::AllStates => Ok(Some(device.rms_norm(
                &x,
                &self.norm,
                self.config.rms_norm_eps,
            )?)),
        }
    }

    /// Logits of the whole vocabulary for states `[rows, hidden]`: `[rows, vocab]`.
    pub fn logits(&self, device: &D, state: &D::Matrix) -> Result<D::Matrix, ModelError> {
        Ok(device.linear(state, self.head(), None, Epilogue::None)?)
    }

    /// Logits of the tokens `ids` alone: `[1, ids.len()]`.
    pub fn logits_of(
        &self,
        device: &D,
        state: &D::Matrix,
        ids: &[u32],
    ) -> Result<D::Matrix, ModelError> {
        Ok(device.linear_rows(state, self.head(), ids)?)
    }

    fn head(&self) -> &D::Weight {
        self.head.as_ref().unwrap_or(&self.embedding)
    }
}

/// The states behind all rows of each input `[rows, hidden]`, normalised, as [`Decoder::forward`] gives
/// them for an empty cache, with one layer in memory at a time.
pub(crate) async fn stream<D: Device>(
    loader: &mut WeightLoader<'_, D>,
    config: &LanguageConfig,
    mut inputs: Vec<D::Matrix>,
) -> Result<Vec<D::Matrix>, ModelError> {
    let device = loader.device();
    for index in 0..config.layers {
        let layer = DecoderLayer::load(loader, index, config).await?;
        for x in &mut inputs {
            let capacity = device.shape(x).0;
            let storage = device.new_cache(CacheShape {
                layers: 1,
                width: config.kv_heads * config.head_dim,
                capacity,
            })?;
            let mut cache = KvCache {
                storage,
                len: 0,
                capacity,
            };
            let h = layer.fill_cache(device, x, &mut cache, 0, config)?;
            *x = layer.attend(device, (x, &h), &cache, (0, 0), config)?;
        }
    }
    let norm = loader.vector("output_norm.weight", config.hidden).await?;
    let states = inputs.iter();
    let states = states.map(|x| device.rms_norm(x, &norm, config.rms_norm_eps));
    Ok(states.collect::<Result<_, _>>()?)
}

/// The first of `rows` positions whose state is read, where any is.
fn read_from(wanted: Wanted, rows: usize) -> Option<usize> {
    match wanted {
        Wanted::Cache => None,
        Wanted::LastState => rows.checked_sub(1),
        Wanted::AllStates => Some(0),
    }
}

/// The rows of several matrices, one after the other.
fn all_rows_of<D: Device>(device: &D, parts: &[D::Matrix]) -> Result<D::Matrix, ModelError> {
    let sources: Vec<&D::Matrix> = parts.iter().collect();
    let rows: Vec<RowRef> = (0..)
        .zip(&sources)
        .flat_map(|(source, part)| {
            (0..device.shape(part).0 as u32).map(move |row| RowRef { source, row })
        })
        .collect();
    Ok(device.gather(&sources, &rows)?)
}

/// Rows `first..first + count` of a matrix, copied.
fn rows_of<D: Device>(
    device: &D,
    x: &D::Matrix,
    first: usize,
    count: usize,
) -> Result<D::Matrix, ModelError> {
    let rows: Vec<RowRef> = (first..first + count)
        .map(|row| RowRef {
            source: 0,
            row: row as u32,
        })
        .collect();
    Ok(device.gather(&[x], &rows)?)
}
