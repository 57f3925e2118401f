//! What a model is, and what its bytes are.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::canonical::canonical;
use crate::digest::Digest;
use crate::error::StoreError;
use crate::signature::{PublicKey, SecretKey, Signature};

/// The published JSON Schema (draft 2020-12) of a manifest. What it cannot express (that the chunks and
/// parts add up to the file, that the signature is right) is left to [`Manifest::from_json`].
pub const MANIFEST_SCHEMA: &str = include_str!("../schema/manifest.schema.json");

/// Version of the format this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Chunk size of manifests where nothing else is asked for, in bytes.
pub const STANDARD_CHUNK_BYTES: u64 = 16 << 20;
/// Smallest chunk, in bytes: smaller ones cost a request each and bring nothing.
pub const MIN_CHUNK_BYTES: u64 = 64 << 10;
/// Largest chunk, in bytes: each connection holds one in memory.
pub const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// Longest manifest, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// Most bytes of a model: whole numbers up to here are exact in JavaScript.
const MAX_FILE_BYTES: u64 = 1 << 53;
/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// A model and its bytes. Fields may be added within a version; those here keep their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub version: FormatVersion,
    /// The model's name and the beginning of its weights' SHA-256, as assessments give it.
    pub model_id: String,
    /// The model's name.
    pub name: String,
    /// What it is made of.
    pub architecture: Architecture,
    /// Formats of the weights.
    pub quantization: Formats,
    /// The file.
    pub file: FileInfo,
    /// Bytes of memory needed to judge an image, by kind of device (`cpu`, `webgpu`).
    pub memory: BTreeMap<String, u64>,
    /// A golden case that shows whether a device computes rightly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<Value>,
    /// What the golden image in the file comes to, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden: Option<Value>,
    /// Under what terms the model may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// Who stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// Always [`FORMAT_VERSION`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatVersion;

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// `llava-onevision`.
    pub family: String,
    /// Values of all tensors.
    pub parameters: u64,
    /// The vision tower (SigLIP).
    pub vision: VisionShape,
    /// The language model (Qwen2).
    pub language: LanguageShape,
}

/// Sizes of a SigLIP vision tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionShape {
    /// Layers that are run.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of the MLP.
    pub intermediate: u32,
    /// Attention heads.
    pub heads: u32,
    /// Side of a tile in pixels.
    pub image_size: u32,
    /// Side of a patch in pixels.
    pub patch_size: u32,
}

/// Sizes of a Qwen2 decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LanguageShape {
    /// Decoder layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of the gated MLP.
    pub intermediate: u32,
    /// Query heads.
    pub heads: u32,
    /// Key/value heads.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Rows of the token embedding.
    pub vocab: u32,
    /// Longest sequence.
    pub context: u32,
}

/// The formats each part's matrices are stored in; several joined by `+`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formats {
    /// Vision tower and projector.
    pub vision: String,
    /// The language model's layers.
    pub language: String,
    /// Token embedding and output head.
    pub embedding: String,
}

/// The file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Its name, beside the manifest.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the whole, for `sha256sum`; the loader goes by the chunks.
    pub sha256: Digest,
    /// Size of every chunk but the last.
    pub chunk_bytes: u64,
    /// SHA-256 of each chunk.
    pub chunks: Vec<Digest>,
    /// The files it is split into, in order; none where it is whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// One of the files a model is split into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, beside the manifest.
    pub name: String,
    /// Its size; of all parts but the last a multiple of the chunk size.
    pub bytes: u64,
}

