//! From tensors in a file to weights on a device.

use llavaguard_backend::{Control, DType, Device, Stage};

use crate::error::ModelError;
use crate::gguf::{ByteSource, Gguf};
use crate::linear::Linear;

/// Reads the network's tensors by name, checks their shapes and hands them to the device.
///
/// Only one tensor is in flight at a time, and its bytes are given to the device by value.
pub struct WeightLoader<'a, D: Device> {
    device: &'a D,
    gguf: &'a Gguf,
    source: &'a mut dyn ByteSource,
    control: &'a dyn Control,
    done: usize,
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
        }
    }

    /// A matrix weight `[rows, cols]`.
    pub async fn weight(
        &mut self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<D::Weight, ModelError> {
        let (dtype, bytes) = self.bytes(name, &[rows, cols]).await?;
        Ok(self.device.load_weight(rows, cols, dtype, bytes)?)
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
        self.done += 1;
        self.control
            .progress(Stage::Load, self.done, self.gguf.tensors().len());
        self.control.checkpoint().await?;
        Ok((dtype, bytes))
    }
}
