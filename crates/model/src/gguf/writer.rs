//! Writing a file, tensor by tensor.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use llavaguard_backend::DType;
use sha2::{Digest, Sha256};

use super::reader::{hex, tensor_bytes};
use super::{
    Array, DEFAULT_ALIGNMENT, KEY_ALIGNMENT, KEY_CONTENT_SHA256, MAGIC, Metadata, Value, align_up,
};

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its shape, rows first; the last side is the number of columns.
    pub shape: Vec<usize>,
    /// Number format of its values.
    pub dtype: DType,
}

impl TensorSpec {
    /// GGUF's order: columns first.
    fn dims(&self) -> Vec<u64> {
        self.shape.iter().rev().map(|&side| side as u64).collect()
    }

    /// Bytes of its data; `None` where the shape is empty, too large, or does not fill whole blocks.
    pub fn bytes(&self) -> Option<u64> {
        tensor_bytes(&self.dims(), self.dtype)
    }
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("{} could not be written: {error}; check the folder, its permissions and the free space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A shape that cannot be stored.
    #[error("tensor {tensor} of shape {shape:?} cannot be stored as {dtype}; its columns must fill whole blocks of {}", dtype.block_len())]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape, rows first.
        shape: Vec<usize>,
        /// The format asked for.
        dtype: DType,
    },
    /// Tensors or their bytes came otherwise than planned.
    #[error("the file's content does not follow its plan: {detail}")]
    Plan {
        /// What came instead.
        detail: String,
    },
}

impl WriteError {
    /// Stable dotted code.
    pub fn code(&self) -> &'static str {
        match self {
            WriteError::Io { .. } => "output.not_writable",
            WriteError::Shape { .. } => "output.bad_shape",
            WriteError::Plan { .. } => "output.bad_plan",
        }
    }
}

/// Writes `OUT.part-<pid>` beside `OUT` and renames it at the end, so that `OUT` is never half a
/// file; dropped before [`Writer::finish`], it removes what it wrote.
#[derive(Debug)]
pub struct Writer {
    out: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    plan: Vec<(String, u64)>,
    /// Index of the tensor that comes next.
    next: usize,
    /// Bytes the tensor begun last still lacks.
    missing: u64,
    /// Bytes of tensor data written, padding included.
    written: u64,
    digest_at: u64,
    hasher: Sha256,
    renamed: bool,
}

impl Writer {
    /// Starts `out` with `metadata` (alignment and content digest are added) and the table of
    /// `tensors`, whose data must then follow in that order.
    pub fn create(
        out: &Path,
        metadata: &Metadata,
        tensors: &[TensorSpec],
    ) -> Result<Writer, WriteError> {
        let mut metadata = metadata.clone();
        metadata.set(KEY_ALIGNMENT, DEFAULT_ALIGNMENT as u32);
        metadata.set(KEY_CONTENT_SHA256, "0".repeat(64));
        let mut plan = Vec::new();
        for spec in tensors {
            let bytes = spec.bytes().ok_or_else(|| WriteError::Shape {
                tensor: spec.name.clone(),
                shape: spec.shape.clone(),
                dtype: spec.dtype,
            })?;
            plan.push((spec.name.clone(), bytes));
        }
        let (header, digest_at) = encode_header(&metadata, tensors, &plan);

        let mut part = out.as_os_str().to_owned();
        part.push(format!(".part-{}", std::process::id()));
        let part = PathBuf::from(part);
        let failed = |error| WriteError::Io {
            path: part.clone(),
            error,
        };
        let file = File::create(&part).map_err(failed)?;
        let mut writer = Writer {
            out: out.to_owned(),
            file: BufWriter::with_capacity(1 << 20, file),
            plan,
            next: 0,
            missing: 0,
            written: 0,
            digest_at,
            hasher: Sha256::new(),
            renamed: false,
            part,
        };
        let result = writer.file.write_all(&header);
        writer.io(result)?;
        Ok(writer)
    }

    /// Says that the bytes of `name` follow; it must be the next tensor of the plan.
    pub fn begin(&mut self, name: &str) -> Result<(), WriteError> {
        self.end_tensor()?;
        match self.plan.get(self.next) {
            Some((planned, bytes)) if planned == name => {
                self.missing = *bytes;
                self.next += 1;
                Ok(())
            }
            Some((planned, _)) => Err(plan(format!("{name} came where {planned} was due"))),
            None => Err(plan(format!("{name} came after the last tensor"))),
        }
    }

