//! The formats a weight can be stored in.

/// Number format of a stored weight, row by row.
///
/// The quantised ones are GGUF's: a row is a sequence of blocks of 32 consecutive values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE 754 single precision, little endian.
    F32,
    /// IEEE 754 half precision, little endian.
    F16,
    /// Blocks of 32: an f16 scale `d`, then 32 signed bytes `q`; value = `d * q`.
    Q8_0,
    /// Blocks of 32: an f16 scale `d`, then 16 bytes; byte `i` holds value `i` in its low nibble and
    /// value `i + 16` in its high one; value = `d * (nibble - 8)`.
    Q4_0,
}

impl DType {
    /// All formats, in the order of their size.
    pub const ALL: [DType; 4] = [DType::F32, DType::F16, DType::Q8_0, DType::Q4_0];

    /// How many consecutive values of a row share one block (1 for plain numbers).
    pub const fn block_len(self) -> usize {
        match self {
            DType::F32 | DType::F16 => 1,
            DType::Q8_0 | DType::Q4_0 => 32,
        }
    }

    /// Bytes a block takes.
    pub const fn block_bytes(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::F16 => 2,
            DType::Q8_0 => 34,
            DType::Q4_0 => 18,
        }
    }

    /// Bytes a row of `cols` values takes, or `None` where `cols` is no multiple of the block length
    /// (or the size overflows).
    pub const fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        (cols / self.block_len()).checked_mul(self.block_bytes())
    }

    /// The name users write: `f32`, `f16`, `q8_0`, `q4_0`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Q8_0 => "q8_0",
            DType::Q4_0 => "q4_0",
        }
    }

    /// GGUF's number for the format (`ggml_type`).
    pub const fn ggml_type(self) -> u32 {
        match self {
            DType::F32 => 0,
            DType::F16 => 1,
            DType::Q4_0 => 2,
            DType::Q8_0 => 8,
        }
    }

    /// The format behind GGUF's number, if it is one we run.
    pub fn from_ggml_type(id: u32) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.ggml_type() == id)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DType::ALL
            .into_iter()
            .find(|dtype| dtype.name() == text)
            .ok_or_else(|| {
                format!("{text:?} is no weight format; the formats are f32, f16, q8_0 and q4_0")
            })
    }
}
