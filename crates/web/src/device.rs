//! What the network runs on in this build.

#[cfg(not(feature = "webgpu"))]
pub use cpu::{EngineDevice, load, open};
#[cfg(feature = "webgpu")]
pub use gpu::{EngineDevice, load, open};

#[cfg(not(feature = "webgpu"))]
mod cpu {
    use std::cell::OnceCell;

    use llavaguard_backend::{Control, DType, DeviceError, Product};
    use llavaguard_cpu::{CpuDevice, Isa, Threads};
    use llavaguard_guard::{Engine, Error};
    use llavaguard_model::gguf::ByteSource;

    use crate::rate::now;

    /// The CPU.
    pub type EngineDevice = CpuDevice;

    /// The product that instruction sets are compared by: small enough to stay near the core.
    const SHAPE: (usize, usize, usize) = (64, 512, 64);
    /// Rounds of the comparison, the best of which counts, and milliseconds of a round: shorter than a
    /// busy machine's time slices, so that some are not interrupted. Engines compile code anew while it
    /// runs, so the first rounds are not the last word.
    const ROUNDS: usize = 24;
    const ROUND_MS: f64 = 2.0;

    thread_local! {
        static BEST: OnceCell<Isa> = const { OnceCell::new() };
    }

    /// The pool of workers, where the worker has started one, with the instructions that are fastest
    /// here. Which those are is measured once: a module is not told what processor it runs on.
    pub async fn open() -> Result<EngineDevice, DeviceError> {
        let isa = match BEST.with(|best| best.get().copied()) {
            Some(isa) => isa,
            None => {
                let isa = fastest(&candidates()).await?;
                BEST.with(|best| *best.get_or_init(|| isa))
            }
        };
        CpuDevice::with(isa, Threads::Global)
    }

    /// Loads a model file.
    pub async fn load(
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Engine<EngineDevice>, Error> {
        Engine::load(open().await?, source, control).await
    }

    /// The instruction sets worth a comparison.
    fn candidates() -> Vec<Isa> {
        let mut isas = Isa::available();
        isas.retain(|isa| *isa != Isa::Scalar);
        isas
    }

    async fn fastest(candidates: &[Isa]) -> Result<Isa, DeviceError> {
        let mut best = (Isa::best(), 0.0);
        if candidates.len() < 2 {
            return Ok(best.0);
        }
        let mut products = Vec::new();
        for isa in candidates {
            let device = CpuDevice::with(*isa, Threads::Caller)?;
            let product = Product::new(&device, SHAPE, DType::Q4_0).await?;
            products.push((*isa, device, product));
        }
        for _ in 0..ROUNDS {
            for (isa, device, product) in &products {
                let rate = product.rate(device, ROUND_MS, now).await?;
                if rate > best.1 {
                    best = (*isa, rate);
                }
            }
        }
        Ok(best.0)
    }
}

#[cfg(feature = "webgpu")]
mod gpu {
    use std::cell::RefCell;

    use llavaguard_backend::{Control, DeviceError};
    use llavaguard_gpu::{Extras, Options, Wanted, adapters};
    use llavaguard_guard::{Engine, Error};
    use llavaguard_model::gguf::{ByteSource, Gguf};
    use llavaguard_model::{ModelConfig, ModelError};
    use wasm_bindgen::prelude::wasm_bindgen;

    /// The GPU.
    pub type EngineDevice = llavaguard_gpu::GpuDevice;

    thread_local! {
        static CHOICE: RefCell<Choice> = RefCell::default();
    }

    /// What the worker knows of the adapter and wgpu does not.
    #[derive(Clone, Default)]
    struct Choice {
        name: String,
        slow_byte_dots: bool,
    }

    /// Says which adapter the browser has, and whether its dot products of bytes are slow. The worker
    /// has looked whether it may be used: wgpu cannot tell a GPU from software here.
    #[wasm_bindgen(js_name = useAdapter)]
    pub fn use_adapter(name: String, slow_byte_dots: bool) {
        CHOICE.set(Choice {
            name,
            slow_byte_dots,
        });
    }

    /// The adapter that was chosen.
    pub async fn open() -> Result<EngineDevice, DeviceError> {
        let choice = CHOICE.with_borrow(Choice::clone);
        let extras = match adapters().await.first() {
            Some(summary) if choice.slow_byte_dots => Wanted::Exactly(Extras {
                byte_dots: false,
                ..summary.extras
            }),
            _ => Wanted::Best,
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

    /// Loads a model file, once it is clear that it fits the GPU and that the GPU computes rightly.
    pub async fn load(
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Engine<EngineDevice>, Error> {
        let gguf = Gguf::open(source).map_err(ModelError::from)?;
        let config = ModelConfig::from_gguf(&gguf).map_err(ModelError::from)?;
        let device = open().await?;
        let heads = [config.vision.head_dim(), config.language.head_dim];
        device.admit(&gguf.sizes(), &heads).await?;
        Engine::load(device, source, control).await
    }
}
