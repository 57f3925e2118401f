//! The GPU, opened once it is clear that a model fits it.

use std::cell::RefCell;

use llavaguard_backend::{Control, DType, DeviceError};
use llavaguard_gpu::{Extras, Options, Wanted, adapters, weights_bytes};
use llavaguard_guard::{Engine, Error};
use llavaguard_model::gguf::{ByteSource, Gguf};
use llavaguard_model::{ModelConfig, ModelError, PREFILL_ROWS, weight_formats};
use llavaguard_store::Manifest;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::JsError;

/// The GPU.
pub type EngineDevice = llavaguard_gpu::GpuDevice;

thread_local! {
    static CHOICE: RefCell<Choice> = RefCell::default();
}

/// What the worker knows of the adapter and wgpu does not.
#[derive(Clone, Default)]
struct Choice {
    name: String,
    software: bool,
    slow_byte_dots: bool,
}

/// Says which adapter the browser has, whether it is software on the CPU and whether its dot products
/// of bytes are slow. The worker has looked whether it may be used: wgpu cannot tell a GPU from
/// software here.
#[wasm_bindgen(js_name = useAdapter)]
pub fn use_adapter(name: String, software: bool, slow_byte_dots: bool) {
    CHOICE.set(Choice {
        name,
        software,
        slow_byte_dots,
    });
}

/// The adapter that was chosen.
pub async fn open() -> Result<EngineDevice, DeviceError> {
    let choice = CHOICE.with_borrow(Choice::clone);
    let extras = match adapters().await.first() {
        Some(summary) => Wanted::Exactly(Extras {
            byte_dots: summary.extras.byte_dots && !choice.software && !choice.slow_byte_dots,
            direct: choice.software,
            ..summary.extras
        }),
        None => Wanted::Best,
    };
    EngineDevice::new(&Options {
        // Every name has this in it: the worker has chosen.
        adapter: Some(String::new()),
        label: Some(choice.name),
        extras,
        ..Options::default()
    })
    .await
}

thread_local! {
    /// A device that was made ready while the weights were fetched.
    static READY: RefCell<Option<EngineDevice>> = const { RefCell::new(None) };
}

/// Visual tokens of an image, at most.
const VISUAL_TOKENS: u64 = 8192;

/// Opens the GPU for the model of a manifest before any of it is fetched: asks whether it fits, by
/// the adapter's limits and by asking for the memory, and begins to compile its kernels, which the
/// browser does while the weights come.
///
/// # Errors
/// `device.too_small` where it does not fit.
#[wasm_bindgen(js_name = prepareGpu)]
pub async fn prepare_gpu(manifest: &str) -> Result<(), JsError> {
    let manifest = Manifest::from_json(manifest)?;
    let device = open().await.map_err(Error::from)?;
    let found = device.adapter().name.clone();
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let largest = largest_matrix(&manifest);
    if largest > device.largest_matrix() {
        return Err(too_small(format!(
            "one of the model's matrices takes {} MB and the GPU ({found}) takes {} MB at once",
            megabytes(largest),
            megabytes(device.largest_matrix()),
        )));
    }
    let (vision, language) = (
        &manifest.architecture.vision,
        &manifest.architecture.language,
    );
    let heads = [vision.hidden / vision.heads.max(1), language.head_dim];
    let needed = manifest.memory.get("webgpu").copied();
    let needed = needed.unwrap_or(manifest.file.bytes);
    let admitted = device
        .admit(
            needed,
            &formats(&manifest),
            &heads.map(|width| width as usize),
        )
        .await;
    match admitted {
        Ok(()) => READY.set(Some(device)),
        Err(DeviceError::OutOfMemory { .. }) => {
            return Err(too_small(format!(
                "the model needs {} MB of the GPU's memory and the GPU ({found}) does not give that much",
                megabytes(needed)
            )));
        }
        Err(error) => return Err(Error::from(error).into()),
    }
    Ok(())
}

fn too_small(why: String) -> JsError {
    JsError::new(
        "device.too_small",
        format!(
            "The model does not fit the GPU: {why}. Use a smaller format of it, or a build for the CPU."
        ),
    )
}

/// The formats of a manifest's weights.
fn formats(manifest: &Manifest) -> Vec<DType> {
    let named = &manifest.quantization;
    let named = [&named.vision, &named.language, &named.embedding];
    let has = |format: &DType| {
        let mut all = named.iter().flat_map(|part| part.split('+'));
        all.any(|name| name == format.name())
    };
    DType::ALL.into_iter().filter(has).collect()
}

/// Bytes of the largest activations there are.
fn largest_matrix(manifest: &Manifest) -> u64 {
    let (v, l) = (
        &manifest.architecture.vision,
        &manifest.architecture.language,
    );
    let patches = u64::from(v.image_size / v.patch_size.max(1)).pow(2);
    let width = u64::from(l.hidden);
    let values = [
        patches * u64::from(v.intermediate.max(v.hidden)),
        patches.max(PREFILL_ROWS as u64) * u64::from(l.intermediate.max(l.hidden)),
        VISUAL_TOKENS.min(u64::from(l.context)) * width,
        u64::from(l.vocab),
    ];
    4 * values.into_iter().max().unwrap_or_default()
}

/// Loads a model file, once it is clear that it fits the GPU; then tries whether that computes
/// rightly: in its kernels, with the model's own self-test, and with its golden image.
pub async fn load(
    source: &mut dyn ByteSource,
    control: &dyn Control,
) -> Result<Engine<EngineDevice>, Error> {
    let gguf = Gguf::open(source).map_err(ModelError::from)?;
    let config = ModelConfig::from_gguf(&gguf).map_err(ModelError::from)?;
    let device = match READY.take() {
        Some(device) => device,
        None => open().await?,
    };
    let heads = [config.vision.head_dim(), config.language.head_dim];
    let (bytes, formats) = (weights_bytes(&gguf.sizes()), weight_formats(&gguf));
    device.admit(bytes, &formats, &heads).await?;
    let engine = Engine::load(device, source, control).await?;
    engine.device().self_test(&formats, &heads).await?;
    engine.self_test(control).await?;
    engine.golden_test(control).await?;
    Ok(engine)
}
