//! The linear layer all parts of the network are made of.

use llavaguard_backend::{Device, Epilogue};

use crate::config::Activation;
use crate::error::ModelError;

/// A linear layer's parameters.
pub struct Linear<D: Device> {
    /// `[out, in]`.
    pub weight: D::Weight,
    /// `[1, out]`, where the layer has one.
    pub bias: Option<D::Matrix>,
}

impl<D: Device> Linear<D> {
    /// `epilogue(x * w^T + bias)`.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        epilogue: Epilogue<'_, D::Matrix>,
    ) -> Result<D::Matrix, ModelError> {
        Ok(device.linear(x, &self.weight, self.bias.as_ref(), epilogue)?)
    }
}

impl Activation {
    /// The activation as an epilogue of the linear layer before it.
    pub fn epilogue<'a, M: 'a>(self) -> Epilogue<'a, M> {
        match self {
            Activation::Gelu => Epilogue::GeluErf,
            Activation::GeluTanh => Epilogue::GeluTanh,
        }
    }
}
