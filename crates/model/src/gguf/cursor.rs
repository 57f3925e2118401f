//! Sequential reading of a header, within limits.

use super::value::ValueType;
use super::{Array, ByteSource, GgufError, Value};

/// Longest header (metadata and tensor table) read, in bytes. The tokeniser of the real model takes 7 MB.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Deepest nesting of arrays in arrays.
pub const MAX_ARRAY_DEPTH: usize = 4;

/// Bytes read from the source at once.
pub(super) const CHUNK: usize = 1 << 20;

pub(super) fn malformed(detail: impl Into<String>) -> GgufError {
    GgufError::Malformed {
        detail: detail.into(),
    }
}

/// `bytes` zero bytes, or an error where there is no memory for them.
pub(super) fn zeroed(bytes: u64, what: impl Fn() -> String) -> Result<Vec<u8>, GgufError> {
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

/// Sequential reading with a buffer and limits.
pub(super) struct Cursor<'a> {
    source: &'a mut dyn ByteSource,
    pub(super) len: u64,
    pub(super) position: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a mut dyn ByteSource) -> Self {
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

    pub(super) fn fixed<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(what, &mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.fixed(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.fixed(what).map(u64::from_le_bytes)
    }

    /// A count of things of at least `min_bytes` each.
    pub(super) fn count(
        &mut self,
        what: &str,
        limit: u64,
        min_bytes: u64,
    ) -> Result<u64, GgufError> {
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

    pub(super) fn string(&mut self, what: &str, limit: u64) -> Result<String, GgufError> {
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

    pub(super) fn value_type(&mut self, key: &str) -> Result<ValueType, GgufError> {
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

    pub(super) fn value(&mut self, key: &str, kind: ValueType) -> Result<Value, GgufError> {
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
