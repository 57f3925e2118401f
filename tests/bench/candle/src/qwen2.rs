//! candle-transformers' `quantized_qwen2` at the sizes of LlavaGuard 0.5B's language model.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use candle_core::{D, Device, Result, Tensor};
use candle_transformers::models::quantized_qwen2::ModelWeights;

use crate::Quant;
use crate::random::{Random, RandomGguf};

/// Layers of the whole model.
pub const LAYERS: usize = 24;

const HIDDEN: usize = 896;
const INTERMEDIATE: usize = 4864;
const HEADS: usize = 14;
const KV_HEADS: usize = 2;
const VOCAB: usize = 152_000;
const CONTEXT: usize = 32_768;

/// The language model with its key/value cache.
pub struct Qwen2 {
    model: ModelWeights,
    device: Device,
    /// Positions in the cache.
    filled: usize,
}

impl Qwen2 {
    /// Random weights, all matrices in `quant`, vectors in f32; the head is the embedding.
    pub fn new(layers: usize, quant: Quant) -> Result<Qwen2> {
        let mut file = RandomGguf::new(metadata(layers));
        let (matrix, vector) = (quant.ggml(), Quant::F32.ggml());
        let kv = KV_HEADS * HIDDEN / HEADS;
        file.add("token_embd.weight".to_owned(), (VOCAB, HIDDEN), matrix);
        file.add("output_norm.weight".to_owned(), HIDDEN, vector);
        for layer in 0..layers {
            let mut add = |name: &str, rows: usize, cols: usize| {
                let name = format!("blk.{layer}.{name}");
                match cols {
                    1 => file.add(name, rows, vector),
                    _ => file.add(name, (rows, cols), matrix),
                }
            };
            add("attn_norm.weight", HIDDEN, 1);
            add("attn_q.weight", HIDDEN, HIDDEN);
            add("attn_q.bias", HIDDEN, 1);
            add("attn_k.weight", kv, HIDDEN);
            add("attn_k.bias", kv, 1);
            add("attn_v.weight", kv, HIDDEN);
            add("attn_v.bias", kv, 1);
            add("attn_output.weight", HIDDEN, HIDDEN);
            add("ffn_norm.weight", HIDDEN, 1);
            add("ffn_gate.weight", INTERMEDIATE, HIDDEN);
            add("ffn_up.weight", INTERMEDIATE, HIDDEN);
            add("ffn_down.weight", HIDDEN, INTERMEDIATE);
        }
        let (content, mut reader) = file.into_parts();
        let device = Device::Cpu;
        Ok(Qwen2 {
            model: ModelWeights::from_gguf(content, &mut reader, &device)?,
            device,
            filled: 0,
        })
    }

    /// Reads `tokens` tokens from an empty cache, in one pass as candle's examples do, and gives the
    /// milliseconds that took.
    pub fn prefill(&mut self, tokens: usize, now: impl Fn() -> f64) -> Result<f64> {
        self.model.clear_kv_cache();
        self.filled = 0;
        let mut random = Random::new(2);
        let ids: Vec<u32> = (0..tokens).map(|_| random.below(VOCAB as u32)).collect();
        let ids = Tensor::from_vec(ids, (1, tokens), &self.device)?;
        let start = now();
        let logits = self.model.forward(&ids, 0)?;
        likeliest(&logits)?;
        let end = now();
        self.filled = tokens;
        Ok(end - start)
    }

    /// Writes `tokens` tokens behind `context` others, always the likeliest, and gives the
    /// milliseconds that took. A context left by [`Qwen2::prefill`] is used, else it is read first,
    /// which does not count.
    pub fn decode(&mut self, context: usize, tokens: usize, now: impl Fn() -> f64) -> Result<f64> {
        if self.filled != context {
            self.prefill(context, &now)?;
        }
        let start = now();
        let mut token = 1;
        for _ in 0..tokens {
            let input = Tensor::from_slice(&[token], (1, 1), &self.device)?;
            token = likeliest(&self.model.forward(&input, self.filled)?)?;
            self.filled += 1;
        }
        Ok(now() - start)
    }
}

/// The likeliest token. Logits that are not numbers are an error: what computed them proves nothing.
fn likeliest(logits: &Tensor) -> Result<u32> {
    let logits = logits.squeeze(0)?;
    let token = logits.argmax(D::Minus1)?.to_scalar::<u32>()?;
    if !logits.get(token as usize)?.to_scalar::<f32>()?.is_finite() {
        candle_core::bail!("the logits are not numbers");
    }
    Ok(token)
}

fn metadata(layers: usize) -> HashMap<String, Value> {
    let sizes = [
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("embedding_length", HIDDEN),
        ("context_length", CONTEXT),
        ("block_count", layers),
    ];
    let sizes = sizes.map(|(key, size)| (key, Value::U32(size as u32)));
    let floats = [
        ("attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("rope.freq_base", Value::F32(1e6)),
    ];
    sizes
        .into_iter()
        .chain(floats)
        .map(|(key, value)| (format!("qwen2.{key}"), value))
        .collect()
}
