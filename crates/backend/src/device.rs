//! The trait both kinds of device implement.

use std::future::Future;

use crate::{DType, Rounding};

/// What went wrong on a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Operands that do not fit one another; a fault of the network's code or of a model file whose
    /// sizes contradict each other.
    #[error("{operation}: operands do not fit: {detail}")]
    Shape {
        /// The operation that refused.
        operation: &'static str,
        /// Which sizes met.
        detail: String,
    },
    /// Bytes of a weight that do not have the length its shape and format ask for.
    #[error(
        "a weight of {rows} x {cols} in {dtype} needs {expected} bytes, got {found}; the model file is damaged"
    )]
    WeightBytes {
        /// Rows (output features).
        rows: usize,
        /// Columns (input features).
        cols: usize,
        /// Its format.
        dtype: DType,
        /// Bytes needed (0 where the columns do not fill whole blocks).
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A block of a quantised weight whose scale is NaN or infinite.
    #[error(
        "row {row} of a weight of {rows} x {cols} in {dtype} has a scale that is not a finite number; the model file is damaged"
    )]
    WeightNotFinite {
        /// Rows (output features).
        rows: usize,
        /// Columns (input features).
        cols: usize,
        /// Its format.
        dtype: DType,
        /// The row.
        row: usize,
    },
    /// An index past the end: a token id beyond the vocabulary, a cache row beyond its capacity.
    #[error("{operation}: index {index} is out of range, there are {len}")]
    OutOfRange {
        /// The operation that refused.
        operation: &'static str,
        /// The index asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// The device has no memory left.
    #[error("the device could not allocate {bytes} bytes; use a smaller model or a lower detail")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: usize,
    },
    /// The device does not come to the results it should. Another try would not either.
    #[error("the device computes wrongly, so it is not used: {0}; another driver may help")]
    Wrong(String),
    /// The device is gone or refuses to work.
    #[error("the device failed: {0}")]
    Lost(String),
}

impl DeviceError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            DeviceError::Shape { .. } | DeviceError::OutOfRange { .. } => "device.bad_operand",
            DeviceError::WeightBytes { .. } => "model.wrong_size",
            DeviceError::WeightNotFinite { .. } => "model.not_finite",
            DeviceError::OutOfMemory { .. } => "device.out_of_memory",
            DeviceError::Wrong(_) => "device.wrong_result",
            DeviceError::Lost(_) => "device.lost",
        }
    }
}

/// What is done to a [`Device::linear`]'s output while it is still in registers.
#[derive(Debug)]
pub enum Epilogue<'a, M> {
    /// Nothing.
    None,
    /// GELU by its tanh approximation, `gelu_pytorch_tanh` (SigLIP's MLP).
    GeluTanh,
    /// GELU by the error function (the projector).
    GeluErf,
    /// Adds a matrix of the output's shape (residual connection, position embedding).
    Add(&'a M),
}

/// Row `row` of the `source`-th matrix handed to [`Device::gather`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef {
    /// Index into the list of sources.
    pub source: u32,
    /// Row of that source.
    pub row: u32,
}

/// Heads of an attention operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; `heads` is a multiple of it (grouped-query attention).
    pub kv_heads: usize,
    /// Width of one head. Scores are scaled by `1/sqrt(head_dim)`.
    pub head_dim: usize,
}

/// Sizes of a key/value cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Decoder layers.
    pub layers: usize,
    /// Width of a layer's keys (and of its values): `kv_heads * head_dim`.
    pub width: usize,
    /// Positions it can hold.
    pub capacity: usize,
}

/// A device that runs the network's operations.
///
/// Matrices are row-major f32, `rows x cols`. Every operation is deterministic, and an output row
/// depends on its own input row alone (for attention: on the keys and values up to its position), to
/// the last bit and however many rows are computed together. Sessions rely on that: a prompt
/// prefilled in two pieces gives the same bits as in one.
///
/// Operations may be recorded and run later; [`Device::read`] and [`Device::argmax`] wait for them.
#[allow(async_fn_in_trait)]
pub trait Device {
    /// Activations on the device.
    type Matrix;
    /// A stored weight `[out, in]` on the device.
    type Weight;
    /// Keys and values of all decoder layers.
    type Cache;

    /// What the device is, for people: `cpu (avx2, 2 threads)`.
    fn name(&self) -> String;

    /// How it rounds the activations that meet a weight of this format, if it does.
    fn rounding(&self, weight: DType) -> Option<Rounding> {
        let _ = weight;
        None
    }

    /// Copies `rows * cols` values to the device.
    fn upload(&self, rows: usize, cols: usize, data: &[f32]) -> Result<Self::Matrix, DeviceError>;

    /// Rows and columns of a matrix.
    fn shape(&self, matrix: &Self::Matrix) -> (usize, usize);

    /// Copies a matrix back, row-major.
    fn read(&self, matrix: &Self::Matrix) -> impl Future<Output = Result<Vec<f32>, DeviceError>>;

    /// Waits until all that was recorded has run, so that a clock that is read next tells of it.
    fn settle(&self) -> impl Future<Output = Result<(), DeviceError>> {
        std::future::ready(Ok(()))
    }

