//! `llavaguard manifest`: what a model file is, chunk by chunk, so that a page can load it verified.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llavaguard_guard::{AUTO_VISUAL_TOKENS, Golden, SESSION_ROOM};
use llavaguard_model::gguf::{Gguf, KEY_CONTENT_SHA256};
use llavaguard_model::{ModelConfig, PREFILL_ROWS, SelfTest};
use llavaguard_store::{
    Architecture, Digest, FileInfo, FormatVersion, Formats, Hasher, LanguageShape, License,
    Manifest, Part, SecretKey, VisionShape,
};
use serde::Serialize;
use serde_json::Value;

use crate::args;
use crate::commands::convert::refuse_to_replace;
use crate::commands::inspect::PartFormats;
use crate::failure::Failure;
use crate::model_file::ModelFile;
use crate::progress::Progress;
use crate::{input, interrupt, output};

/// Bytes read at once.
const PIECE: usize = 1 << 20;
/// Longest key file, in bytes.
const MAX_KEY_BYTES: u64 = 1 << 16;

/// Positions a session keeps behind an image, and visual tokens of one at detail `auto`, at most.
const POSITIONS: u64 = (SESSION_ROOM + AUTO_VISUAL_TOKENS) as u64;
/// What the program itself takes: its code, the loader's chunks, two threads and what the browser needs
/// for them.
const PROGRAM_BYTES: u64 = 96 << 20;

/// Reads the model once and writes the manifest, and the parts where it is to be split.
pub fn run(args: &args::Manifest) -> Result<ExitCode, Failure> {
    let key = args.sign.as_deref().map(read_key).transpose()?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.model.with_file_name("manifest.json"));
    refuse_to_replace(&out, args.force)?;
    if let Some(split) = args
        .split
        .filter(|split| !split.is_multiple_of(args.chunk_size))
    {
        return Err(Failure::new(
            "manifest.bad_split",
            format!(
                "parts of {split} bytes are not a whole number of chunks of {} bytes. Choose a multiple.",
                args.chunk_size
            ),
        ));
    }
    let name = args.model.display();
    let mut manifest = describe(args).map_err(|failure| failure.about(name))?;
    let parts = hash(args, &out, &mut manifest.file)?;
    if let Some(key) = &key {
        manifest.sign(key);
    }
    // What is published is what can be read again.
    let json = manifest.to_json();
    let manifest = Manifest::from_json(&json)?;
    parts.keep()?;
    replace(&out, json.as_bytes())?;
    report(args, &out, &manifest)?;
    Ok(ExitCode::SUCCESS)
}

fn read_key(path: &Path) -> Result<SecretKey, Failure> {
    let read = || {
        let mut text = String::new();
        File::open(path)?
            .take(MAX_KEY_BYTES)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: io::Error| {
        Failure::new(
            "manifest.bad_key",
            format!("the key cannot be read: {error}"),
        )
    });
    text.and_then(|text| Ok(SecretKey::from_pem(&text)?))
        .map_err(|failure| failure.about(path.display()))
}

/// All that the file's header tells; the digests are still missing.
fn describe(args: &args::Manifest) -> Result<Manifest, Failure> {
    let mut file = ModelFile::open(Some(&args.model))?;
    let gguf = Gguf::open(file.source())?;
    let config = ModelConfig::from_gguf(&gguf)?;
    let formats = PartFormats::read(&gguf, &config);
    let digest: String = gguf.string(KEY_CONTENT_SHA256)?.chars().take(12).collect();
    let license = gguf.metadata().find::<&str>("general.license")?;
    let name = args
        .model
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let architecture = architecture(&gguf, &config);
    let weights = gguf.tensors().iter().map(|tensor| tensor.bytes).sum();
    Ok(Manifest {
        version: FormatVersion,
        model_id: format!("{}@{digest}", config.name),
        name: config.name.clone(),
        memory: memory(weights, &architecture),
        architecture,
        quantization: Formats {
            vision: formats.vision,
            language: formats.language,
            embedding: formats.embedding,
        },
        file: FileInfo {
            name: name.to_owned(),
            bytes: gguf.file_len(),
            sha256: Digest::of(&[]),
            chunk_bytes: args.chunk_size,
            chunks: Vec::new(),
            parts: Vec::new(),
        },
        self_test: SelfTest::read(gguf.metadata())?.and_then(|test| document(&test)),
        golden: Golden::read(gguf.metadata())?.and_then(|golden| document(&golden)),
        license: license.map(|text| License {
            text: text.to_owned(),
            url: args.license_url.clone(),
        }),
        signature: None,
    })
}

