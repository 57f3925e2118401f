//! Reading a file's header, defensively.
//!
//! Nothing is allocated that the rest of the file could not fill, counts and lengths are limited,
//! and arithmetic on sizes is checked, so that any sequence of bytes gives a file or an error and
//! never a panic or an exhausted memory.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use llavaguard_backend::DType;
use sha2::{Digest, Sha256};

use super::cursor::{CHUNK, Cursor, malformed, zeroed};
use super::{
    ByteSource, DEFAULT_ALIGNMENT, GgufError, KEY_ALIGNMENT, KEY_CONTENT_SHA256, MAGIC, Metadata,
    align_up,
};

/// Most metadata keys.
pub const MAX_KEYS: u64 = 1 << 16;
/// Most tensors.
pub const MAX_TENSORS: u64 = 1 << 16;
/// Longest key or tensor name, in bytes.
pub const MAX_NAME_BYTES: u64 = 1 << 12;
/// Most dimensions of a tensor.
pub const MAX_DIMS: u32 = 4;
/// Largest alignment of tensor data, in bytes.
pub const MAX_ALIGNMENT: u64 = 1 << 16;

/// Where a tensor lies in the file and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its shape, rows first as people and PyTorch write it (the file has it the other way round).
    pub shape: Vec<usize>,
    /// Number format of its values.
    pub dtype: DType,
    /// First byte, counted from the start of the file.
    pub offset: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// The header of a model file: its metadata and its tensors' places.
#[derive(Debug, Clone)]
pub struct Gguf {
    version: u32,
    alignment: u64,
    data_start: u64,
    file_len: u64,
    metadata: Metadata,
    /// Where the value of each key begins, behind its type.
    values: HashMap<String, u64>,
    tensors: Vec<TensorInfo>,
    by_name: HashMap<String, usize>,
}

impl Gguf {
    /// Reads and checks the header. On success every tensor's bytes lie inside the file, aligned and
    /// apart from one another.
    pub fn open(source: &mut dyn ByteSource) -> Result<Gguf, GgufError> {
        let file_len = source.len();
        let mut cursor = Cursor::new(source);
        let version = read_preamble(&mut cursor)?;
        let tensor_count = cursor.count("tensors", MAX_TENSORS, 24)?;
        let key_count = cursor.count("metadata keys", MAX_KEYS, 13)?;

        let (metadata, values) = read_metadata(&mut cursor, key_count)?;
        let alignment = read_alignment(&metadata)?;
        let mut tensors = read_tensor_table(&mut cursor, tensor_count)?;

        let data_start = align_up(cursor.position, alignment)
            .ok_or_else(|| malformed("the header's length overflows"))?;
        place(&mut tensors, data_start, alignment, file_len)?;

        let by_name = tensors
            .iter()
            .enumerate()
            .map(|(i, tensor)| (tensor.name.clone(), i))
            .collect();
        Ok(Gguf {
            version,
            alignment,
            data_start,
            file_len,
            metadata,
            values,
            tensors,
            by_name,
        })
    }

    /// Version of the format the file states (2 or 3).
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Alignment of the tensors, in bytes.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// First byte of the tensor data.
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Bytes of the whole file.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Keys and values.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The place in the file of a key's value, behind the number of its type.
    pub fn value_at(&self, key: &str) -> Option<u64> {
        self.values.get(key).copied()
    }

    /// All tensors, in the order of the file's table.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Rows, columns and format of every tensor; one that is no matrix is one row.
    pub fn sizes(&self) -> Vec<(usize, usize, DType)> {
        self.tensors
            .iter()
            .map(|tensor| match tensor.shape[..] {
                [rows, cols] => (rows, cols, tensor.dtype),
                _ => (1, tensor.shape.iter().product(), tensor.dtype),
            })
            .collect()
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.by_name.get(name).and_then(|&i| self.tensors.get(i))
    }

    /// The string under `key`.
    pub fn string(&self, key: &str) -> Result<&str, GgufError> {
        self.metadata.get(key)
    }