/// Terms of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// Its name (an SPDX identifier where there is one) or its text.
    pub text: String,
    /// Where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Manifest {
    /// Reads and checks a manifest. A signature in it is verified, whoever's it is; see
    /// [`Manifest::trusted`].
    pub fn from_json(json: &str) -> Result<Manifest, StoreError> {
        let invalid = |what: String| StoreError::Manifest(what);
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(invalid(format!(
                "it is longer than {MAX_MANIFEST_BYTES} bytes"
            )));
        }
        let json = json.strip_prefix('\u{feff}').unwrap_or(json);
        let mut document: Value =
            serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        match document.get("version") {
            Some(version) if *version == FORMAT_VERSION => {}
            Some(version) if version.is_u64() => {
                return Err(StoreError::Version {
                    found: version.to_string(),
                    known: FORMAT_VERSION,
                });
            }
            _ => return Err(invalid("it has no whole number as \"version\"".to_owned())),
        }
        let manifest: Manifest =
            Manifest::deserialize(&document).map_err(|error| invalid(error.to_string()))?;
        manifest.check()?;
        if let (Some(signature), Some(members)) = (&manifest.signature, document.as_object_mut()) {
            members.remove("signature");
            // What was signed is the document, with members this version does not know.
            signature.verify(&canonical(&document))?;
        }
        Ok(manifest)
    }

    /// The manifest as a document, indented by two spaces.
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always serialises.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Signs it, in place of any earlier signature.
    pub fn sign(&mut self, key: &SecretKey) {
        self.signature = None;
        let document = serde_json::to_value(&*self).unwrap_or_default();
        self.signature = Some(key.sign(&canonical(&document)));
    }

    /// Whether one of `keys` stands for this manifest. Its signature was verified when it was read.
    ///
    /// # Errors
    /// [`StoreError::Untrusted`] where it is not signed, or by someone else.
    pub fn trusted(&self, keys: &[PublicKey]) -> Result<(), StoreError> {
        let signer = self
            .signature
            .as_ref()
            .map(|signature| signature.public_key.as_str());
        if keys
            .iter()
            .any(|key| Some(key.to_string().as_str()) == signer)
        {
            return Ok(());
        }
        Err(StoreError::Untrusted {
            signed: signer
                .map_or_else(|| "not signed".to_owned(), |key| format!("signed by {key}")),
        })
    }

    /// What names the bytes in a store: the digest of size and chunks, so that two manifests of the
    /// same bytes share them and a manifest that lies about the whole's digest gets a place of its own.
    pub fn content_id(&self) -> String {
        let FileInfo {
            bytes,
            chunk_bytes,
            chunks,
            ..
        } = &self.file;
        let chunks: String = chunks.iter().map(|chunk| format!("{chunk}\n")).collect();
        Digest::of(format!("{bytes} {chunk_bytes}\n{chunks}").as_bytes()).to_string()
    }

    fn check(&self) -> Result<(), StoreError> {
        let file = &self.file;
        let ensure = |holds: bool, what: &dyn Fn() -> String| {
            if holds {
                Ok(())
            } else {
                Err(StoreError::Manifest(what()))
            }
        };
        ensure((1..=MAX_FILE_BYTES).contains(&file.bytes), &|| {
            format!("file.bytes is {}", file.bytes)
        })?;
        ensure(
            (MIN_CHUNK_BYTES..=MAX_CHUNK_BYTES).contains(&file.chunk_bytes),
            &|| {
                format!(
                    "file.chunk_bytes is {}, and has to be from {MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}",
                    file.chunk_bytes
                )
            },
        )?;
        let chunks = file.bytes.div_ceil(file.chunk_bytes);
        ensure(file.chunks.len() as u64 == chunks, &|| {
            format!(
                "file.chunks has {} digests, and {} bytes make {chunks} chunks",
                file.chunks.len(),
                file.bytes
            )
        })?;
        let names = [&file.name]
            .into_iter()
            .chain(file.parts.iter().map(|part| &part.name));
        for name in names {
            ensure(is_file_name(name), &|| {
                format!("{name:?} is not the name of a file beside the manifest")
            })?;
        }
        let Some((_, but_last)) = file.parts.split_last() else {
            return Ok(());
        };
        ensure(file.parts.iter().all(|part| part.bytes > 0), &|| {
            "one of file.parts is empty".to_owned()
        })?;
        ensure(
            but_last
                .iter()
                .all(|part| part.bytes.is_multiple_of(file.chunk_bytes)),
            &|| "one of file.parts ends within a chunk".to_owned(),
        )?;
        let sum = file
            .parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(part.bytes));
        ensure(sum == Some(file.bytes), &|| {
            format!("file.parts do not add up to {} bytes", file.bytes)
        })
    }
}

/// Whether a name is that of a file in the manifest's own folder, on any system and in any address: a
/// manifest must not lead elsewhere.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | ' '))
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(FORMAT_VERSION)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FormatVersion, D::Error> {
        match u32::deserialize(deserializer)? {
            FORMAT_VERSION => Ok(FormatVersion),
            found => Err(serde::de::Error::custom(format!("unknown version {found}"))),
        }
    }
}