/// A golden case as JSON, by way of text, since numbers of f32 are written with the digits they have.
/// Strings and finite numbers always have a JSON form.
fn document(case: &impl Serialize) -> Option<Value> {
    serde_json::from_str(&serde_json::to_string(case).ok()?).ok()
}

fn architecture(gguf: &Gguf, config: &ModelConfig) -> Architecture {
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    let values = |shape: &[usize]| shape.iter().map(|side| *side as u64).product::<u64>();
    let (vision, language) = (&config.vision, &config.language);
    Architecture {
        family: "llava-onevision".to_owned(),
        parameters: gguf
            .tensors()
            .iter()
            .map(|tensor| values(&tensor.shape))
            .sum(),
        vision: VisionShape {
            layers: size(vision.layers),
            hidden: size(vision.hidden),
            intermediate: size(vision.intermediate),
            heads: size(vision.heads),
            image_size: size(vision.image_size),
            patch_size: size(vision.patch_size),
        },
        language: LanguageShape {
            layers: size(language.layers),
            hidden: size(language.hidden),
            intermediate: size(language.intermediate),
            heads: size(language.heads),
            kv_heads: size(language.kv_heads),
            head_dim: size(language.head_dim),
            vocab: size(language.vocab),
            context: size(language.context),
        },
    }
}

/// Bytes that a tab takes to load a model of these weights and judge an image at detail `auto`: the
/// weights as they are stored, keys and values in f32, the activations of the largest step twice over,
/// the program. At most a tenth too much, and never too little, where it was measured
/// (docs/reliability.md).
fn memory(weights: u64, architecture: &Architecture) -> BTreeMap<String, u64> {
    let (vision, language) = (&architecture.vision, &architecture.language);
    let size = |sizes: &[u32]| sizes.iter().map(|size| u64::from(*size)).product::<u64>();
    let positions = POSITIONS.min(u64::from(language.context));
    let cache = 2 * size(&[language.layers, language.kv_heads, language.head_dim]) * positions;
    let patches = u64::from(vision.image_size / vision.patch_size.max(1)).pow(2);
    let tower = patches * u64::from(4 * vision.hidden + vision.intermediate);
    let decoder = PREFILL_ROWS as u64 * u64::from(6 * language.hidden + 2 * language.intermediate);
    let visual = POSITIONS * u64::from(language.hidden);
    let working = 4 * (cache + visual + 2 * tower.max(decoder));
    let needed = weights + working + PROGRAM_BYTES;
    BTreeMap::from(["cpu", "webgpu"].map(|kind| (kind.to_owned(), needed)))
}

/// Files that are removed again unless they are kept.
struct Parts(Vec<(PathBuf, PathBuf)>);

impl Parts {
    /// Gives the files their names.
    fn keep(mut self) -> Result<(), Failure> {
        for (written, named) in self.0.drain(..) {
            fs::rename(&written, &named).map_err(|error| not_written(&named, &error))?;
        }
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for (written, _) in &self.0 {
            // Nobody is left to tell where that fails.
            let _ = fs::remove_file(written);
        }
    }
}

/// Reads the whole model: digests into `info`, and parts onto the disk.
fn hash(args: &args::Manifest, out: &Path, info: &mut FileInfo) -> Result<Parts, Failure> {
    let unreadable = |error: &io::Error| input::model_failure(error).about(args.model.display());
    let mut model = File::open(&args.model).map_err(|error| unreadable(&error))?;
    let progress = Progress::new();
    progress.about(&info.name);
    let mut parts = Parts(Vec::new());
    let mut part: Option<File> = None;
    let (mut whole, mut chunk) = (Hasher::new(), Hasher::new());
    let (mut done, mut in_chunk, mut in_part) = (0, 0, 0);
    let mut piece = vec![0; PIECE];
    while done < info.bytes {
        if interrupt::requested() {
            return Err(Failure::cancelled());
        }
        let room = (info.chunk_bytes - in_chunk)
            .min(info.bytes - done)
            .min(PIECE as u64);
        let piece = piece.get_mut(..room as usize).unwrap_or_default();
        model
            .read_exact(piece)
            .map_err(|error| unreadable(&error))?;
        whole.update(piece);
        chunk.update(piece);
        if let Some(split) = args.split.filter(|split| *split < info.bytes) {
            if in_part == 0 {
                part = Some(begin_part(args, out, info, &mut parts)?);
            }
            if let (Some(file), Some((path, _))) = (&mut part, parts.0.last()) {
                file.write_all(piece)
                    .map_err(|error| not_written(path, &error))?;
            }
            in_part = (in_part + room) % split;
            if let Some(part) = info.parts.last_mut() {
                part.bytes += room;
            }
        }
        done += room;
        in_chunk += room;
        if in_chunk == info.chunk_bytes || done == info.bytes {
            info.chunks.push(std::mem::take(&mut chunk).finish());
            in_chunk = 0;
        }
        progress.steps("reading", done, info.bytes);
    }
    progress.clear();
    info.sha256 = whole.finish();
    Ok(parts)
}

