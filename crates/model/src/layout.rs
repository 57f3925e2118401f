//! Every tensor of a model file: its name, its shape, and which weight of a checkpoint it is.
//!
//! The names are llama.cpp's (`gguf-py/gguf/constants.py`, `tools/mtmd/clip-impl.h`).

use llavaguard_backend::DType;

use crate::config::ModelConfig;

/// What a tensor is, as far as its number format goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Norms, biases, position embedding, newline: always f32.
    Exact,
    /// The patch embedding: its `3 * p * p` columns fill no blocks.
    PatchEmbedding,
    /// Matrices of the tower and the projector.
    Vision,
    /// Matrices of the language model's layers.
    Language,
    /// Token embedding and output head.
    Embedding,
}

/// Which weight of a checkpoint a tensor comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A weight of SigLIP's vision model, by its name in there.
    Vision(String),
    /// The first (0) or second (1) linear layer of the projector: `weight` or `bias`.
    Projector(usize, &'static str),
    /// The embedding of a row's end.
    Newline,
    /// A weight of Qwen2's model, by its name in there.
    Language(String),
    /// The separate output head.
    Head,
}

/// One tensor of a model file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name in the file.
    pub name: String,
    /// Its shape in the file, rows first.
    pub shape: Vec<usize>,
    /// Its shape in a checkpoint: before flattening and before padding with zeros.
    pub source_shape: Vec<usize>,
    /// Where it comes from.
    pub source: Source,
    /// What it is.
    pub kind: Kind,
}

/// Number formats asked for, by part of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantisation {
    /// Matrices of the language model's layers.
    pub language: DType,
    /// Matrices of the tower and the projector.
    pub vision: DType,
    /// Token embedding and output head.
    pub embedding: DType,
}

impl Quantisation {
    /// `quant` everywhere but where told otherwise. The token embedding is also the output head, where
    /// four bits cost most, so that for q4_0 it is q8_0 unless told otherwise.
    pub fn new(quant: DType, vision: Option<DType>, embedding: Option<DType>) -> Self {
        let by_default = if quant == DType::Q4_0 {
            DType::Q8_0
        } else {
            quant
        };
        Quantisation {
            language: quant,
            vision: vision.unwrap_or(quant),
            embedding: embedding.unwrap_or(by_default),
        }
    }

    /// Width the tower's MLP is stored with: whole blocks where it is quantised. Exact, since the rows
    /// added to `fc1` are zero, `gelu(0) = 0`, and the columns added to `fc2` are zero too.
    pub fn stored_mlp_width(&self, width: usize) -> usize {
        width.next_multiple_of(self.vision.block_len())
    }

    /// The format asked for, by kind of tensor.
    fn wanted(&self, kind: Kind) -> DType {
        match kind {
            Kind::Exact => DType::F32,
            Kind::PatchEmbedding if self.vision == DType::F32 => DType::F32,
            Kind::PatchEmbedding => DType::F16,
            Kind::Vision => self.vision,
            Kind::Language => self.language,
            Kind::Embedding => self.embedding,
        }
    }

    /// Whether a matrix cannot have the format asked for, since its columns fill no whole blocks.
    pub fn falls_back(&self, slot: &Slot) -> bool {
        let cols = slot.shape.last().copied().unwrap_or(1);
        !cols.is_multiple_of(self.wanted(slot.kind).block_len())
    }

    /// The format a tensor is stored in: the one asked for, or f16 where its columns fill no blocks.
    pub fn dtype(&self, slot: &Slot) -> DType {
        if self.falls_back(slot) {
            DType::F16
        } else {
            self.wanted(slot.kind)
        }
    }
}

/// All tensors of a model, in file order. `mlp_width` is the tower's MLP width before padding.
pub fn slots(config: &ModelConfig, mlp_width: usize) -> Vec<Slot> {
    let mut slots = Slots::default();
    language(&mut slots, config);
    vision(&mut slots, config, mlp_width);
    projector(&mut slots, config);
    slots.0
}

#[derive(Default)]
struct Slots(Vec<Slot>);

impl Slots {
    fn push(&mut self, name: impl Into<String>, shape: &[usize], source: Source, kind: Kind) {
        let (name, shape) = (name.into(), shape.to_vec());
        self.0.push(Slot {
            name,
            source_shape: shape.clone(),
            shape,
            source,
            kind,
        });
    }

    /// A tensor stored in another shape than the checkpoint has.
    fn reshaped(&mut self, name: String, from: &[usize], to: &[usize], source: Source, kind: Kind) {
        let (source_shape, shape) = (from.to_vec(), to.to_vec());
        self.0.push(Slot {
            name,
            shape,
            source_shape,
            source,
            kind,
        });
    }
}

