//! Reading a file's header, defensively.
//!
//! Nothing is allocated that the rest of the file could not fill, counts and lengths are limited,
//! and arithmetic on sizes is checked, so that any sequence of bytes gives a file or an error and
//! never a panic or an exhausted memory.

use std::collections::{BTreeSet, HashMap};

use llavaguard_backend::DType;
use sha2::{Digest, Sha256};

use super::value::ValueType;
use super::{
    Array, ByteSource, DEFAULT_ALIGNMENT, GgufError, KEY_ALIGNMENT, KEY_CONTENT_SHA256, MAGIC,
    Metadata, Value, align_up,
};

/// Longest header (metadata and tensor table) read, in bytes. The tokeniser of the real model takes 7 MB.
pub const MAX_HEADER_BYTES: u64 = 256 << 20;
/// Most metadata keys.
pub const MAX_KEYS: u64 = 1 << 16;
/// Most tensors.
pub const MAX_TENSORS: u64 = 1 << 16;
/// Longest key or tensor name, in bytes.
pub const MAX_NAME_BYTES: u64 = 1 << 12;
/// Deepest nesting of arrays in arrays.
pub const MAX_ARRAY_DEPTH: usize = 4;
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

        let metadata = read_metadata(&mut cursor, key_count)?;
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

    /// All tensors, in the order of the file's table.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
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
    /// bytes behind and in all.
    pub fn verify(
        &self,
        source: &mut dyn ByteSource,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), GgufError> {
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
            progress(done, total);
        }
        let found = hex(&hasher.finalize());
        if found.eq_ignore_ascii_case(expected) {
            Ok(())
        } else {
            Err(GgufError::Checksum {
                expected: expected.to_owned(),
                found,
            })
        }
    }
}

/// Bytes read from the source at once.
const CHUNK: usize = 1 << 20;

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn malformed(detail: impl Into<String>) -> GgufError {
    GgufError::Malformed {
        detail: detail.into(),
    }
}

