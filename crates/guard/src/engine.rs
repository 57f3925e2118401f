//! Load a model, open images, judge them.

use llavaguard_backend::{Control, Device};
use llavaguard_model::config::{Rounding, Wrapping};
use llavaguard_model::gguf::{ByteSource, Gguf};
use llavaguard_model::{EncodedImage, Grid, ModelError, Network, Packing};
use llavaguard_policy::{
    Assessment, AssessmentVersion, CategoryProbability, ChatWrapping, Detail, DetailUsed, Policy,
    Segment, Timings, TokenCounts,
};
use llavaguard_vision::{
    AnyresConfig, AnyresPlan, Limits, Normalization, Rgb8Image, Size, Tiles, decode, preprocess,
};
use serde::Serialize;

use crate::answer_tree::AnswerTree;
use crate::decode::Decoder;
use crate::error::Error;
use crate::golden::Golden;
use crate::prompt::{PromptTokens, tokenize};
use crate::request::{Event, ImageInput, MAX_RATIONALE_TOKENS, Rationale, Request, Watcher};
use crate::sampling::Sampling;
use crate::session::{ImageTimings, Session};

/// Visual tokens `auto` detail may use. For the 0.5B, of which a tile gives 729, that is the base
/// image and a grid of two tiles, which keeps an image on a CPU within a small multiple of the time
/// of `low`; for the demo model it is everything.
pub const AUTO_VISUAL_TOKENS: usize = 3072;

/// A loaded model, ready to judge.
pub struct Engine<D: Device> {
    network: Network<D>,
    limits: Limits,
    wrapping: ChatWrapping,
    /// Tokens that a rationale cannot contain, in order.
    banned: Vec<u32>,
    model_id: String,
    golden: Option<Golden>,
}

/// What is known about a loaded model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelInfo {
    /// Its name and the beginning of its weights' SHA-256.
    pub model_id: String,
    /// Its name.
    pub name: String,
    /// What it runs on.
    pub device: String,
    /// Side of a tile in pixels.
    pub tile: usize,
    /// Visual tokens of one tile.
    pub tokens_per_tile: usize,
    /// Positions a prompt and its answer can take.
    pub context: usize,
}

