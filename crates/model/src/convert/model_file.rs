//! From one of our own model files to another, with other number formats.
//!
//! Sizes, settings, prompt and tokeniser stay as they are unless told otherwise. The weights are
//! compared with the digest in the file first: a damaged file would otherwise come out with a new
//! digest that calls it whole.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use llavaguard_backend::DType;
use llavaguard_backend::quant::{QuantError, decode_row};

use super::error::ConvertError;
use super::note_formats;
use super::options::{ConvertOptions, Report};
use crate::Tokenizer;
use crate::config::{ModelConfig, VisionConfig};
use crate::config_gguf::{ARCHITECTURE, GOLDEN_KEYS, KEY_PROMPT_TEMPLATE, KEY_TOKENIZER};
use crate::emit::{self, Progress};
use crate::gguf::{ByteSource, FileSource, Gguf, GgufError, SourceError, TensorInfo};
use crate::layout::{Quantisation, Slot, slots};

/// Stored bytes read at once: as many whole rows as fit, but one at least.
const BUFFER_BYTES: usize = 1 << 20;

/// Converts the model file `file` to the file `out`; see [`super::convert`].
pub fn convert(
    file: &Path,
    out: &Path,
    options: &ConvertOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Report, ConvertError> {
    let about = |error| ConvertError::ModelFile {
        path: file.to_owned(),
        error,
    };
    let (gguf, mut source) = open(file)?;
    let read = own_config(&gguf, file)?;
    let tokenizer: &str = gguf.metadata().get(KEY_TOKENIZER).map_err(about)?;
    Tokenizer::from_json(tokenizer.as_bytes(), read.language.vocab).map_err(|error| {
        ConvertError::Tokenizer {
            path: file.to_owned(),
            detail: error.to_string(),
        }
    })?;

    let quants = Quantisation::new(options.quant, options.vision_quant, options.embedding_quant);
    let mlp_width = read.vision.intermediate;
    check_tensors(&gguf, &slots(&read, mlp_width), file)?;
    verify(&gguf, &mut source, file, progress)?;

    let config = changed(read, options, &quants);
    let mut metadata = gguf.metadata().clone();
    config.write_metadata(&mut metadata);
    if let Some(license) = &options.license {
        metadata.set("general.license", license.as_str());
    }
    if let Some(version) = &options.prompt_template {
        metadata.set(KEY_PROMPT_TEMPLATE, version.as_str());
    }

    let slots = slots(&config, mlp_width);
    let mut notes = Vec::new();
    if metadata.remove_all(GOLDEN_KEYS) {
        // Other formats, or another prompt, come to other probabilities.
        notes.push(
            "the file's golden image was left out; `llavaguard golden` puts one into the new file"
                .into(),
        );
    }
    note_loss(gguf.tensors(), &mut notes);
    if options.vision_config.is_some() {
        notes.push("the tower's separate configuration was not used: the file has its own".into());
    }
    note_formats(&slots, &quants, &config, mlp_width, &mut notes);
    let source = RefCell::new(source);
    let bytes = emit::write_model(out, &metadata, &slots, &quants, progress, |_, slot| {
        let missing = || GgufError::MissingTensor {
            tensor: slot.name.clone(),
        };
        let tensor = gguf.tensor(&slot.name).ok_or_else(|| about(missing()))?;
        let mut rows = Rows::of(tensor);
        let (source, name) = (&source, slot.name.clone());
        Ok(move |values: &mut [f32]| rows.next(&mut *source.borrow_mut(), &name, values, file))
    })?;
    Ok(Report {
        dialect: None,
        config,
        tensors: slots.len(),
        bytes,
        skipped: Vec::new(),
        notes,
    })
}

/// Opens a model file and reads its header.
pub(super) fn open(file: &Path) -> Result<(Gguf, FileSource), ConvertError> {
    let mut source = FileSource::open(file).map_err(|error| ConvertError::Read {
        path: file.to_owned(),
        error,
    })?;
    let gguf = Gguf::open(&mut source).map_err(|error| ConvertError::ModelFile {
        path: file.to_owned(),
        error,
    })?;
    Ok((gguf, source))
}

/// Compares the weights with the digest in the file. `progress` is called with nothing done meanwhile.
pub(super) fn verify(
    gguf: &Gguf,
    source: &mut FileSource,
    file: &Path,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<(), ConvertError> {
    let verified = gguf.verify(source, &mut |_, total_bytes| {
        progress(Progress {
            tensor: "SHA-256",
            done: 0,
            total: gguf.tensors().len(),
            done_bytes: 0,
            total_bytes,
        })
    });
    let verified = verified.map_err(|error| ConvertError::ModelFile {
        path: file.to_owned(),
        error,
    })?;
    if verified.is_break() {
        return Err(ConvertError::Cancelled);
    }
    Ok(())
}

/// The configuration of one of our own files; others are refused by name.
fn own_config(gguf: &Gguf, file: &Path) -> Result<ModelConfig, ConvertError> {
    let about = |error| ConvertError::ModelFile {
        path: file.to_owned(),
        error,
    };
    let architecture = gguf.metadata().find::<&str>("general.architecture");
    match architecture.map_err(about)? {
        Some(ARCHITECTURE) => ModelConfig::from_gguf(gguf).map_err(about),
        other => Err(ConvertError::ForeignModel {
            path: file.to_owned(),
            found: other.map_or("no architecture".to_owned(), |name| format!("{name:?}")),
        }),
    }
}

/// Every tensor the sizes ask for must be there, in their shape, and no other.
fn check_tensors(gguf: &Gguf, slots: &[Slot], file: &Path) -> Result<(), ConvertError> {
    for slot in slots {
        gguf.expect(&slot.name, &slot.shape)
            .map_err(|error| ConvertError::ModelFile {
                path: file.to_owned(),
                error,
            })?;
    }
    let known: BTreeSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let tensors: Vec<String> = gguf
        .tensors()
        .iter()
        .filter(|tensor| !known.contains(tensor.name.as_str()))
        .map(|tensor| tensor.name.clone())
        .collect();
    match tensors.is_empty() {
        true => Ok(()),
        false => Err(ConvertError::Unexplained { tensors }),
    }
}

/// The settings as the options want them.
fn changed(read: ModelConfig, options: &ConvertOptions, quants: &Quantisation) -> ModelConfig {
    let mut config = ModelConfig {
        vision: VisionConfig {
            intermediate: quants.stored_mlp_width(read.vision.intermediate),
            ..read.vision
        },
        ..read
    };
    if let Some(name) = &options.name {
        config.name.clone_from(name);
    }
    config.chat.wrapping = options.wrapping.unwrap_or(config.chat.wrapping);
    config.anyres.rounding = options.rounding.unwrap_or(config.anyres.rounding);
    config
}

/// Nobody should take an f32 file made from a quantised one for the original weights.
fn note_loss(tensors: &[TensorInfo], notes: &mut Vec<String>) {
    let formats: Vec<&str> = [DType::Q8_0, DType::Q4_0]
        .into_iter()
        .filter(|dtype| tensors.iter().any(|tensor| tensor.dtype == *dtype))
        .map(DType::name)
        .collect();
    if !formats.is_empty() {
        notes.push(format!(
            "the weights come from a file in {}; what that rounding lost is not regained",
            formats.join(" and ")
        ));
    }
}

/// Reads a stored tensor row after row, as f32.
struct Rows {
    dtype: DType,
    /// First byte that was not read yet, and the one behind the tensor.
    unread: Range<u64>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were given out.
    used: usize,
    row: usize,
}

impl Rows {
    fn of(tensor: &TensorInfo) -> Rows {
        Rows {
            dtype: tensor.dtype,
            unread: tensor.offset..tensor.offset + tensor.bytes,
            buffer: Vec::new(),
            used: 0,
            row: 0,
        }
    }

    /// The next row, of `values.len()` values; `name` and `file` say where it comes from.
    fn next(
        &mut self,
        source: &mut dyn ByteSource,
        name: &str,
        values: &mut [f32],
        file: &Path,
    ) -> Result<(), ConvertError> {
        let (dtype, cols) = (self.dtype, values.len());
        let row = self.row;
        let bad = |error| ConvertError::Value {
            tensor: name.to_owned(),
            row,
            error,
        };
        let ragged = || bad(QuantError::RaggedRow { dtype, cols });
        let width = dtype.row_bytes(cols).ok_or_else(ragged)?;
        if self.used == self.buffer.len() {
            self.fill(source, width)
                .map_err(|error| ConvertError::ModelFile {
                    path: file.to_owned(),
                    error: error.into(),
                })?;
        }
        let bytes = self.buffer.get(self.used..).unwrap_or_default();
        let bytes = bytes.get(..width).unwrap_or(bytes);
        decode_row(dtype, bytes, values).map_err(bad)?;
        self.used += width;
        self.row += 1;
        Ok(())
    }

    /// Reads whole rows of `width` bytes, up to the tensor's end.
    fn fill(&mut self, source: &mut dyn ByteSource, width: usize) -> Result<(), SourceError> {
        let rows = (BUFFER_BYTES / width.max(1)).max(1);
        let left = self.unread.end - self.unread.start;
        let take = left.min((rows * width) as u64);
        self.buffer.resize(take as usize, 0);
        self.used = 0;
        source.read_at(self.unread.start, &mut self.buffer)?;
        self.unread.start += take;
        Ok(())
    }
}
