//! The conventions by which checkpoints name their tensors.

use crate::layout::Source;

/// Who wrote a checkpoint, as far as names go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// LLaVA-NeXT's own code.
    Original,
    /// transformers before 4.52.
    HuggingFaceBefore452,
    /// transformers 4.52 and later 4.x.
    HuggingFace452,
    /// Module names of transformers 5 (its `state_dict`).
    Transformers5,
    /// What `save_pretrained` of transformers 5 writes: the old prefixes with the new tower.
    Transformers5Saved,
}

impl Dialect {
    const ALL: [Dialect; 5] = [
        Dialect::Original,
        Dialect::HuggingFaceBefore452,
        Dialect::HuggingFace452,
        Dialect::Transformers5,
        Dialect::Transformers5Saved,
    ];

    /// The convention that explains most of `names`, or `None` where none explains any tensor of a
    /// vision tower and of a projector.
    pub fn detect<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<Dialect> {
        Dialect::ALL
            .into_iter()
            .filter(|dialect| {
                let (vision, projector) = (dialect.vision(), dialect.projector(0));
                names.clone().any(|name| name.starts_with(vision))
                    && names.clone().any(|name| name.starts_with(projector))
            })
            .max_by_key(|dialect| names.clone().filter(|name| dialect.knows(name)).count())
    }

    /// The words for reports.
    pub fn describe(self) -> &'static str {
        match self {
            Dialect::Original => "original LLaVA-NeXT",
            Dialect::HuggingFaceBefore452 => "transformers before 4.52",
            Dialect::HuggingFace452 => "transformers 4.52 and later",
            Dialect::Transformers5 => "transformers 5 (module names)",
            Dialect::Transformers5Saved => "transformers 5 (saved)",
        }
    }

    /// The name of a weight.
    pub fn name(self, source: &Source) -> String {
        match source {
            Source::Vision(name) => format!("{}{name}", self.vision()),
            Source::Projector(layer, part) => format!("{}.{part}", self.projector(*layer)),
            Source::Newline => self.newline().to_owned(),
            Source::Language(name) => format!("{}{name}", self.language()),
            Source::Head => self.head().to_owned(),
        }
    }

    /// Why a tensor the model file has no place for may be left out; `None` where nothing is known
    /// about it.
    ///
    /// `vision_layers` are the layers that are run, `tied_head` says that the output head is the
    /// token embedding.
    pub fn explain(
        self,
        name: &str,
        vision_layers: usize,
        tied_head: bool,
    ) -> Option<&'static str> {
        if let Some(part) = name.strip_prefix(self.vision()) {
            return explain_vision(part, vision_layers);
        }
        if name.ends_with(".rotary_emb.inv_freq") && name.starts_with(self.language()) {
            return Some("rotary frequencies are computed from the configuration");
        }
        if name == self.head() && tied_head {
            return Some("the output head is tied to the token embedding");
        }
        None
    }

    /// Whether a name can be one of this convention.
    fn knows(self, name: &str) -> bool {
        let bare = |prefix: &str, starts: &[&str]| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| starts.iter().any(|s| rest.starts_with(s)))
        };
        bare(
            self.vision(),
            &["embeddings.", "encoder.", "post_layernorm.", "head."],
        ) || bare(self.language(), &["embed_tokens.", "layers.", "norm."])
            || name.starts_with(self.projector(0))
            || name.starts_with(self.projector(1))
            || name == self.newline()
            || name == self.head()
    }

    fn vision(self) -> &'static str {
        match self {
            Dialect::Original => "model.vision_tower.vision_tower.vision_model.",
            Dialect::HuggingFaceBefore452 => "vision_tower.vision_model.",
            Dialect::HuggingFace452 => "model.vision_tower.vision_model.",
            Dialect::Transformers5 => "model.vision_tower.",
            Dialect::Transformers5Saved => "vision_tower.",
        }
    }

    fn projector(self, layer: usize) -> &'static str {
        match (self, layer) {
            (Dialect::Original, 0) => "model.mm_projector.0",
            (Dialect::Original, _) => "model.mm_projector.2",
            (Dialect::HuggingFaceBefore452 | Dialect::Transformers5Saved, 0) => {
                "multi_modal_projector.linear_1"
            }
            (Dialect::HuggingFaceBefore452 | Dialect::Transformers5Saved, _) => {
                "multi_modal_projector.linear_2"
            }
            (Dialect::HuggingFace452 | Dialect::Transformers5, 0) => {
                "model.multi_modal_projector.linear_1"
            }
            (Dialect::HuggingFace452 | Dialect::Transformers5, _) => {
                "model.multi_modal_projector.linear_2"
            }
        }
    }

    fn newline(self) -> &'static str {
        match self {
            Dialect::HuggingFaceBefore452 | Dialect::Transformers5Saved => "image_newline",
            _ => "model.image_newline",
        }
    }

    fn language(self) -> &'static str {
        match self {
            Dialect::Original => "model.",
            Dialect::HuggingFaceBefore452 | Dialect::Transformers5Saved => "language_model.model.",
            Dialect::HuggingFace452 | Dialect::Transformers5 => "model.language_model.",
        }
    }

    fn head(self) -> &'static str {
        match self {
            Dialect::HuggingFaceBefore452 | Dialect::Transformers5Saved => {
                "language_model.lm_head.weight"
            }
            _ => "lm_head.weight",
        }
    }
}

fn explain_vision(part: &str, layers: usize) -> Option<&'static str> {
    if part.starts_with("post_layernorm.") {
        return Some("the features are taken before the tower's last layer norm");
    }
    if part.starts_with("head.") {
        return Some("the tower's pooling head is not used");
    }
    if part == "embeddings.position_ids" {
        return Some("positions are counted, not stored");
    }
    let layer = part.strip_prefix("encoder.layers.")?.split('.').next()?;
    let layer: usize = layer.parse().ok()?;
    (layer >= layers).then_some("layers of the tower after the chosen one are not run")
}