fn begin_part(
    args: &args::Manifest,
    out: &Path,
    info: &mut FileInfo,
    parts: &mut Parts,
) -> Result<File, Failure> {
    let name = format!("{}.{:03}", info.name, info.parts.len());
    let named = out.with_file_name(&name);
    refuse_to_replace(&named, args.force)?;
    let written = out.with_file_name(format!("{name}.part"));
    let file = File::create(&written).map_err(|error| not_written(&written, &error))?;
    parts.0.push((written, named));
    info.parts.push(Part { name, bytes: 0 });
    Ok(file)
}

/// Writes a file in one step: whoever reads it finds the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let written = path.with_file_name(name);
    let result = fs::write(&written, bytes).and_then(|()| fs::rename(&written, path));
    result.map_err(|error| {
        let _ = fs::remove_file(&written);
        not_written(path, &error)
    })
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        "output.not_writable",
        format!("{} cannot be written: {error}", path.display()),
    )
}

/// What was written; the form of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    manifest: String,
    model_id: &'a str,
    bytes: u64,
    sha256: Digest,
    chunks: usize,
    parts: Vec<&'a str>,
    memory: &'a BTreeMap<String, u64>,
    signed_by: Option<&'a str>,
}

fn report(args: &args::Manifest, out: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let file = &manifest.file;
    let report = Report {
        manifest: out.display().to_string(),
        model_id: &manifest.model_id,
        bytes: file.bytes,
        sha256: file.sha256,
        chunks: file.chunks.len(),
        parts: file.parts.iter().map(|part| part.name.as_str()).collect(),
        memory: &manifest.memory,
        signed_by: manifest
            .signature
            .as_ref()
            .map(|signature| signature.public_key.as_str()),
    };
    if args.json {
        return output::print(&output::json(&report)?);
    }
    let files = match report.parts.len() {
        0 => String::new(),
        parts => format!(" in {parts} files"),
    };
    let mut text = format!(
        "{}: {}, {}{files}, {} chunks\n",
        output::printable(&report.manifest),
        output::printable(report.model_id),
        output::bytes(report.bytes),
        report.chunks,
    );
    if let Some(key) = report.signed_by {
        text.push_str(&format!("signed by {key}\n"));
    }
    output::print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `tests/e2e/loading-memory.mjs` measured in a tab over loading a 0.5B and judging at `auto`,
    /// on two threads.
    const MEASURED: [(&str, u64, u64); 2] = [
        ("q4_0", 576_759_040, 808_013_824),
        ("q8_0", 954_991_872, 1_196_752_896),
    ];

    #[test]
    fn the_need_is_what_was_measured_and_a_tenth_more_at_most() {
        let architecture = Architecture {
            family: "llava-onevision".to_owned(),
            parameters: 893_617_440,
            vision: VisionShape {
                layers: 26,
                hidden: 1152,
                intermediate: 4304,
                heads: 16,
                image_size: 384,
                patch_size: 14,
            },
            language: LanguageShape {
                layers: 24,
                hidden: 896,
                intermediate: 4864,
                heads: 14,
                kv_heads: 2,
                head_dim: 64,
                vocab: 151_647,
                context: 32_768,
            },
        };
        for (format, weights, measured) in MEASURED {
            let needed = memory(weights, &architecture)["cpu"];
            assert!(
                (measured..=measured / 10 * 11).contains(&needed),
                "{format}: {needed} for {measured}"
            );
        }
    }
}
