//! `llavaguard inspect`: what a model file holds.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use llavaguard_backend::DType;
use llavaguard_model::config::{Rounding, Wrapping};
use llavaguard_model::config_gguf::{KEY_PROMPT_TEMPLATE, KEY_TOKENIZER};
use llavaguard_model::gguf::{Gguf, KEY_CONTENT_SHA256};
use llavaguard_model::layout::{Kind, slots};
use llavaguard_model::{ModelConfig, Tokenizer};
use serde::Serialize;

use crate::args::Inspect;
use crate::failure::Failure;
use crate::interrupt;
use crate::model_file::ModelFile;
use crate::output::{self, bytes, grouped};
use crate::progress::Progress;

/// Reads the header, and the weights where they are to be verified.
pub fn run(args: &Inspect) -> Result<ExitCode, Failure> {
    let mut file = ModelFile::open(args.model.as_deref())?;
    let report = Report::read(args, &mut file).map_err(|failure| failure.about(file.name()))?;
    let text = if args.json {
        output::json(&report)?
    } else {
        report.human()
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What a model file holds; the form of `--json`.
#[derive(Serialize)]
struct Report {
    file: String,
    bytes: u64,
    gguf_version: u32,
    license: Option<String>,
    prompt_template: Option<String>,
    config: ModelConfig,
    parameters: u64,
    formats: Vec<FormatShare>,
    parts: PartFormats,
    tokenizer: TokenizerSize,
    content_sha256: String,
    /// Whether the weights were compared with the digest.
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<Tensor>>,
}

/// How much of the model is stored in a format.
#[derive(Serialize)]
struct FormatShare {
    format: &'static str,
    tensors: usize,
    parameters: u64,
    bytes: u64,
}

/// The format each part's matrices are stored in; several joined by `+`, most values first.
#[derive(Serialize)]
pub struct PartFormats {
    /// Matrices of the tower and the projector, the patch embedding left out.
    pub vision: String,
    /// Matrices of the language model's layers.
    pub language: String,
    /// Token embedding and output head.
    pub embedding: String,
}

#[derive(Serialize)]
struct TokenizerSize {
    bytes: usize,
    tokens_with_text: usize,
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    format: &'static str,
    bytes: u64,
}

impl Report {
    fn read(args: &Inspect, file: &mut ModelFile) -> Result<Report, Failure> {
        let name = file.name().to_owned();
        let gguf = Gguf::open(file.source())?;
        let config = ModelConfig::from_gguf(&gguf)?;
        let json = gguf.string(KEY_TOKENIZER)?;
        let tokenizer = Tokenizer::from_json(json.as_bytes(), config.language.vocab)?;
        if args.verify {
            verify(&gguf, file)?;
        }
        let text = |key| -> Result<_, Failure> {
            Ok(gguf.metadata().find::<&str>(key)?.map(str::to_owned))
        };
        let formats: Vec<FormatShare> = DType::ALL
            .into_iter()
            .filter_map(|dtype| share(&gguf, dtype))
            .collect();
        let tensors = gguf.tensors().iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            format: tensor.dtype.name(),
            bytes: tensor.bytes,
        });
        Ok(Report {
            file: name,
            bytes: gguf.file_len(),
            gguf_version: gguf.version(),
            license: text("general.license")?,
            prompt_template: text(KEY_PROMPT_TEMPLATE)?,
            parameters: formats.iter().map(|share| share.parameters).sum(),
            tokenizer: TokenizerSize {
                bytes: json.len(),
                tokens_with_text: config.language.vocab - tokenizer.without_text().len(),
            },
            content_sha256: gguf.string(KEY_CONTENT_SHA256)?.to_owned(),
            verified: args.verify,
            tensors: args.tensors.then(|| tensors.collect()),
            parts: PartFormats::read(&gguf, &config),
            formats,
            config,
        })
    }

    fn human(&self) -> String {
        let mut lines = Lines::default();
        let Report { config, .. } = self;
        lines.add(
            "file",
            format!("{}, {}", output::printable(&self.file), bytes(self.bytes)),
        );
        lines.add("model", output::printable(&config.name));
        if let Some(license) = &self.license {
            lines.add("licence", output::printable(license));
        }
        let parameters = grouped(self.parameters);
        lines.add(
            "parameters",
            format!("{parameters} (zeros for padding included)"),
        );
        for share in &self.formats {
            let FormatShare {
                format,
                tensors,
                parameters,
                bytes: size,
            } = share;
            let parameters = grouped(*parameters);
            lines.add(
                format,
                format!("{tensors} tensors, {parameters} values, {}", bytes(*size)),
            );
        }
        let PartFormats {
            vision,
            language,
            embedding,
        } = &self.parts;
        lines.add(
            "formats",
            format!("vision {vision}, language {language}, embedding {embedding}"),
        );
        let vision = &config.vision;
        lines.add(
            "vision",
            format!(
                "SigLIP, {} layers of width {} ({} heads, MLP {}), tiles of {} px in patches of {} px: {} tokens a tile",
                vision.layers,
                vision.hidden,
                vision.heads,
                vision.intermediate,
                vision.image_size,
                vision.patch_size,
                vision.patches(),
            ),
        );
        let anyres = &config.anyres;
        let rounding = match anyres.rounding {
            Rounding::Original => "original",
            Rounding::HuggingFace => "Hugging Face's",
        };
        lines.add(
            "anyres",
            format!(
                "{} resolutions, anyres_max_{}, {rounding} rounding",
                anyres.pinpoints.len(),
                anyres.max_patches
            ),
        );
        let language = &config.language;
        lines.add(
            "language",
            format!(
                "Qwen2, {} layers of width {} ({} heads, {} for keys and values, MLP {}), context {}, {} head",
                language.layers,
                language.hidden,
                language.heads,
                language.kv_heads,
                language.intermediate,
                grouped(language.context as u64),
                if language.tied_head { "tied" } else { "separate" },
            ),
        );
        let wrapping = match config.chat.wrapping {
            Wrapping::Training => "as in training (system turn)",
            Wrapping::HuggingFace => "Hugging Face's (no system turn)",
        };
        let template = self.prompt_template.as_deref().unwrap_or("not stated");
        lines.add(
            "prompt",
            format!(
                "{}, turns {wrapping}, image token {}",
                output::printable(template),
                config.chat.image_token
            ),
        );
        lines.add(
            "tokeniser",
            format!(
                "{} tokens with text of {} rows, {}",
                grouped(self.tokenizer.tokens_with_text as u64),
                grouped(language.vocab as u64),
                bytes(self.tokenizer.bytes as u64),
            ),
        );
        let verified = if self.verified {
            "verified"
        } else {
            "not verified"
        };
        lines.add(
            "SHA-256",
            format!("{} ({verified})", output::printable(&self.content_sha256)),
        );
        for tensor in self.tensors.iter().flatten() {
            let Tensor {
                name,
                shape,
                format,
                ..
            } = tensor;
            lines.text.push_str(&format!(
                "{:5} {} {shape:?}\n",
                format,
                output::printable(name)
            ));
        }
        lines.text
    }
}