    /// Appends bytes to the tensor begun last.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.missing = self
            .missing
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| {
                let name = self
                    .plan
                    .get(self.next.wrapping_sub(1))
                    .map_or("", |(name, _)| name);
                plan(format!(
                    "{} bytes too many for {name}",
                    bytes.len() as u64 - self.missing
                ))
            })?;
        self.append(bytes)
    }

    /// Checks that every tensor is there, enters the digest, and moves the file to its place.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.end_tensor()?;
        if let Some((name, _)) = self.plan.get(self.next) {
            return Err(plan(format!("{name} was never written")));
        }
        let digest = hex(&std::mem::take(&mut self.hasher).finalize());
        let result = self.seal(&digest);
        self.io(result)?;
        self.renamed = true;
        Ok(())
    }

    fn seal(&mut self, digest: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.digest_at))?;
        self.file.write_all(digest.as_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.part, &self.out)
    }

    /// Pads the tensor begun last; it must be complete.
    fn end_tensor(&mut self) -> Result<(), WriteError> {
        if self.missing > 0 {
            let name = self
                .plan
                .get(self.next.wrapping_sub(1))
                .map_or("", |(name, _)| name);
            return Err(plan(format!(
                "{} bytes of {name} are missing",
                self.missing
            )));
        }
        let padding = self.written.wrapping_neg() % DEFAULT_ALIGNMENT;
        self.append(&[0; DEFAULT_ALIGNMENT as usize][..padding as usize])
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        let result = self.file.write_all(bytes);
        self.io(result)
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, WriteError> {
        result.map_err(|error| WriteError::Io {
            path: self.out.clone(),
            error,
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.renamed {
            // Nobody is left to tell if this fails.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

fn plan(detail: String) -> WriteError {
    WriteError::Plan { detail }
}

/// The header, padded, and the place of the digest in it.
fn encode_header(
    metadata: &Metadata,
    tensors: &[TensorSpec],
    plan: &[(String, u64)],
) -> (Vec<u8>, u64) {
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(3_u32.to_le_bytes());
    header.extend((tensors.len() as u64).to_le_bytes());
    header.extend((metadata.len() as u64).to_le_bytes());
    let mut digest_at = 0;
    for (key, value) in metadata.iter() {
        encode_string(&mut header, key);
        header.extend(value.kind().id().to_le_bytes());
        if key == KEY_CONTENT_SHA256 {
            digest_at = header.len() as u64 + 8;
        }
        encode_value(&mut header, value);
    }
    let mut offset = 0;
    for (spec, (_, bytes)) in tensors.iter().zip(plan) {
        encode_string(&mut header, &spec.name);
        let dims = spec.dims();
        header.extend((dims.len() as u32).to_le_bytes());
        dims.iter()
            .for_each(|side| header.extend(side.to_le_bytes()));
        header.extend(spec.dtype.ggml_type().to_le_bytes());
        header.extend(u64::to_le_bytes(offset));
        offset = align_up(offset.saturating_add(*bytes), DEFAULT_ALIGNMENT).unwrap_or(u64::MAX);
    }
    header.resize(header.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
    (header, digest_at)
}

fn encode_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn encode_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(x) => out.extend(x.to_le_bytes()),
        Value::I8(x) => out.extend(x.to_le_bytes()),
        Value::U16(x) => out.extend(x.to_le_bytes()),
        Value::I16(x) => out.extend(x.to_le_bytes()),
        Value::U32(x) => out.extend(x.to_le_bytes()),
        Value::I32(x) => out.extend(x.to_le_bytes()),
        Value::F32(x) => out.extend(x.to_le_bytes()),
        Value::Bool(x) => out.push(u8::from(*x)),
        Value::String(x) => encode_string(out, x),
        Value::Array(x) => encode_array(out, x),
        Value::U64(x) => out.extend(x.to_le_bytes()),
        Value::I64(x) => out.extend(x.to_le_bytes()),
        Value::F64(x) => out.extend(x.to_le_bytes()),
    }
}

fn encode_array(out: &mut Vec<u8>, array: &Array) {
    out.extend(array.kind().id().to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(x) => out.extend(x),
        Array::I8(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::U16(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I16(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::U32(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I32(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::F32(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::Bool(x) => out.extend(x.iter().map(|&x| u8::from(x))),
        Array::String(x) => x.iter().for_each(|x| encode_string(out, x)),
        Array::Array(x) => x.iter().for_each(|x| encode_array(out, x)),
        Array::U64(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::I64(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
        Array::F64(x) => x.iter().for_each(|x| out.extend(x.to_le_bytes())),
    }
}