    /// The tensor of that name, which must have the shape `shape`, rows first.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<&TensorInfo, GgufError> {
        let tensor = self.tensor(name).ok_or_else(|| GgufError::MissingTensor {
            tensor: name.to_owned(),
        })?;
        if tensor.shape == shape {
            return Ok(tensor);
        }
        Err(GgufError::WrongShape {
            tensor: name.to_owned(),
            expected: shape.to_vec(),
            found: tensor.shape.clone(),
        })
    }

    /// Reads the bytes of a tensor of this file.
    pub fn read(
        &self,
        source: &mut dyn ByteSource,
        tensor: &TensorInfo,
    ) -> Result<Vec<u8>, GgufError> {
        let mut bytes = zeroed(tensor.bytes, || format!("tensor {}", tensor.name))?;
        source.read_at(tensor.offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Compares the SHA-256 of the tensor data with the one the file states. `progress` is told the
    /// bytes behind and in all, and may stop it: then nothing was found out, and that is a `Break`.
    pub fn verify(
        &self,
        source: &mut dyn ByteSource,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, GgufError> {
        let expected: &str = self.metadata.get(KEY_CONTENT_SHA256)?;
        let total = self.file_len.saturating_sub(self.data_start);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; CHUNK];
        let mut done = 0;
        while done < total {
            let take = (total - done).min(CHUNK as u64);
            let Some(chunk) = buffer.get_mut(..take as usize) else {
                break;
            };
            source.read_at(self.data_start + done, chunk)?;
            hasher.update(&*chunk);
            done += take;
            if progress(done, total).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let found = hex(&hasher.finalize());
        if found.eq_ignore_ascii_case(expected) {
            Ok(ControlFlow::Continue(()))
        } else {
            Err(GgufError::Checksum {
                expected: expected.to_owned(),
                found,
            })
        }
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Magic and version.
fn read_preamble(cursor: &mut Cursor<'_>) -> Result<u32, GgufError> {
    let len = cursor.len;
    if len == 0 {
        return Err(GgufError::NotGguf {
            found: "the file is empty".into(),
        });
    }
    if len < 4 {
        return Err(GgufError::NotGguf {
            found: format!("it has only {len} bytes"),
        });
    }
    let magic: [u8; 4] = cursor.fixed("the magic number")?;
    if magic != MAGIC {
        let found = format!("it starts with \"{}\"", magic.escape_ascii());
        return Err(GgufError::NotGguf { found });
    }
    let version = u32::from_le_bytes(cursor.fixed("the version")?);
    match version {
        2 | 3 => Ok(version),
        _ if matches!(version.swap_bytes(), 2 | 3) => Err(GgufError::BigEndian),
        found => Err(GgufError::Version { found }),
    }
}

fn read_metadata(
    cursor: &mut Cursor<'_>,
    count: u64,
) -> Result<(Metadata, HashMap<String, u64>), GgufError> {
    let mut metadata = Metadata::new();
    let mut places = HashMap::new();
    for _ in 0..count {
        let key = cursor.string("a metadata key", MAX_NAME_BYTES)?;
        let kind = cursor.value_type(&key)?;
        let place = cursor.position;
        let value = cursor.value(&key, kind)?;
        if places.insert(key.clone(), place).is_some() {
            return Err(malformed(format!("key {key} occurs twice")));
        }
        metadata.push_unchecked(key, value);
    }
    Ok((metadata, places))
}

fn read_alignment(metadata: &Metadata) -> Result<u64, GgufError> {
    let alignment = metadata
        .find::<u64>(KEY_ALIGNMENT)?
        .unwrap_or(DEFAULT_ALIGNMENT);
    if alignment.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&alignment) {
        return Ok(alignment);
    }
    Err(GgufError::BadValue {
        key: KEY_ALIGNMENT.to_owned(),
        found: alignment.to_string(),
        expected: format!("it must be a power of two from 8 to {MAX_ALIGNMENT}"),
    })
}

/// The tensor table; offsets are still relative to the tensor data.
fn read_tensor_table(cursor: &mut Cursor<'_>, count: u64) -> Result<Vec<TensorInfo>, GgufError> {
    let mut tensors = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..count {
        let name = cursor.string("a tensor's name", MAX_NAME_BYTES)?;
        let tensor = read_tensor_info(cursor, name)?;
        if !seen.insert(tensor.name.clone()) {
            return Err(malformed(format!("tensor {} occurs twice", tensor.name)));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor_info(cursor: &mut Cursor<'_>, name: String) -> Result<TensorInfo, GgufError> {
    let what = "the tensor table";
    let dim_count = cursor.u32(what)?;
    if dim_count == 0 || dim_count > MAX_DIMS {
        let detail =
            format!("tensor {name} has {dim_count} dimensions, 1 to {MAX_DIMS} are possible");
        return Err(malformed(detail));
    }
    let mut dims = Vec::new();
    for _ in 0..dim_count {
        dims.push(cursor.u64(what)?);
    }
    let type_id = cursor.u32(what)?;
    let offset = cursor.u64(what)?;
    let dtype = DType::from_ggml_type(type_id).ok_or_else(|| GgufError::UnsupportedType {
        tensor: name.clone(),
        found: ggml_type_name(type_id),
    })?;
    let bytes = tensor_bytes(&dims, dtype).ok_or_else(|| {
        malformed(format!(
            "tensor {name} has the impossible dimensions {dims:?} in {dtype}"
        ))
    })?;
    let shape: Option<Vec<usize>> = dims
        .iter()
        .rev()
        .map(|&side| usize::try_from(side).ok())
        .collect();
    let shape = shape.ok_or_else(|| {
        malformed(format!(
            "tensor {name} of dimensions {dims:?} is too large for this machine"
        ))
    })?;
    Ok(TensorInfo {
        name,
        shape,
        dtype,
        offset,
        bytes,
    })
}

/// Bytes of a tensor of GGUF dimensions `dims`; `None` for empty, overflowing or ragged ones.
pub(super) fn tensor_bytes(dims: &[u64], dtype: DType) -> Option<u64> {
    let (&cols, rest) = dims.split_first()?;
    if dims.contains(&0) {
        return None;
    }
    let blocks = cols.checked_div(dtype.block_len() as u64)?;
    if blocks.checked_mul(dtype.block_len() as u64)? != cols {
        return None;
    }
    let row = blocks.checked_mul(dtype.block_bytes() as u64)?;
    // The number of values must not overflow either: users of the shape multiply it out.
    let rows = rest
        .iter()
        .try_fold(1_u64, |rows, &side| rows.checked_mul(side))?;
    rows.checked_mul(cols)?;
    rows.checked_mul(row)
}

/// Makes offsets absolute and checks alignment, bounds and overlap.
fn place(
    tensors: &mut [TensorInfo],
    data_start: u64,
    alignment: u64,
    file_len: u64,
) -> Result<(), GgufError> {
    let mut furthest: Option<(u64, &str)> = None;
    let mut ranges = Vec::new();
    for tensor in tensors.iter_mut() {
        if !tensor.offset.is_multiple_of(alignment) {
            let TensorInfo { name, offset, .. } = tensor;
            let detail = format!("tensor {name} starts at {offset}, not a multiple of {alignment}");
            return Err(malformed(detail));
        }
        let start = data_start.checked_add(tensor.offset);
        let end = start.and_then(|start| start.checked_add(tensor.bytes));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(malformed(format!(
                "the place of tensor {} overflows",
                tensor.name
            )));
        };
        tensor.offset = start;
        if furthest.is_none_or(|(known, _)| end > known) {
            furthest = Some((end, &tensor.name));
        }
        ranges.push((start, end, &tensor.name));
    }
    if let Some((needed, name)) = furthest
        && needed > file_len
    {
        let what = format!("tensor {name}");
        return Err(GgufError::Truncated {
            what,
            needed,
            available: file_len,
        });
    }
    ranges.sort();
    for pair in ranges.windows(2) {
        if let [(_, end, first), (start, _, second)] = pair
            && start < end
        {
            return Err(malformed(format!("tensors {first} and {second} overlap")));
        }
    }
    Ok(())
}

/// ggml's name of a type we do not run (`enum ggml_type` in ggml.h).
fn ggml_type_name(id: u32) -> String {
    let name = match id {
        3 => "q4_1",
        6 => "q5_0",
        7 => "q5_1",
        9 => "q8_1",
        10 => "q2_K",
        11 => "q3_K",
        12 => "q4_K",
        13 => "q5_K",
        14 => "q6_K",
        15 => "q8_K",
        16 => "iq2_xxs",
        17 => "iq2_xs",
        18 => "iq3_xxs",
        19 => "iq1_s",
        20 => "iq4_nl",
        21 => "iq3_s",
        22 => "iq2_s",
        23 => "iq4_xs",
        24 => "i8",
        25 => "i16",
        26 => "i32",
        27 => "i64",
        28 => "f64",
        29 => "iq1_m",
        30 => "bf16",
        34 => "tq1_0",
        35 => "tq2_0",
        39 => "mxfp4",
        _ => return format!("an unknown format (ggml type {id})"),
    };
    name.to_owned()
}
