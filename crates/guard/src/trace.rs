//! Every stage of one image's way through the network, for comparing with another implementation.

use llavaguard_backend::{Control, Device};
use llavaguard_model::Wanted;
use llavaguard_policy::{Detail, Policy, Segment};

use crate::engine::Engine;
use crate::error::Error;
use crate::prompt::tokenize;
use crate::request::ImageInput;

/// Tokens of the free greedy continuation in a trace.
const GREEDY_TOKENS: usize = 10;

/// The stages, flattened row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Tiles, the base image included.
    pub tiles: usize,
    /// Side of a tile.
    pub side: usize,
    /// Patches of a tile.
    pub patches: usize,
    /// Width of the tower.
    pub vision_width: usize,
    /// Width of the language model.
    pub language_width: usize,
    /// `[tiles, 3, side, side]`.
    pub pixel_values: Vec<f32>,
    /// `[tiles, patches, vision_width]`.
    pub vision_features: Vec<f32>,
    /// `[tiles, patches, language_width]`.
    pub projected: Vec<f32>,
    /// `[tokens, language_width]`.
    pub visual_tokens: Vec<f32>,
    /// The prompt, one image token standing for the image.
    pub prompt_ids: Vec<u32>,
    /// Logits behind the prompt, `[vocab]`.
    pub logits: Vec<f32>,
    /// The likeliest tokens that follow, without any grammar.
    pub greedy_ids: Vec<u32>,
}

impl<D: Device> Engine<D> {
    /// Runs one image and policy and keeps every stage.
    pub async fn trace(
        &self,
        image: ImageInput<'_>,
        policy: &Policy,
        detail: Detail,
        control: &dyn Control,
    ) -> Result<Trace, Error> {
        self.trace_prompt(image, &self.segments(policy), detail, control)
            .await
    }

    /// Likewise, with a prompt of any text that has a place for one image.
    pub async fn trace_prompt(
        &self,
        image: ImageInput<'_>,
        prompt: &[Segment],
        detail: Detail,
        control: &dyn Control,
    ) -> Result<Trace, Error> {
        let network = self.network();
        let (device, config) = (network.device(), network.config());
        let image = self.decode(image)?;
        let (plan, tiles) = self.tiles(&image, detail)?;
        let (encoded, detail) = self.encode(&plan, &tiles, detail, true, control).await?;

        let count = detail.tiles as usize;
        let mut pixel_values = Vec::new();
        for index in 0..count {
            pixel_values.extend(tiles.tile(index)?);
        }
        let mut vision_features = Vec::new();
        let mut projected = Vec::new();
        for index in 0..count {
            // Where one pass served both tiles, both are shown.
            let at = index % encoded.features.len();
            vision_features.extend(device.read(&encoded.features[at]).await?);
            projected.extend(device.read(&encoded.projected[at]).await?);
        }
        let visual_tokens = device.read(&encoded.visual_tokens).await?;

        let prompt = tokenize(prompt, &network.tokenizer)?;
        let mut prompt_ids = prompt.before_image.clone();
        prompt_ids.push(config.chat.image_token);
        prompt_ids.extend_from_slice(&prompt.after_image);

        let visual = detail.visual_tokens as usize;
        let length = prompt_ids.len() + visual + GREEDY_TOKENS;
        let mut cache = network.decoder.new_cache(device, length)?;
        let before = network.decoder.embed(device, &prompt.before_image)?;
        let after = network.decoder.embed(device, &prompt.after_image)?;
        for part in [&before, &encoded.visual_tokens] {
            network
                .decoder
                .forward(device, part, &mut cache, Wanted::Cache, control)
                .await?;
        }
        let mut next = after;
        let mut logits = Vec::new();
        let mut greedy_ids = Vec::new();
        while greedy_ids.len() < GREEDY_TOKENS {
            let state = network
                .decoder
                .forward(device, &next, &mut cache, Wanted::LastState, control)
                .await?;
            let Some(state) = state else { break };
            let all = network.decoder.logits(device, &state)?;
            if greedy_ids.is_empty() {
                logits = device.read(&all).await?;
            }
            let token = device.argmax(&all, &[]).await?;
            greedy_ids.push(token);
            next = network.decoder.embed(device, &[token])?;
        }
        Ok(Trace {
            tiles: count,
            side: config.vision.image_size,
            patches: config.vision.patches(),
            vision_width: config.vision.hidden,
            language_width: config.language.hidden,
            pixel_values,
            vision_features,
            projected,
            visual_tokens,
            prompt_ids,
            logits,
            greedy_ids,
        })
    }
}