impl PartFormats {
    /// Of a file's tensors.
    pub fn read(gguf: &Gguf, config: &ModelConfig) -> PartFormats {
        let slots = slots(config, config.vision.intermediate);
        let stored = |kind: Kind| {
            let mut values = DType::ALL.map(|dtype| (0, dtype));
            for slot in slots.iter().filter(|slot| slot.kind == kind) {
                let Some(tensor) = gguf.tensor(&slot.name) else {
                    continue;
                };
                for (sum, dtype) in &mut values {
                    if *dtype == tensor.dtype {
                        *sum += tensor.shape.iter().product::<usize>();
                    }
                }
            }
            values.sort_by_key(|(sum, _)| Reverse(*sum));
            let names = values
                .iter()
                .filter(|(sum, _)| *sum > 0)
                .map(|(_, d)| d.name());
            names.collect::<Vec<_>>().join("+")
        };
        PartFormats {
            vision: stored(Kind::Vision),
            language: stored(Kind::Language),
            embedding: stored(Kind::Embedding),
        }
    }
}

/// Lines of a label and what it stands for.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, label: &str, value: impl AsRef<str>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{label:<11} {}", value.as_ref());
    }
}

fn verify(gguf: &Gguf, file: &mut ModelFile) -> Result<(), Failure> {
    let progress = Progress::new();
    progress.about(file.name());
    let mut told = |done, total| {
        progress.steps("verifying", done, total);
        ControlFlow::Continue(())
    };
    let result = interrupt::while_blocked(|| gguf.verify(file.source(), &mut told));
    progress.clear();
    // It was never told to stop, so it came to its end.
    let _: ControlFlow<()> = result?;
    Ok(())
}

fn share(gguf: &Gguf, dtype: DType) -> Option<FormatShare> {
    let mut share = FormatShare {
        format: dtype.name(),
        tensors: 0,
        parameters: 0,
        bytes: 0,
    };
    for tensor in gguf.tensors().iter().filter(|tensor| tensor.dtype == dtype) {
        share.tensors += 1;
        share.parameters += tensor
            .shape
            .iter()
            .map(|side| *side as u64)
            .product::<u64>();
        share.bytes += tensor.bytes;
    }
    (share.tensors > 0).then_some(share)
}
