//! From tensors in a file to weights on a device.

use llavaguard_backend::quant::decode_row;
use llavaguard_backend::{Control, DType, Device, Stage};

use crate::config::LanguageConfig;
use crate::error::ModelError;
use crate::gguf::{ByteSource, Gguf, GgufError};
use crate::linear::Linear;

/// The table of all tokens' embeddings.
const EMBEDDING: &str = "token_embd.weight";

/// Stored rows as f32.
fn decode(bytes: &[u8], rows: usize, cols: usize, dtype: DType) -> Result<Vec<f32>, ModelError> {
    let mut values = vec![0.0; rows * cols];
    let width = bytes.len() / rows.max(1);
    for (row, values) in bytes
        .chunks(width.max(1))
        .zip(values.chunks_mut(cols.max(1)))
    {
        let decoded = decode_row(dtype, row, values);
        decoded.map_err(|error| ModelError::Config(error.to_string()))?;
    }
    Ok(values)
}

/// Reads the network's tensors by name, checks their shapes and hands them to the device.
///
/// Only one tensor is in flight at a time: a device that keeps stored bytes gets them by value, one with
/// memory of its own reads them piece by piece.
pub struct WeightLoader<'a, D: Device> {
    device: &'a D,
    gguf: &'a Gguf,
    source: &'a mut dyn ByteSource,
    control: &'a dyn Control,
    done: usize,
    /// Whether matrices are turned to f32 before the device gets them.
    decoded: bool,
}

impl<'a, D: Device> WeightLoader<'a, D> {
    /// A loader over an opened file.
    pub fn new(
        device: &'a D,
        gguf: &'a Gguf,
        source: &'a mut dyn ByteSource,
        control: &'a dyn Control,
    ) -> Self {
        WeightLoader {
            device,
            gguf,
            source,
            control,
            done: 0,
            decoded: false,
        }
    }

    /// Turns quantised matrices to f32, so that a device does not round what they meet.
    pub(crate) fn decoded(self) -> Self {
        WeightLoader {
            decoded: true,
            ..self
        }
    }

    pub(crate) fn device(&self) -> &'a D {
        self.device
    }

    /// A matrix weight `[rows, cols]`.
    pub async fn weight(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<D::Weight, ModelError> {
        if self.decoded {
            let (dtype, bytes) = self.bytes(name, &[rows, cols]).await?;
            return self.hand_over((rows, cols), dtype, bytes);
        }
        let info = self.gguf.expect(name, &[rows, cols])?;
        let (source, mut at) = (&mut *self.source, info.offset);
        let mut next = |piece: &mut [u8]| {
            let read = source.read_at(at, piece).map_err(GgufError::from);
            at += piece.len() as u64;
            read.map_err(ModelError::from)
        };
        let weight = self
            .device
            .stream_weight(rows, cols, info.dtype, &mut next)
            .await?;
        self.told().await?;
        Ok(weight)
    }

    fn hand_over(
        &self,
        (rows, cols): (usize, usize),
        dtype: DType,
        bytes: Vec<u8>,
    ) -> Result<D::Weight, ModelError> {
        if !self.decoded || dtype == DType::F32 {
            return Ok(self.device.load_weight(rows, cols, dtype, bytes)?);
        }
        let values = decode(&bytes, rows, cols, dtype)?;
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        let bytes = bytes.collect();
        Ok(self.device.load_weight(rows, cols, DType::F32, bytes)?)
    }

    /// Rows `first..first + count` of the output head `[vocab, hidden]`.
    pub(crate) async fn head_rows(
        &mut self,
        config: &LanguageConfig,
        first: usize,
        count: usize,
    ) -> Result<D::Weight, ModelError> {
        let name = if config.tied_head {
            EMBEDDING
        } else {
            "output.weight"
        };
        let (dtype, bytes) = self.some_rows(name, config, first, count)?;
        self.control.checkpoint().await?;
        self.hand_over((count, config.hidden), dtype, bytes)
    }

    /// Embeddings of tokens, `[ids.len(), hidden]`.
    pub(crate) async fn embedded(
        &mut self,
        config: &LanguageConfig,
        ids: &[u32],
    ) -> Result<D::Matrix, ModelError> {
        let mut values = Vec::new();
        for id in ids {
            let (dtype, bytes) = self.some_rows(EMBEDDING, config, *id as usize, 1)?;
            values.extend(decode(&bytes, 1, config.hidden, dtype)?);
        }
        self.control.checkpoint().await?;
        Ok(self.device.upload(ids.len(), config.hidden, &values)?)
    }

    /// The stored bytes of some rows of a table of all tokens.
    fn some_rows(
        &mut self,
        name: &str,
        config: &LanguageConfig,
        first: usize,
        count: usize,
    ) -> Result<(DType, Vec<u8>), ModelError> {
        let info = self.gguf.expect(name, &[config.vocab, config.hidden])?;
        let width = info.bytes / (config.vocab as u64).max(1);
        let mut bytes = vec![0; count * width as usize];
        let read = self
            .source
            .read_at(info.offset + first as u64 * width, &mut bytes);
        read.map_err(GgufError::from)?;
        Ok((info.dtype, bytes))
    }

    /// A vector of f32 values, as a `[1, len]` matrix.
    pub async fn vector(&mut self, name: &str, len: usize) -> Result<D::Matrix, ModelError> {
        let values = self.floats(name, &[len]).await?;
        Ok(self.device.upload(1, len, &values)?)
    }

    /// A table of f32 values that is used as activations (the position embedding).
    pub async fn matrix(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<D::Matrix, ModelError> {
        let values = self.floats(name, &[rows, cols]).await?;
        Ok(self.device.upload(rows, cols, &values)?)
    }

    /// `prefix.weight` `[out, in]` with `prefix.bias` `[out]`.
    pub async fn linear(
        &mut self,
        prefix: &str,
        out: usize,
        input: usize,
    ) -> Result<Linear<D>, ModelError> {
        let weight = self.weight(&format!("{prefix}.weight"), out, input).await?;
        let bias = Some(self.vector(&format!("{prefix}.bias"), out).await?);
        Ok(Linear { weight, bias })
    }

    /// `prefix.weight` `[out, in]` of a layer without a bias.
    pub async fn linear_no_bias(
        &mut self,
        prefix: &str,
        out: usize,
        input: usize,
    ) -> Result<Linear<D>, ModelError> {
        let weight = self.weight(&format!("{prefix}.weight"), out, input).await?;
        Ok(Linear { weight, bias: None })
    }

    async fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let (dtype, bytes) = self.bytes(name, shape).await?;
        if dtype != DType::F32 {
            return Err(ModelError::Config(format!(
                "tensor {name} is stored in {dtype}, where norms, biases and position embeddings have to be f32"
            )));
        }
        Ok(bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|chunk| f32::from_le_bytes(*chunk))
            .collect())
    }

    /// The stored bytes of a tensor, once its shape is what it should be.
    async fn bytes(&mut self, name: &str, shape: &[usize]) -> Result<(DType, Vec<u8>), ModelError> {
        let info = self.gguf.expect(name, shape)?;
        let bytes = self.gguf.read(self.source, info)?;
        let dtype = info.dtype;
        self.told().await?;
        Ok((dtype, bytes))
    }

    /// One tensor more is on the device.
    async fn told(&mut self) -> Result<(), ModelError> {
        self.done += 1;
        self.control
            .progress(Stage::Load, self.done, self.gguf.tensors().len());
        Ok(self.control.checkpoint().await?)
    }
}