    /// Takes a weight of `rows` output and `cols` input features from its stored bytes, which the
    /// device may keep as they are, so that no second copy of a large weight ever exists.
    fn load_weight(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<Self::Weight, DeviceError>;

    /// Takes a weight as [`Device::load_weight`] does, its stored bytes as they follow one another from
    /// `next`, which fills what it is given. A device with memory of its own asks for a few megabytes
    /// at a time, so that a large weight never stands beside it as a whole.
    fn stream_weight<E: From<DeviceError>>(
        &self,
        rows: usize,
        cols: usize,
        dtype: DType,
        next: &mut dyn FnMut(&mut [u8]) -> Result<(), E>,
    ) -> impl Future<Output = Result<Self::Weight, E>> {
        async move {
            let row = dtype.row_bytes(cols).unwrap_or_default();
            let wanted = row.saturating_mul(rows);
            let mut bytes = Vec::new();
            bytes
                .try_reserve_exact(wanted)
                .map_err(|_| DeviceError::OutOfMemory { bytes: wanted })?;
            bytes.resize(wanted, 0);
            next(&mut bytes)?;
            Ok(self.load_weight(rows, cols, dtype, bytes)?)
        }
    }

    /// `epilogue(x * w^T + bias)`: `[m, k]` by `[n, k]` gives `[m, n]`; `bias` is `[1, n]`. Where the
    /// weight is quantised `x` may be rounded first: see [`Device::rounding`].
    fn linear(
        &self,
        x: &Self::Matrix,
        w: &Self::Weight,
        bias: Option<&Self::Matrix>,
        epilogue: Epilogue<'_, Self::Matrix>,
    ) -> Result<Self::Matrix, DeviceError>;

    /// `x * w[ids]^T`: only the output features in `ids`, in their order; `[m, ids.len()]`.
    fn linear_rows(
        &self,
        x: &Self::Matrix,
        w: &Self::Weight,
        ids: &[u32],
    ) -> Result<Self::Matrix, DeviceError>;

    /// Layer normalisation of each row: `(x - mean) / sqrt(var + eps) * gain + bias`, biased variance.
    fn layer_norm(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        bias: &Self::Matrix,
        eps: f32,
    ) -> Result<Self::Matrix, DeviceError>;

    /// RMS normalisation of each row: `x / sqrt(mean(x^2) + eps) * gain`.
    fn rms_norm(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        eps: f32,
    ) -> Result<Self::Matrix, DeviceError>;

    /// Rotary position embedding in place, by halves as in Qwen2 (`rotate_half`): row `r` is at
    /// position `first + r`, pair `(i, i + head_dim/2)` turns by `position * theta^(-2i/head_dim)`.
    /// Frequency and angle are rounded to f32, as transformers does; the exact angle would differ.
    fn rotary(
        &self,
        x: &mut Self::Matrix,
        head_dim: usize,
        first: usize,
        theta: f32,
    ) -> Result<(), DeviceError>;

    /// Full (bidirectional) attention of `q` `[m, heads*d]` over `k`, `v` `[n, kv_heads*d]`.
    fn attention(
        &self,
        q: &Self::Matrix,
        k: &Self::Matrix,
        v: &Self::Matrix,
        shape: AttentionShape,
    ) -> Result<Self::Matrix, DeviceError>;

    /// Allocates an empty key/value cache.
    fn new_cache(&self, shape: CacheShape) -> Result<Self::Cache, DeviceError>;

    /// Writes the keys and values of positions `first..first + rows` of one layer. There may be no gap
    /// before them.
    fn cache_write(
        &self,
        cache: &mut Self::Cache,
        layer: usize,
        first: usize,
        k: &Self::Matrix,
        v: &Self::Matrix,
    ) -> Result<(), DeviceError>;

    /// Causal attention over a layer's cache: row `r` of `q` is at position `first + r` and sees
    /// positions `0..=first + r`.
    fn cached_attention(
        &self,
        q: &Self::Matrix,
        cache: &Self::Cache,
        layer: usize,
        first: usize,
        shape: AttentionShape,
    ) -> Result<Self::Matrix, DeviceError>;

    /// `silu(x * gate^T) * (x * up^T)`, element by element, `silu(a) = a / (1 + e^-a)`: `[m, k]` by two
    /// `[n, k]` gives `[m, n]` (the first half of a gated MLP; Shazeer, arXiv:2002.05202). `x` may be
    /// rounded as for [`Device::linear`].
    fn gated(
        &self,
        x: &Self::Matrix,
        gate: &Self::Weight,
        up: &Self::Weight,
    ) -> Result<Self::Matrix, DeviceError>;

    /// Rows `ids` of an embedding table.
    fn embed(&self, table: &Self::Weight, ids: &[u32]) -> Result<Self::Matrix, DeviceError>;

    /// A matrix made of the named rows of `sources` (all of the same width), in order.
    fn gather(
        &self,
        sources: &[&Self::Matrix],
        rows: &[RowRef],
    ) -> Result<Self::Matrix, DeviceError>;

    /// Bilinear resizing of a grid of rows (`from.0` high, `from.1` wide, row-major) to `to`, as
    /// `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` does it: no
    /// antialiasing, source coordinate `max(0, (i + 0.5) * scale - 0.5)` with `scale = from / to`.
    fn pool_bilinear(
        &self,
        x: &Self::Matrix,
        from: (usize, usize),
        to: (usize, usize),
    ) -> Result<Self::Matrix, DeviceError>;

    /// Index of the largest value of a `[1, n]` matrix, indices in `banned` left out; the lowest such
    /// index on a tie. A value that is not a number is [`DeviceError::Lost`], so that a broken
    /// computation chooses nothing.
    fn argmax(
        &self,
        logits: &Self::Matrix,
        banned: &[u32],
    ) -> impl Future<Output = Result<u32, DeviceError>>;
}
