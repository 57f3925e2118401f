//! The whole network: tower, projector, packing and decoder with their tokeniser.

use llavaguard_backend::{Control, DType, Device};

use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::gguf::{ByteSource, Gguf, KEY_CONTENT_SHA256, TensorInfo};
use crate::packing::{Packing, pack};
use crate::projector::Projector;
use crate::qwen2::Decoder;
use crate::self_test::{Golden, SelfTest};
use crate::siglip::VisionTower;
use crate::tokenizer::Tokenizer;
use crate::weights::WeightLoader;

/// A loaded model on a device.
pub struct Network<D: Device> {
    device: D,
    config: ModelConfig,
    content_sha256: String,
    pub(crate) tower: VisionTower<D>,
    pub(crate) projector: Projector<D>,
    pub(crate) newline: D::Matrix,
    /// What the file's golden case should come to on this device, where it has one.
    golden: Option<Vec<Golden>>,
    /// The language model.
    pub decoder: Decoder<D>,
    /// Its tokeniser.
    pub tokenizer: Tokenizer,
}

/// What became of an image on the way to the language model.
pub struct EncodedImage<D: Device> {
    /// Output of the tower for each tile, `[patches, vision hidden]`; kept only for a trace. One
    /// where [`Grid::tile_is_base`](crate::Grid::tile_is_base).
    pub features: Vec<D::Matrix>,
    /// Output of the projector for each tile, `[patches, language hidden]`; kept only for a trace.
    pub projected: Vec<D::Matrix>,
    /// The visual tokens, `[tokens, language hidden]`.
    pub visual_tokens: D::Matrix,
}

/// The formats of the matrices that rows of any number meet. The patch embedding, which has a format of
/// its own, is left out where the file's golden case tries it.
pub fn weight_formats(gguf: &Gguf) -> Vec<DType> {
    let tried = matches!(SelfTest::read(gguf.metadata()), Ok(Some(_)));
    let counts = |tensor: &&TensorInfo| {
        let once = tried && tensor.name == "v.patch_embd.weight";
        tensor.shape.len() == 2 && tensor.name != "v.position_embd.weight" && !once
    };
    let has = |format: &DType| {
        let mut all = gguf.tensors().iter().filter(counts);
        all.any(|tensor| tensor.dtype == *format)
    };
    DType::ALL.into_iter().filter(has).collect()
}

impl<D: Device> Network<D> {
    /// Loads a model file's weights into the device.
    pub async fn load(
        device: D,
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Self, ModelError> {
        let gguf = Gguf::open(source)?;
        Network::load_opened(device, &gguf, source, control).await
    }

    /// Likewise of a file whose header was read already.
    pub async fn load_opened(
        device: D,
        gguf: &Gguf,
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Self, ModelError> {
        let config = ModelConfig::from_gguf(gguf)?;
        let json: &str = gguf.metadata().get("tokenizer.huggingface.json")?;
        let tokenizer = Tokenizer::from_json(json.as_bytes(), config.language.vocab)?;
        let rounds = |&(.., dtype): &(usize, usize, DType)| device.rounding(dtype).is_some();
        let rounded = gguf.sizes().iter().any(rounds);
        let golden = SelfTest::read(gguf.metadata())?.map(|test| test.case(rounded).to_vec());
        let mut loader = WeightLoader::new(&device, gguf, source, control);
        let tower = VisionTower::load(&mut loader, &config.vision).await?;
        let projector = Projector::load(&mut loader, &config).await?;
        let newline = loader
            .vector("model.image_newline", config.language.hidden)
            .await?;
        let decoder = Decoder::load(&mut loader, &config.language).await?;
        let content_sha256: &str = gguf.metadata().get(KEY_CONTENT_SHA256)?;
        let content_sha256 = content_sha256.to_owned();
        Ok(Network {
            device,
            config,
            content_sha256,
            tower,
            projector,
            newline,
            golden,
            decoder,
            tokenizer,
        })
    }

    /// The model's sizes and settings.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device it runs on.
    pub fn device(&self) -> &D {
        &self.device
    }

    pub(crate) fn golden(&self) -> Option<&[Golden]> {
        self.golden.as_deref()
    }

    /// SHA-256 of the weights, as the file states it.
    pub fn content_sha256(&self) -> &str {
        &self.content_sha256
    }

    /// Turns an image's tiles into visual tokens.
    ///
    /// `tile(i)` gives the normalised pixels `[3, S, S]` of the `i`-th tile, the base image being the
    /// first; tiles are asked for one at a time. With `keep` the stages between are kept as well.
    pub async fn encode_image(
        &self,
        packing: &Packing,
        tile: &mut dyn FnMut(usize) -> Result<Vec<f32>, ModelError>,
        keep: bool,
        control: &dyn Control,
    ) -> Result<EncodedImage<D>, ModelError> {
        let count = match packing {
            Packing::Grid(grid) if grid.tile_is_base => 1,
            _ => packing.tiles(),
        };
        let layers = self.tower.layers();
        let (mut features, mut projected) = (Vec::new(), Vec::new());
        for index in 0..count {
            let pixels = tile(index)?;
            let encoded = self
                .tower
                .forward(
                    &self.device,
                    &pixels,
                    control,
                    index * layers,
                    count * layers,
                )
                .await?;
            projected.push(self.projector.forward(&self.device, &encoded)?);
            if keep {
                features.push(encoded);
            }
        }
        let placed: Vec<&D::Matrix> = projected.iter().cycle().take(packing.tiles()).collect();
        let visual_tokens = pack(
            &self.device,
            &placed,
            &self.newline,
            packing,
            &self.config.vision,
        )?;
        if !keep {
            projected.clear();
        }
        Ok(EncodedImage {
            features,
            projected,
            visual_tokens,
        })
    }
}
