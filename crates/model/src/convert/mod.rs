//! From a checkpoint folder as Hugging Face's or LLaVA-NeXT's code writes it to one GGUF file, or from
//! such a file to another with other number formats ([`model_file`]).
//!
//! The folder is read in three steps. [`checkpoint`] finds every tensor in the safetensors files
//! without reading any; [`dialect`] recognises whose naming it is; [`hf_config`] reads the sizes.
//! Then `layout` lists what the model file must hold, every entry is looked up and its shape
//! compared, and what is left over must be explained, before the first byte is written. The weights
//! are streamed row by row, so memory does not grow with the model.

mod checkpoint;
mod dialect;
mod error;
mod hf_config;
mod json;
mod model_file;
mod options;
mod preprocessor;
mod rewrite;
mod text;

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use crate::config::{ChatSettings, ModelConfig, VisionConfig, Wrapping};
use crate::config_gguf::{KEY_PROMPT_TEMPLATE, KEY_TOKENIZER};
use crate::emit;
pub use crate::emit::Progress;
use crate::gguf::Metadata;
use crate::layout::{Quantisation, Slot, Source, slots};
use checkpoint::Checkpoint;
pub use dialect::Dialect;
pub use error::ConvertError;
use hf_config::{HfConfig, JsonFile};
pub use options::{ConvertOptions, Report};
pub use rewrite::rewrite;
pub(crate) use text::TokenizerFile;

/// Longest configuration file taken, in bytes.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Version of the prompt of the newest released models.
const DEFAULT_PROMPT_TEMPLATE: &str = "v1.2";

/// The image token of every released model, where neither configuration nor tokeniser names one.
const DEFAULT_IMAGE_TOKEN: u32 = 151_646;

