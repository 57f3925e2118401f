//! An image held ready for any number of policies.

use llavaguard_backend::{Control, Device};
use llavaguard_model::{KvCache, Network, Wanted};
use llavaguard_policy::DetailUsed;

use crate::error::Error;

/// Positions kept free behind the image at first. The default policy takes 1,116 with its turn's
/// ends in Qwen2's tokens, an answer up to some 530; longer ones enlarge the cache.
pub const SESSION_ROOM: usize = 2048;

/// An image whose part of the prompt (system turn and visual tokens) is in the key/value cache.
///
/// Belongs to the engine that opened it.
pub struct Session<D: Device> {
    pub(crate) cache: KvCache<D>,
    /// Embedded tokens before the image and the visual tokens, kept for enlarging the cache.
    before_image: D::Matrix,
    visual_tokens: D::Matrix,
    pub(crate) prefix_len: usize,
    pub(crate) prefix_text: usize,
    /// How closely the image is looked at.
    pub(crate) detail: DetailUsed,
    /// Time spent on the image alone; reported by the first judgement and then 0.
    pub(crate) image_timings: ImageTimings,
}

/// Milliseconds spent before a policy comes into play.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ImageTimings {
    pub decode: f64,
    pub preprocess: f64,
    pub vision: f64,
    pub prefill: f64,
    pub total: f64,
}

impl<D: Device> Session<D> {
    /// Prefills the image's part of the prompt.
    pub(crate) async fn prefill(
        network: &Network<D>,
        before_image: &[u32],
        visual_tokens: D::Matrix,
        detail: DetailUsed,
        control: &dyn Control,
    ) -> Result<Self, Error> {
        let prefix_text = before_image.len();
        let prefix_len = prefix_text + detail.visual_tokens as usize;
        let capacity = (prefix_len + SESSION_ROOM).min(network.config().language.context);
        let before_image = network.decoder.embed(network.device(), before_image)?;
        let mut session = Session {
            cache: network.decoder.new_cache(network.device(), capacity)?,
            before_image,
            visual_tokens,
            prefix_len,
            prefix_text,
            detail,
            image_timings: ImageTimings::default(),
        };
        session.fill(network, control).await?;
        Ok(session)
    }

    /// Makes room for `tokens` positions behind the image. Runs the image's prefill again where the
    /// cache has to grow, which gives the same bits.
    pub(crate) async fn make_room(
        &mut self,
        network: &Network<D>,
        tokens: usize,
        control: &dyn Control,
    ) -> Result<(), Error> {
        let needed = self.prefix_len + tokens;
        if needed > self.cache.capacity() {
            self.cache = network.decoder.new_cache(network.device(), needed)?;
        }
        if self.cache.len() < self.prefix_len {
            self.fill(network, control).await?;
        }
        Ok(())
    }

    /// Forgets everything behind the image.
    pub(crate) fn rewind(&mut self) {
        self.cache.truncate(self.prefix_len);
    }

    async fn fill(&mut self, network: &Network<D>, control: &dyn Control) -> Result<(), Error> {
        self.cache.truncate(0);
        for part in [&self.before_image, &self.visual_tokens] {
            network
                .decoder
                .forward(
                    network.device(),
                    part,
                    &mut self.cache,
                    Wanted::Cache,
                    control,
                )
                .await?;
        }
        Ok(())
    }

    /// How closely the image is looked at.
    pub fn detail(&self) -> DetailUsed {
        self.detail
    }
}
