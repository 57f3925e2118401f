//! The weights of a checkpoint folder: one safetensors file or several.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::Value;

use super::error::ConvertError;

/// Longest safetensors header, in bytes; the limit of the safetensors crate itself.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes read from a file at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a tensor's bytes lie.
#[derive(Debug, Clone)]
pub struct Stored {
    file: Rc<PathBuf>,
    offset: u64,
    dtype: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// All tensors of a checkpoint.
pub struct Checkpoint {
    tensors: BTreeMap<String, Stored>,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards `model.safetensors.index.json` names.
    pub fn open(folder: &Path) -> Result<Checkpoint, ConvertError> {
        let mut checkpoint = Checkpoint {
            tensors: BTreeMap::new(),
        };
        let index = folder.join("model.safetensors.index.json");
        let single = folder.join("model.safetensors");
        if index.is_file() {
            let wanted = read_index(&index)?;
            let mut shards: Vec<&String> = wanted.values().collect();
            shards.sort();
            shards.dedup();
            for shard in shards {
                checkpoint.add(folder.join(shard))?;
            }
            if let Some((name, shard)) = wanted
                .iter()
                .find(|(name, _)| !checkpoint.tensors.contains_key(*name))
            {
                let detail = format!("it says that {shard} holds {name}, which it does not");
                return Err(ConvertError::Damaged {
                    path: index,
                    detail,
                });
            }
        } else if single.is_file() {
            checkpoint.add(single)?;
        } else {
            return Err(no_weights(folder));
        }
        Ok(checkpoint)
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Stored> {
        self.tensors.get(name)
    }

    /// A reader of the tensor's values from its first one on.
    pub fn rows(&self, name: &str, stored: &Stored) -> Result<Rows, ConvertError> {
        let number = match stored.dtype {
            Dtype::F32 => Number::F32,
            Dtype::F16 => Number::F16,
            Dtype::BF16 => Number::Bf16,
            other => {
                let found = format!("{other:?}").to_lowercase();
                return Err(ConvertError::SourceFormat {
                    tensor: name.to_owned(),
                    found,
                });
            }
        };
        let path = stored.file.clone();
        let opened = File::open(path.as_path()).and_then(|mut file| {
            file.seek(SeekFrom::Start(stored.offset))?;
            Ok(BufReader::with_capacity(BUFFER_BYTES, file))
        });
        match opened {
            Ok(file) => Ok(Rows {
                path,
                file,
                number,
                bytes: Vec::new(),
            }),
            Err(error) => Err(ConvertError::Read {
                path: path.to_path_buf(),
                error,
            }),
        }
    }

    fn add(&mut self, path: PathBuf) -> Result<(), ConvertError> {
        let failed = |error| ConvertError::Read {
            path: path.clone(),
            error,
        };
        let mut file = File::open(&path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let (header, data_start) = read_header(&mut file, len, &path)?;
        let shared = Rc::new(path.clone());
        for (name, info) in header.tensors() {
            let damaged = |detail: String| {
                let path = path.clone();
                ConvertError::Damaged {
                    path,
                    detail: format!("tensor {name} {detail}"),
                }
            };
            let (start, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
            let bits = info
                .shape
                .iter()
                .try_fold(info.dtype.bitsize() as u64, |bits, &side| {
                    bits.checked_mul(side as u64)
                });
            let range = end
                .checked_sub(start)
                .and_then(|bytes| bytes.checked_mul(8));
            if bits.is_none() || bits != range {
                return Err(damaged(
                    "has a byte range that does not fit its shape".into(),
                ));
            }
            let needed = data_start.saturating_add(end);
            if needed > len {
                return Err(ConvertError::Truncated {
                    path,
                    needed,
                    available: len,
                });
            }
            let stored = Stored {
                file: Rc::clone(&shared),
                offset: data_start + start,
                dtype: info.dtype,
                shape: info.shape.clone(),
            };
            if self.tensors.insert(name.clone(), stored).is_some() {
                return Err(damaged("is in another shard as well".into()));
            }
        }
        Ok(())
    }
}

/// The header of a safetensors file and where its data starts.
fn read_header(file: &mut File, len: u64, path: &Path) -> Result<(Metadata, u64), ConvertError> {
    let failed = |error| ConvertError::Read {
        path: path.to_owned(),
        error,
    };
    let damaged = |detail: String| ConvertError::Damaged {
        path: path.to_owned(),
        detail,
    };
    let truncated = |needed| ConvertError::Truncated {
        path: path.to_owned(),
        needed,
        available: len,
    };
    if len < 8 {
        return Err(truncated(8));
    }
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(failed)?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER_BYTES {
        return Err(damaged(format!(
            "its header claims {size} bytes; it is no safetensors file"
        )));
    }
    if 8 + size > len {
        return Err(truncated(8 + size));
    }
    let mut json = vec![0; size as usize];
    file.read_exact(&mut json).map_err(failed)?;
    let header = serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
    Ok((header, 8 + size))
}

/// Which shard holds which tensor.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>, ConvertError> {
    let damaged = |detail: String| ConvertError::Damaged {
        path: path.to_owned(),
        detail,
    };
    let index = super::read_json(path)?;
    let Some(Value::Object(map)) = index.get("weight_map") else {
        return Err(damaged("it has no weight_map".into()));
    };
    let mut shards = BTreeMap::new();
    for (tensor, shard) in map {
        let shard = shard
            .as_str()
            .filter(|shard| is_plain_name(shard))
            .ok_or_else(|| {
                damaged(format!(
                    "the shard of {tensor} is not the name of a file in this folder"
                ))
            })?;
        shards.insert(tensor.clone(), shard.to_owned());
    }
    Ok(shards)
}

/// Whether a name names a file in the same folder and nothing elsewhere.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(std::path::Component::Normal(part)) if part == name)
        && parts.next().is_none()
}

fn no_weights(folder: &Path) -> ConvertError {
    let found = match std::fs::read_dir(folder) {
        Err(error) => {
            return ConvertError::Read {
                path: folder.to_owned(),
                error,
            };
        }
        Ok(entries) => {
            let mut others: Vec<String> = entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| name.ends_with(".bin") || name.ends_with(".safetensors"))
                .collect();
            others.sort();
            if others.is_empty() {
                "nothing of the kind".into()
            } else {
                others.join(", ")
            }
        }
    };
    ConvertError::NoWeights {
        folder: folder.to_owned(),
        found,
    }
}

#[derive(Clone, Copy)]
enum Number {
    F32,
    F16,
    Bf16,
}

/// Reads a tensor row after row, as f32.
pub struct Rows {
    path: Rc<PathBuf>,
    file: BufReader<File>,
    number: Number,
    bytes: Vec<u8>,
}

impl Rows {
    /// The next `values.len()` values.
    pub fn next(&mut self, values: &mut [f32]) -> Result<(), ConvertError> {
        let width = if matches!(self.number, Number::F32) {
            4
        } else {
            2
        };
        self.bytes.resize(values.len() * width, 0);
        self.file
            .read_exact(&mut self.bytes)
            .map_err(|error: io::Error| ConvertError::Read {
                path: self.path.to_path_buf(),
                error,
            })?;
        match self.number {
            Number::F32 => {
                for (value, bytes) in values.iter_mut().zip(self.bytes.as_chunks().0) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Number::F16 => {
                for (value, bytes) in values.iter_mut().zip(self.bytes.as_chunks().0) {
                    *value = f16::from_le_bytes(*bytes).to_f32();
                }
            }
            Number::Bf16 => {
                for (value, bytes) in values.iter_mut().zip(self.bytes.as_chunks().0) {
                    *value = bf16::from_le_bytes(*bytes).to_f32();
                }
            }
        }
        Ok(())
    }
}