/// Converts `source`, a checkpoint folder or a model file an earlier conversion wrote, to the file
/// `out`.
///
/// `progress` is called after every tensor, and with nothing done while a model file's digest is
/// checked; it may stop the conversion. Nothing is left at `out` unless the file is complete; an
/// earlier file there is replaced only then.
pub fn convert(
    source: &Path,
    out: &Path,
    options: &ConvertOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Report, ConvertError> {
    if source.is_file() {
        model_file::convert(source, out, options, progress)
    } else {
        convert_folder(source, out, options, progress)
    }
}

fn convert_folder(
    folder: &Path,
    out: &Path,
    options: &ConvertOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Report, ConvertError> {
    let checkpoint = Checkpoint::open(folder)?;
    let dialect = Dialect::detect(checkpoint.names()).ok_or_else(|| {
        let example = checkpoint
            .names()
            .next()
            .unwrap_or("none at all")
            .to_owned();
        ConvertError::UnknownDialect { example }
    })?;
    let mut notes = Vec::new();
    let quants = Quantisation::new(options.quant, options.vision_quant, options.embedding_quant);
    let read = read_config(folder, dialect, options, &mut notes)?;
    let mlp_width = read.vision.intermediate;
    let tokenizer = TokenizerFile::read(&folder.join("tokenizer.json"), read.language.vocab)?;
    let config = complete(read, &tokenizer, folder, options, &quants, &mut notes)?;
    let work = plan(&checkpoint, dialect, &config, mlp_width)?;
    if config.language.tied_head {
        check_tied_head(&checkpoint, dialect, &folder.join("config.json"))?;
    }

    let mut metadata = Metadata::new();
    config.write_metadata(&mut metadata);
    if let Some(license) = &options.license {
        metadata.set("general.license", license.as_str());
    }
    let version = options.prompt_template.as_deref();
    metadata.set(
        KEY_PROMPT_TEMPLATE,
        version.unwrap_or(DEFAULT_PROMPT_TEMPLATE),
    );
    metadata.set(KEY_TOKENIZER, tokenizer.json);

    note_formats(&work.slots, &quants, &config, mlp_width, &mut notes);
    let bytes = emit::write_model(out, &metadata, &work.slots, &quants, progress, |_, slot| {
        rows_of(&checkpoint, dialect, slot)
    })
    .map_err(|error| in_checkpoints_words(error, dialect, &work.slots))?;
    let (tensors, skipped) = (work.slots.len(), work.skipped);
    Ok(Report {
        dialect: Some(dialect),
        config,
        tensors,
        bytes,
        skipped,
        notes,
    })
}

/// The tensors to write and those left out.
struct Plan {
    slots: Vec<Slot>,
    skipped: Vec<(String, &'static str)>,
}

/// Finds every tensor the model needs, and a reason for every other one.
fn plan(
    checkpoint: &Checkpoint,
    dialect: Dialect,
    config: &ModelConfig,
    mlp_width: usize,
) -> Result<Plan, ConvertError> {
    let slots = slots(config, mlp_width);
    let mut used = BTreeSet::new();
    for slot in &slots {
        let tensor = dialect.name(&slot.source);
        let Some(stored) = checkpoint.tensor(&tensor) else {
            return Err(ConvertError::MissingTensor {
                tensor,
                slot: slot.name.clone(),
            });
        };
        if stored.shape != slot.source_shape {
            let (expected, found) = (slot.source_shape.clone(), stored.shape.clone());
            return Err(ConvertError::WrongShape {
                tensor,
                expected,
                found,
            });
        }
        used.insert(tensor);
    }
    let mut skipped = Vec::new();
    let mut unexplained = Vec::new();
    for name in checkpoint.names().filter(|name| !used.contains(*name)) {
        match dialect.explain(name, config.vision.layers, config.language.tied_head) {
            Some(reason) => skipped.push((name.to_owned(), reason)),
            None => unexplained.push(name.to_owned()),
        }
    }
    if unexplained.is_empty() {
        Ok(Plan { slots, skipped })
    } else {
        Err(ConvertError::Unexplained {
            tensors: unexplained,
        })
    }
}

/// A head that is stored although it is tied must be the token embedding: otherwise either the
/// setting or the weights are wrong, and nobody could say which.
fn check_tied_head(
    checkpoint: &Checkpoint,
    dialect: Dialect,
    config: &Path,
) -> Result<(), ConvertError> {
    let embedding = dialect.name(&Source::Language("embed_tokens.weight".to_owned()));
    let head = dialect.name(&Source::Head);
    let (Some(stored), Some(stored_head)) =
        (checkpoint.tensor(&embedding), checkpoint.tensor(&head))
    else {
        return Ok(());
    };
    let mut same = stored.shape == stored_head.shape;
    if let (true, [rows, cols]) = (same, stored.shape.as_slice()) {
        let mut left = checkpoint.rows(&embedding, stored)?;
        let mut right = checkpoint.rows(&head, stored_head)?;
        let (mut a, mut b) = (vec![0.0; *cols], vec![0.0; *cols]);
        for _ in 0..*rows {
            left.next(&mut a)?;
            right.next(&mut b)?;
            same &= a == b;
        }
    }
    if same {
        return Ok(());
    }
    Err(ConvertError::Config {
        path: config.to_owned(),
        key: "tie_word_embeddings".to_owned(),
        found: "true".to_owned(),
        expected: format!("{head} is not the same as {embedding}"),
    })
}

/// What gives the rows of the tensor a slot comes from.
fn rows_of(
    checkpoint: &Checkpoint,
    dialect: Dialect,
    slot: &Slot,
) -> Result<impl FnMut(&mut [f32]) -> Result<(), ConvertError> + use<>, ConvertError> {
    let tensor = dialect.name(&slot.source);
    let Some(stored) = checkpoint.tensor(&tensor) else {
        return Err(ConvertError::MissingTensor {
            tensor,
            slot: slot.name.clone(),
        });
    };
    let mut rows = checkpoint.rows(&tensor, stored)?;
    Ok(move |values: &mut [f32]| rows.next(values))
}

/// An error about a value names the tensor as the checkpoint does.
fn in_checkpoints_words(error: ConvertError, dialect: Dialect, slots: &[Slot]) -> ConvertError {
    match error {
        ConvertError::Value { tensor, row, error } => {
            let slot = slots.iter().find(|slot| slot.name == tensor);
            let tensor = slot.map_or(tensor, |slot| dialect.name(&slot.source));
            ConvertError::Value { tensor, row, error }
        }
        other => other,
    }
}

/// Reads `config.json`, the tower's configuration and the preprocessor's.
fn read_config(
    folder: &Path,
    dialect: Dialect,
    options: &ConvertOptions,
    notes: &mut Vec<String>,
) -> Result<HfConfig, ConvertError> {
    let path = folder.join("config.json");
    let value = read_json(&path)?;
    let file = JsonFile {
        path: &path,
        value: &value,
    };
    let tower = match (&options.vision_config, dialect) {
        (Some(path), Dialect::Original) => Some((path, read_json(path)?)),
        (Some(_), _) => {
            notes.push(
                "the tower's separate configuration was not used: config.json has its own".into(),
            );
            None
        }
        (None, _) => None,
    };
    let tower = tower.as_ref().map(|(path, value)| JsonFile { path, value });
    let mut config = HfConfig::read(dialect, &file, tower.as_ref())?;
    for (name, key) in [
        ("preprocessor_config.json", None),
        ("processor_config.json", Some("image_processor")),
    ] {
        let path = folder.join(name);
        if !path.is_file() {
            continue;
        }
        let value = read_json(&path)?;
        if key.is_none_or(|key| value.get(key).is_some()) {
            preprocessor::read(
                &JsonFile {
                    path: &path,
                    value: &value,
                },
                key,
                &mut config,
            )?;
            return Ok(config);
        }
    }
    notes.push(
        "no preprocessor configuration was found; SigLIP's mean and deviation of 0.5 were taken"
            .into(),
    );
    Ok(config)
}

/// Adds to the checkpoint's settings what the tokeniser and the options say.
fn complete(
    read: HfConfig,
    tokenizer: &TokenizerFile,
    folder: &Path,
    options: &ConvertOptions,
    quants: &Quantisation,
    notes: &mut Vec<String>,
) -> Result<ModelConfig, ConvertError> {
    let config_path = || folder.join("config.json");
    let token = |key: &str, found: Option<u32>| {
        found
            .filter(|&id| (id as usize) < read.language.vocab)
            .ok_or_else(|| ConvertError::Config {
                path: config_path(),
                key: key.to_owned(),
                found: found.map_or("absent".to_owned(), |id| id.to_string()),
                expected: format!(
                    "the number of one of the {} tokens is needed, here or in tokenizer.json",
                    read.language.vocab
                ),
            })
    };
    let image_token = read
        .image_token
        .or_else(|| tokenizer.control("<image>"))
        .or_else(|| {
            notes.push(format!(
                "no image token is named; {DEFAULT_IMAGE_TOKEN} was taken"
            ));
            Some(DEFAULT_IMAGE_TOKEN)
        });
    let image_token = token("image_token_index", image_token)?;
    let end_token = token(
        "eos_token_id",
        tokenizer.control("<|im_end|>").or(read.end_token),
    )?;
    let folder_name = || {
        folder
            .canonicalize()
            .ok()?
            .file_name()?
            .to_str()
            .map(str::to_owned)
    };
    let mut anyres = read.anyres;
    anyres.rounding = options.rounding.unwrap_or(anyres.rounding);
    let side = read.vision.image_size;
    let ragged = |&&(w, h): &&(usize, usize)| !w.is_multiple_of(side) || !h.is_multiple_of(side);
    if let Some((w, h)) = anyres.pinpoints.iter().find(ragged) {
        return Err(ConvertError::Config {
            path: config_path(),
            key: "image_grid_pinpoints".to_owned(),
            found: format!("{w}x{h}"),
            expected: format!("resolutions must be multiples of the tile side {side}"),
        });
    }
    let stored_width = quants.stored_mlp_width(read.vision.intermediate);
    Ok(ModelConfig {
        name: options
            .name
            .clone()
            .or_else(folder_name)
            .unwrap_or_else(|| "unnamed".to_owned()),
        vision: VisionConfig {
            intermediate: stored_width,
            ..read.vision
        },
        projector: read.projector,
        language: read.language,
        anyres,
        chat: ChatSettings {
            wrapping: options.wrapping.unwrap_or(Wrapping::Training),
            image_token,
            end_token,
            template: text::chat_template(folder)?,
        },
    })
}

/// Says where the stored form differs from the one asked for.
fn note_formats(
    slots: &[Slot],
    quants: &Quantisation,
    config: &ModelConfig,
    mlp_width: usize,
    notes: &mut Vec<String>,
) {
    let stored = config.vision.intermediate;
    if stored != mlp_width {
        notes.push(format!(
            "the tower's MLP of width {mlp_width} was padded with zeros to {stored}"
        ));
    }
    let fallen = slots.iter().filter(|slot| quants.falls_back(slot)).count();
    if fallen > 0 {
        notes.push(format!(
            "{fallen} matrices whose columns fill no blocks of 32 are f16"
        ));
    }
}

/// Reads a file of at most `limit` bytes.
fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ConvertError> {
    let failed = |error| ConvertError::Read {
        path: path.to_owned(),
        error,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        let detail = format!("it is longer than {limit} bytes");
        return Err(ConvertError::Damaged {
            path: path.to_owned(),
            detail,
        });
    }
    Ok(bytes)
}

/// Reads a JSON file, which must hold an object.
fn read_json(path: &Path) -> Result<Value, ConvertError> {
    let damaged = |detail: String| ConvertError::Damaged {
        path: path.to_owned(),
        detail,
    };
    let bytes = read_limited(path, MAX_JSON_BYTES)?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(format!("it is not valid JSON: {error}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(damaged("it holds no JSON object".to_owned()))
    }
}