impl<D: Device> Engine<D> {
    /// Loads a model file into a device.
    ///
    /// # Errors
    /// Whatever is wrong with the file: see [`ModelError`].
    pub async fn load(
        device: D,
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Self, Error> {
        let gguf = Gguf::open(source).map_err(ModelError::from)?;
        let golden = Golden::read(gguf.metadata()).map_err(ModelError::from)?;
        let network = Network::load_opened(device, &gguf, source, control).await?;
        let config = network.config();
        let wrapping = match config.chat.wrapping {
            Wrapping::Training => ChatWrapping::Training,
            Wrapping::HuggingFace => ChatWrapping::HuggingFace,
        };
        let end_token = config.chat.end_token;
        let mut banned = network.tokenizer.without_text();
        banned.retain(|token| *token != end_token);
        let hash: String = network.content_sha256().chars().take(12).collect();
        let model_id = format!("{}@{hash}", config.name);
        Ok(Engine {
            network,
            limits: Limits::default(),
            wrapping,
            banned,
            model_id,
            golden,
        })
    }

    /// The golden image that the model's file carries, where it does.
    pub fn golden(&self) -> Option<&Golden> {
        self.golden.as_ref()
    }

    /// Runs the self-test that the model's file carries on the device, so that one which computes
    /// wrongly, or has got the weights wrongly, is found out before it judges. Gives whether there is
    /// one.
    ///
    /// # Errors
    /// [`DeviceError::Wrong`](llavaguard_backend::DeviceError::Wrong) where the device fails it.
    pub async fn self_test(&self, control: &dyn Control) -> Result<bool, Error> {
        Ok(self.network.self_test(control).await?)
    }

    /// Replaces the limits on images.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What is known about the model.
    pub fn info(&self) -> ModelInfo {
        let config = self.network.config();
        ModelInfo {
            model_id: self.model_id.clone(),
            name: config.name.clone(),
            device: self.network.device().name(),
            tile: config.vision.image_size,
            tokens_per_tile: config.vision.patches(),
            context: config.language.context,
        }
    }

    /// The device it runs on.
    pub fn device(&self) -> &D {
        self.network.device()
    }

    /// The prompt for a policy in tokens: those before and those behind the image.
    pub fn prompt_tokens(&self, policy: &Policy) -> Result<(Vec<u32>, Vec<u32>), Error> {
        let prompt = self.tokenized(policy)?;
        Ok((prompt.before_image, prompt.after_image))
    }

    /// Judges one image under one policy.
    ///
    /// # Errors
    /// No error means the image is safe; see [`Error`].
    pub async fn assess(
        &self,
        image: ImageInput<'_>,
        request: &Request,
        watcher: &dyn Watcher,
    ) -> Result<Assessment, Error> {
        check(request)?;
        // A policy that cannot be answered is refused before the image costs any time.
        request.policy.answer_skeleton()?;
        let mut session = self.open(image, request.detail, watcher).await?;
        self.judge(&mut session, request, watcher).await
    }

    /// Takes an image as far as it goes without a policy.
    pub async fn open(
        &self,
        image: ImageInput<'_>,
        detail: Detail,
        watcher: &dyn Watcher,
    ) -> Result<Session<D>, Error> {
        let start = watcher.now_ms();
        let image = self.decode(image)?;
        let decoded = watcher.now_ms();
        watcher.checkpoint().await?;
        let (plan, tiles) = self.tiles(&image, detail)?;
        let preprocessed = watcher.now_ms();
        let (encoded, detail) = self.encode(&plan, &tiles, detail, false, watcher).await?;
        self.device().settle().await?;
        let encoded_at = watcher.now_ms();
        let prompt = self.tokenized(&Policy::default())?;
        let mut session = Session::prefill(
            &self.network,
            &prompt.before_image,
            encoded.visual_tokens,
            detail,
            watcher,
        )
        .await?;
        self.device().settle().await?;
        let end = watcher.now_ms();
        session.image_timings = ImageTimings {
            decode: decoded - start,
            preprocess: preprocessed - decoded,
            vision: encoded_at - preprocessed,
            prefill: end - encoded_at,
            total: end - start,
        };
        Ok(session)
    }

    /// Judges a session's image under a policy. The request's detail is not looked at: the session's
    /// was fixed when it was opened.
    ///
    /// The session can be used again afterwards, also when this was cancelled or failed.
    pub async fn judge(
        &self,
        session: &mut Session<D>,
        request: &Request,
        watcher: &dyn Watcher,
    ) -> Result<Assessment, Error> {
        check(request)?;
        session.rewind();
        let result = self.judge_rewound(session, request, watcher).await;
        session.rewind();
        result
    }

    async fn judge_rewound(
        &self,
        session: &mut Session<D>,
        request: &Request,
        watcher: &dyn Watcher,
    ) -> Result<Assessment, Error> {
        let start = watcher.now_ms();
        let skeleton = request.policy.answer_skeleton()?;
        let with_rationale = request.rationale != Rationale::None;
        let tokenizer = &self.network.tokenizer;
        let tree = AnswerTree::new(&skeleton, with_rationale, |text| tokenizer.encode(text))?;
        let prompt = self.tokenized(&request.policy)?;
        let rationale_tokens = match request.rationale {
            Rationale::None => 0,
            Rationale::Write { max_tokens, .. } => max_tokens,
        };
        let room = prompt.after_image.len() + tree.longest() + rationale_tokens;
        session.make_room(&self.network, room, watcher).await?;

        let prompt_tokens = session.prefix_text + prompt.after_image.len();
        let image = std::mem::take(&mut session.image_timings);
        let mut decoder = Decoder::new(
            &self.network,
            &mut session.cache,
            prompt.after_image,
            watcher,
        );
        let state = decoder.prefill(&tree).await?;
        self.device().settle().await?;
        let prefilled = watcher.now_ms();
        let verdict = decoder.verdict(&tree, &skeleton, state).await?;
        let judged = watcher.now_ms();
        let category = skeleton.categories[verdict.outcome.category].clone();
        watcher.on_event(Event::Verdict {
            rating: verdict.outcome.rating,
            category: category.clone(),
            unsafe_probability: verdict.unsafe_probability as f32,
        });
        let rationale = match request.rationale {
            Rationale::None => None,
            Rationale::Write {
                sampling,
                max_tokens,
            } => {
                let ends = (self.banned.as_slice(), self.network.config().chat.end_token);
                let told = |text: &str| watcher.on_event(Event::RationaleText(text.to_owned()));
                Some(decoder.rationale(sampling, max_tokens, ends, told).await?)
            }
        };
        let end = watcher.now_ms();
        let category_probabilities = skeleton
            .categories
            .iter()
            .zip(&verdict.category_probabilities)
            .map(|(category, probability)| CategoryProbability {
                id: category.id.clone(),
                name: category.name.clone(),
                probability: *probability as f32,
            })
            .collect();
        Ok(Assessment {
            version: AssessmentVersion,
            rating: verdict.outcome.rating,
            category,
            rationale_truncated: rationale.as_ref().is_some_and(|text| text.truncated),
            rationale: rationale.map(|rationale| rationale.text),
            unsafe_probability: verdict.unsafe_probability as f32,
            category_probabilities,
            policy_id: request.policy.policy_id().to_owned(),
            policy_name: request.policy.name().to_owned(),
            model_id: self.model_id.clone(),
            detail: session.detail,
            tokens: TokenCounts {
                visual: session.detail.visual_tokens,
                prompt: prompt_tokens as u32,
                generated: decoder.chosen as u32,
            },
            timings_ms: Timings {
                decode_image: image.decode,
                preprocess: image.preprocess,
                vision: image.vision,
                prefill: image.prefill + (prefilled - start),
                verdict: judged - prefilled,
                rationale: end - judged,
                total: image.total + (end - start),
            },
        })
    }

    /// The network below, for tools that run single stages.
    pub fn network(&self) -> &Network<D> {
        &self.network
    }

    /// The prompt for a policy in the wrapping the model asks for.
    pub fn segments(&self, policy: &Policy) -> Vec<Segment> {
        self.wrapping.segments(policy)
    }

    fn tokenized(&self, policy: &Policy) -> Result<PromptTokens, Error> {
        Ok(tokenize(&self.segments(policy), &self.network.tokenizer)?)
    }

    pub(crate) fn decode(&self, image: ImageInput<'_>) -> Result<Rgb8Image, Error> {
        Ok(match image {
            ImageInput::Encoded(bytes) => decode(bytes, &self.limits)?,
            ImageInput::Rgba {
                width,
                height,
                pixels,
            } => Rgb8Image::from_rgba(width, height, pixels)?,
        })
    }

    /// Plans the tiles of an image and makes them.
    pub(crate) fn tiles(
        &self,
        image: &Rgb8Image,
        detail: Detail,
    ) -> Result<(AnyresPlan, Tiles), Error> {
        let config = self.network.config();
        let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
        let anyres = AnyresConfig {
            tile: config.vision.image_size,
            patch: config.vision.patch_size,
            pinpoints: config
                .anyres
                .pinpoints
                .iter()
                .map(|(width, height)| Size {
                    width: side(*width),
                    height: side(*height),
                })
                .collect(),
            max_patches: config.anyres.max_patches,
            rounding: match config.anyres.rounding {
                Rounding::Original => llavaguard_vision::Rounding::Original,
                Rounding::HuggingFace => llavaguard_vision::Rounding::HuggingFace,
            },
        };
        let detail = match detail {
            Detail::Low => llavaguard_vision::Detail::Low,
            Detail::Auto => llavaguard_vision::Detail::Auto {
                max_visual_tokens: AUTO_VISUAL_TOKENS,
            },
            Detail::High => llavaguard_vision::Detail::High,
        };
        let plan = anyres.plan(image.width(), image.height(), detail)?;
        let normalization = Normalization {
            mean: config.vision.image_mean,
            std: config.vision.image_std,
            ..Normalization::SIGLIP
        };
        let tiles = preprocess(image, &plan, &normalization)?;
        Ok((plan, tiles))
    }

    pub(crate) async fn encode(
        &self,
        plan: &AnyresPlan,
        tiles: &Tiles,
        level: Detail,
        keep: bool,
        control: &dyn Control,
    ) -> Result<(EncodedImage<D>, DetailUsed), Error> {
        let packing = packing(plan);
        let mut tile = |index| {
            tiles
                .tile(index)
                .map_err(|error| ModelError::Input(error.to_string()))
        };
        let encoded = self
            .network
            .encode_image(&packing, &mut tile, keep, control)
            .await?;
        let detail = DetailUsed {
            level,
            tiles: packing.tiles() as u32,
            visual_tokens: packing.visual_tokens(self.network.config().vision.patches()) as u32,
        };
        Ok((encoded, detail))
    }
}

/// The model's half of a plan.
fn packing(plan: &AnyresPlan) -> Packing {
    match &plan.high_res {
        // Of a very thin image nothing may remain of the grid: then its tiles need not be encoded.
        Some(high_res) if high_res.visual_tokens() > 0 => Packing::Grid(Grid {
            tile_cols: high_res.grid.cols,
            tile_rows: high_res.grid.rows,
            rows: high_res.crop_rows.clone(),
            cols: high_res.crop_cols.clone(),
            pooled: high_res.pooled.map(|grid| (grid.rows, grid.cols)),
            tile_is_base: plan.tile_equals_base(),
        }),
        _ => Packing::BaseOnly,
    }
}

fn check(request: &Request) -> Result<(), Error> {
    let Rationale::Write {
        sampling,
        max_tokens,
    } = request.rationale
    else {
        return Ok(());
    };
    if !(1..=MAX_RATIONALE_TOKENS).contains(&max_tokens) {
        return Err(Error::Option(format!(
            "a rationale of at most {max_tokens} tokens was asked for; choose 1 to {MAX_RATIONALE_TOKENS}"
        )));
    }
    if let Sampling::Nucleus {
        temperature, top_p, ..
    } = sampling
    {
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(Error::Option(format!(
                "the temperature {temperature} is not above 0; leave sampling out for greedy decoding"
            )));
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return Err(Error::Option(format!(
                "top-p {top_p} is not above 0 and at most 1"
            )));
        }
    }
    Ok(())
}
