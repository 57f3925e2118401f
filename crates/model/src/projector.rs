//! The projector: two linear layers that turn the tower's features into visual tokens.

use llavaguard_backend::{Device, Epilogue};

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::linear::Linear;
use crate::weights::WeightLoader;

/// LLaVA's `mlp2x_gelu` (LLaVA-NeXT, `multimodal_projector/builder.py`).
pub struct Projector<D: Device> {
    first: Linear<D>,
    second: Linear<D>,
    activation: crate::config::Activation,
}

impl<D: Device> Projector<D> {
    /// Takes the projector's weights from a file.
    pub async fn load(
        loader: &mut WeightLoader<'_, D>,
        config: &ModelConfig,
    ) -> Result<Self, ModelError> {
        let (from, to) = (config.vision.hidden, config.language.hidden);
        Ok(Projector {
            first: loader.linear("mm.0", to, from).await?,
            second: loader.linear("mm.2", to, to).await?,
            activation: config.projector.activation,
        })
    }

    /// `[patches, vision hidden]` to `[patches, language hidden]`.
    pub fn forward(&self, device: &D, features: &D::Matrix) -> Result<D::Matrix, ModelError> {
        let activation = self.activation.epilogue();
        let h = self.first.forward(device, features, activation)?;
        self.second.forward(device, &h, Epilogue::None)
    }
}
