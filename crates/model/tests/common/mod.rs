//! Checkpoint folders to convert: the ones of `tests/parity/models`, as they are or changed.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use llavaguard_backend::DType;
use llavaguard_backend::quant::decode_row;
use llavaguard_model::convert::{ConvertError, ConvertOptions, Report, convert};
use llavaguard_model::gguf::{FileSource, Gguf, KEY_CONTENT_SHA256};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;

/// Folder of a small checkpoint.
pub fn model_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/parity/models")
        .join(name)
}

/// A tensor in memory.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Tensor {
    pub fn f32(shape: &[usize], values: &[f32]) -> Tensor {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Tensor {
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            bytes,
        }
    }

    pub fn values(&self) -> Vec<f32> {
        let pairs = || self.bytes.chunks_exact(2).map(|b| [b[0], b[1]]);
        match self.dtype {
            Dtype::F32 => self
                .bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
            other => panic!("no numbers in {other:?}"),
        }
    }
}

/// A checkpoint in memory.
#[derive(Clone)]
pub struct Folder {
    pub tensors: BTreeMap<String, Tensor>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// Reads one of the small checkpoints, all shards of it.
    pub fn read(name: &str) -> Folder {
        let (mut tensors, mut files) = (BTreeMap::new(), BTreeMap::new());
        for entry in std::fs::read_dir(model_folder(name)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            if file.ends_with(".safetensors") {
                for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                    let tensor = Tensor {
                        dtype: view.dtype(),
                        shape: view.shape().to_vec(),
                        bytes: view.data().to_vec(),
                    };
                    tensors.insert(name, tensor);
                }
            } else if file != "model.safetensors.index.json" {
                files.insert(file, bytes);
            }
        }
        Folder { tensors, files }
    }

    /// Writes it as one safetensors file and the others.
    pub fn write(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let views = self.tensors.iter().map(|(name, t)| {
            (
                name.as_str(),
                TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap(),
            )
        });
        let weights = safetensors::serialize(views, None).unwrap();
        std::fs::write(folder.path().join("model.safetensors"), weights).unwrap();
        for (name, bytes) in &self.files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    /// The configuration.
    pub fn config(&self) -> Value {
        serde_json::from_slice(&self.files["config.json"]).unwrap()
    }

    /// Replaces the configuration.
    pub fn set_config(&mut self, config: &Value) {
        self.files
            .insert("config.json".into(), config.to_string().into_bytes());
    }

    /// Changes one setting; `pointer` is a JSON pointer, `None` removes it.
    pub fn set(&mut self, pointer: &str, value: Option<Value>) {
        let mut config = self.config();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let object = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => object.insert(key.to_owned(), value),
            None => object.remove(key),
        };
        self.set_config(&config);
    }

    /// The tensor of transformers 5's saved naming.
    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.get_mut(name).unwrap()
    }

    /// Renames every tensor.
    pub fn rename(&mut self, rename: impl Fn(&str) -> String) {
        let tensors = std::mem::take(&mut self.tensors);
        self.tensors = tensors
            .into_iter()
            .map(|(name, t)| (rename(&name), t))
            .collect();
    }
}

/// Converts, never stopping.
pub fn run(folder: &Path, out: &Path, options: &ConvertOptions) -> Result<Report, ConvertError> {
    convert(folder, out, options, &mut |_| ControlFlow::Continue(()))
}

/// A converted file, opened.
pub struct Converted {
    pub gguf: Gguf,
    pub source: FileSource,
    pub report: Report,
}

impl Converted {
    pub fn from(folder: &Path, options: &ConvertOptions) -> Converted {
        let target = tempfile::tempdir().unwrap();
        let out = target.path().join("out.gguf");
        let report = run(folder, &out, options).unwrap();
        let mut source = FileSource::open(&out).unwrap();
        let gguf = Gguf::open(&mut source).unwrap();
        Converted {
            gguf,
            source,
            report,
        }
    }

    pub fn dtype(&self, name: &str) -> DType {
        self.gguf.tensor(name).unwrap().dtype
    }

    pub fn values(&mut self, name: &str) -> Vec<f32> {
        let tensor = self.gguf.tensor(name).unwrap().clone();
        let bytes = self.gguf.read(&mut self.source, &tensor).unwrap();
        let cols = *tensor.shape.last().unwrap();
        let row = tensor.dtype.row_bytes(cols).unwrap();
        let mut values = vec![0.0; tensor.shape.iter().product()];
        for (values, bytes) in values.chunks_mut(cols).zip(bytes.chunks(row)) {
            decode_row(tensor.dtype, bytes, values).unwrap();
        }
        values
    }

    pub fn content(&self) -> String {
        self.gguf
            .metadata()
            .get::<&str>(KEY_CONTENT_SHA256)
            .unwrap()
            .to_owned()
    }
}