/// `bytes` zero bytes, or an error where there is no memory for them.
fn zeroed(bytes: u64, what: impl Fn() -> String) -> Result<Vec<u8>, GgufError> {
    let out_of_memory = || GgufError::OutOfMemory {
        what: what(),
        bytes,
    };
    let len = usize::try_from(bytes).map_err(|_| out_of_memory())?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(len).map_err(|_| out_of_memory())?;
    buffer.resize(len, 0);
    Ok(buffer)
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

fn read_metadata(cursor: &mut Cursor<'_>, count: u64) -> Result<Metadata, GgufError> {
    let mut metadata = Metadata::new();
    let mut seen = BTreeSet::new();
    for _ in 0..count {
        let key = cursor.string("a metadata key", MAX_NAME_BYTES)?;
        let kind = cursor.value_type(&key)?;
        let value = cursor.value(&key, kind)?;
        if !seen.insert(key.clone()) {
            return Err(malformed(format!("key {key} occurs twice")));
        }
        metadata.push_unchecked(key, value);
    }
    Ok(metadata)
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

/// Sequential reading with a buffer and limits.
struct Cursor<'a> {
    source: &'a mut dyn ByteSource,
    len: u64,
    position: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl<'a> Cursor<'a> {
    fn new(source: &'a mut dyn ByteSource) -> Self {
        let len = source.len();
        Cursor {
            source,
            len,
            position: 0,
            buffer: Vec::new(),
            buffer_start: 0,
        }
    }

    /// Bytes that may still belong to the header.
    fn remaining(&self) -> u64 {
        self.len.saturating_sub(self.position)
    }

    /// Refuses where `bytes` more bytes cannot be there.
    fn need(&self, what: &str, bytes: u64) -> Result<(), GgufError> {
        let needed = self.position.checked_add(bytes);
        match needed {
            Some(needed) if needed > MAX_HEADER_BYTES && needed <= self.len => {
                let detail = format!("the header is longer than {MAX_HEADER_BYTES} bytes ({what})");
                Err(malformed(detail))
            }
            Some(needed) if needed <= self.len => Ok(()),
            Some(needed) => Err(GgufError::Truncated {
                what: what.to_owned(),
                needed,
                available: self.len,
            }),
            None => Err(malformed(format!("the length of {what} overflows"))),
        }
    }

    /// The next `buf.len()` bytes.
    fn fill(&mut self, what: &str, buf: &mut [u8]) -> Result<(), GgufError> {
        self.need(what, buf.len() as u64)?;
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let inside = self
                .position
                .checked_sub(self.buffer_start)
                .map(|at| at as usize);
            let ready = inside
                .and_then(|at| self.buffer.get(at..))
                .unwrap_or_default();
            if ready.is_empty() {
                self.refill()?;
                continue;
            }
            let take = ready.len().min(rest.len());
            for (to, from) in rest.iter_mut().zip(ready) {
                *to = *from;
            }
            filled += take;
            self.position += take as u64;
        }
        Ok(())
    }

    fn refill(&mut self) -> Result<(), GgufError> {
        let take = self.remaining().min(CHUNK as u64) as usize;
        self.buffer.resize(take, 0);
        self.buffer_start = self.position;
        self.source.read_at(self.position, &mut self.buffer)?;
        Ok(())
    }

    fn fixed<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.fixed(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.fixed(what).map(u64::from_le_bytes)
    }

    /// A count of things of at least `min_bytes` each.
    fn count(&mut self, what: &str, limit: u64, min_bytes: u64) -> Result<u64, GgufError> {
        let count = self.u64(&format!("the number of {what}"))?;
        if count > limit {
            return Err(malformed(format!(
                "{count} {what} are more than the {limit} allowed"
            )));
        }
        self.need(
            &format!("a list of {count} {what}"),
            count.saturating_mul(min_bytes),
        )?;
        Ok(count)
    }

    fn string(&mut self, what: &str, limit: u64) -> Result<String, GgufError> {
        let len = self.u64(what)?;
        if len > limit {
            let detail = format!("{what} is {len} bytes long, at most {limit} are allowed");
            return Err(malformed(detail));
        }
        self.need(what, len)?;
        let mut bytes = zeroed(len, || what.to_owned())?;
        self.fill(what, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| malformed(format!("{what} is not UTF-8")))
    }

    fn value_type(&mut self, key: &str) -> Result<ValueType, GgufError> {
        let id = self.u32(&format!("the type of key {key}"))?;
        ValueType::from_id(id)
            .ok_or_else(|| malformed(format!("key {key} has the unknown value type {id}")))
    }

    fn bool(&mut self, key: &str) -> Result<bool, GgufError> {
        match self.fixed(key)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(malformed(format!("key {key} has the bool value {other}"))),
        }
    }

    fn value(&mut self, key: &str, kind: ValueType) -> Result<Value, GgufError> {
        Ok(match kind {
            ValueType::U8 => Value::U8(u8::from_le_bytes(self.fixed(key)?)),
            ValueType::I8 => Value::I8(i8::from_le_bytes(self.fixed(key)?)),
            ValueType::U16 => Value::U16(u16::from_le_bytes(self.fixed(key)?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(self.fixed(key)?)),
            ValueType::U32 => Value::U32(u32::from_le_bytes(self.fixed(key)?)),
            ValueType::I32 => Value::I32(i32::from_le_bytes(self.fixed(key)?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(self.fixed(key)?)),
            ValueType::Bool => Value::Bool(self.bool(key)?),
            ValueType::String => Value::String(self.string(key, MAX_HEADER_BYTES)?),
            ValueType::Array => Value::Array(self.array(key, 1)?),
            ValueType::U64 => Value::U64(u64::from_le_bytes(self.fixed(key)?)),
            ValueType::I64 => Value::I64(i64::from_le_bytes(self.fixed(key)?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(self.fixed(key)?)),
        })
    }

    fn array(&mut self, key: &str, depth: usize) -> Result<Array, GgufError> {
        if depth > MAX_ARRAY_DEPTH {
            let detail = format!("key {key} nests arrays more than {MAX_ARRAY_DEPTH} deep");
            return Err(malformed(detail));
        }
        let kind = self.value_type(key)?;
        let len = self.u64(key)?;
        let what = format!("an array of {len} {kind} in key {key}");
        let bytes = len.checked_mul(kind.min_bytes());
        let bytes = bytes.ok_or_else(|| malformed(format!("the length of {what} overflows")))?;
        self.need(&what, bytes)?;
        Ok(match kind {
            ValueType::U8 => Array::U8(self.numbers(&what, len, u8::from_le_bytes)?),
            ValueType::I8 => Array::I8(self.numbers(&what, len, i8::from_le_bytes)?),
            ValueType::U16 => Array::U16(self.numbers(&what, len, u16::from_le_bytes)?),
            ValueType::I16 => Array::I16(self.numbers(&what, len, i16::from_le_bytes)?),
            ValueType::U32 => Array::U32(self.numbers(&what, len, u32::from_le_bytes)?),
            ValueType::I32 => Array::I32(self.numbers(&what, len, i32::from_le_bytes)?),
            ValueType::F32 => Array::F32(self.numbers(&what, len, f32::from_le_bytes)?),
            ValueType::U64 => Array::U64(self.numbers(&what, len, u64::from_le_bytes)?),
            ValueType::I64 => Array::I64(self.numbers(&what, len, i64::from_le_bytes)?),
            ValueType::F64 => Array::F64(self.numbers(&what, len, f64::from_le_bytes)?),
            ValueType::Bool => Array::Bool(self.items(&what, len, |c| c.bool(key))?),
            ValueType::String => {
                Array::String(self.items(&what, len, |c| c.string(key, MAX_HEADER_BYTES))?)
            }
            ValueType::Array => Array::Array(self.items(&what, len, |c| c.array(key, depth + 1))?),
        })
    }

    fn numbers<T, const N: usize>(
        &mut self,
        what: &str,
        len: u64,
        decode: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, GgufError> {
        self.items(what, len, |cursor| cursor.fixed(what).map(decode))
    }

    fn items<T>(
        &mut self,
        what: &str,
        len: u64,
        mut item: impl FnMut(&mut Self) -> Result<T, GgufError>,
    ) -> Result<Vec<T>, GgufError> {
        let mut items = Vec::new();
        for _ in 0..len {
            if items.len() == items.capacity() {
                items.try_reserve(1).map_err(|_| GgufError::OutOfMemory {
                    what: what.to_owned(),
                    bytes: len.saturating_mul(size_of::<T>() as u64),
                })?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }
}