fn language(slots: &mut Slots, config: &ModelConfig) {
    let c = &config.language;
    let (queries, keys) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let of = |name: &str| Source::Language(name.to_owned());
    slots.push(
        "token_embd.weight",
        &[c.vocab, c.hidden],
        of("embed_tokens.weight"),
        Kind::Embedding,
    );
    for layer in 0..c.layers {
        let mut push = |name: &str, shape: &[usize], source: &str, kind| {
            let source = Source::Language(format!("layers.{layer}.{source}"));
            slots.push(format!("blk.{layer}.{name}"), shape, source, kind);
        };
        push(
            "attn_norm.weight",
            &[c.hidden],
            "input_layernorm.weight",
            Kind::Exact,
        );
        for (name, rows) in [("q", queries), ("k", keys), ("v", keys)] {
            let (to, from) = (format!("attn_{name}"), format!("self_attn.{name}_proj"));
            let shape = [rows, c.hidden];
            push(
                &format!("{to}.weight"),
                &shape,
                &format!("{from}.weight"),
                Kind::Language,
            );
            push(
                &format!("{to}.bias"),
                &[rows],
                &format!("{from}.bias"),
                Kind::Exact,
            );
        }
        let shape = [c.hidden, queries];
        push(
            "attn_output.weight",
            &shape,
            "self_attn.o_proj.weight",
            Kind::Language,
        );
        push(
            "ffn_norm.weight",
            &[c.hidden],
            "post_attention_layernorm.weight",
            Kind::Exact,
        );
        let wide = [c.intermediate, c.hidden];
        push(
            "ffn_gate.weight",
            &wide,
            "mlp.gate_proj.weight",
            Kind::Language,
        );
        push("ffn_up.weight", &wide, "mlp.up_proj.weight", Kind::Language);
        let narrow = [c.hidden, c.intermediate];
        push(
            "ffn_down.weight",
            &narrow,
            "mlp.down_proj.weight",
            Kind::Language,
        );
    }
    slots.push(
        "output_norm.weight",
        &[c.hidden],
        of("norm.weight"),
        Kind::Exact,
    );
    if !c.tied_head {
        slots.push(
            "output.weight",
            &[c.vocab, c.hidden],
            Source::Head,
            Kind::Embedding,
        );
    }
}

fn vision(slots: &mut Slots, config: &ModelConfig, mlp_width: usize) {
    let c = &config.vision;
    let h = c.hidden;
    let of = |name: &str| Source::Vision(name.to_owned());
    slots.reshaped(
        "v.patch_embd.weight".to_owned(),
        &[h, 3, c.patch_size, c.patch_size],
        &[h, c.patch_values()],
        of("embeddings.patch_embedding.weight"),
        Kind::PatchEmbedding,
    );
    slots.push(
        "v.patch_embd.bias",
        &[h],
        of("embeddings.patch_embedding.bias"),
        Kind::Exact,
    );
    let positions = of("embeddings.position_embedding.weight");
    slots.push(
        "v.position_embd.weight",
        &[c.patches(), h],
        positions,
        Kind::Exact,
    );
    for layer in 0..c.layers {
        let mut linear = |to: &str, from: &str, stored: [usize; 2], source: [usize; 2]| {
            let kind = if to.starts_with("ln") {
                Kind::Exact
            } else {
                Kind::Vision
            };
            for (part, kind) in [("weight", kind), ("bias", Kind::Exact)] {
                // A norm's gain and every bias are vectors of the output's width.
                let sides = if kind == Kind::Exact { 1 } else { 2 };
                slots.reshaped(
                    format!("v.blk.{layer}.{to}.{part}"),
                    &source[..sides],
                    &stored[..sides],
                    Source::Vision(format!("encoder.layers.{layer}.{from}.{part}")),
                    kind,
                );
            }
        };
        let stored_width = c.intermediate;
        linear("ln1", "layer_norm1", [h, 1], [h, 1]);
        linear("attn_q", "self_attn.q_proj", [h, h], [h, h]);
        linear("attn_k", "self_attn.k_proj", [h, h], [h, h]);
        linear("attn_v", "self_attn.v_proj", [h, h], [h, h]);
        linear("attn_out", "self_attn.out_proj", [h, h], [h, h]);
        linear("ln2", "layer_norm2", [h, 1], [h, 1]);
        linear("ffn_up", "mlp.fc1", [stored_width, h], [mlp_width, h]);
        linear("ffn_down", "mlp.fc2", [h, stored_width], [h, mlp_width]);
    }
}

fn projector(slots: &mut Slots, config: &ModelConfig) {
    let (from, to) = (config.vision.hidden, config.language.hidden);
    for (index, name, cols) in [(0, "mm.0", from), (1, "mm.2", to)] {
        let weight = Source::Projector(index, "weight");
        slots.push(format!("{name}.weight"), &[to, cols], weight, Kind::Vision);
        let bias = Source::Projector(index, "bias");
        slots.push(format!("{name}.bias"), &[to], bias, Kind::Exact);
    }
    slots.push("model.image_newline", &[to], Source::Newline, Kind::Exact);
}
