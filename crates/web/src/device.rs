//! What the network runs on in this build.

#[cfg(not(feature = "webgpu"))]
pub use cpu::{EngineDevice, load};
#[cfg(feature = "webgpu")]
pub use gpu::{EngineDevice, load};

#[cfg(not(feature = "webgpu"))]
mod cpu {
    use llavaguard_backend::Control;
    use llavaguard_guard::{Engine, Error};
    use llavaguard_model::gguf::ByteSource;

    /// The CPU.
    pub type EngineDevice = llavaguard_cpu::CpuDevice;

    /// Loads a model file.
    pub async fn load(
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Engine<EngineDevice>, Error> {
        // On the pool of workers, where the worker has started one.
        Engine::load(EngineDevice::new(None)?, source, control).await
    }
}

#[cfg(feature = "webgpu")]
mod gpu {
    use std::cell::RefCell;

    use llavaguard_backend::Control;
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

    /// Loads a model file, once it is clear that it fits the GPU and that the GPU computes rightly.
    pub async fn load(
        source: &mut dyn ByteSource,
        control: &dyn Control,
    ) -> Result<Engine<EngineDevice>, Error> {
        let gguf = Gguf::open(source).map_err(ModelError::from)?;
        let config = ModelConfig::from_gguf(&gguf).map_err(ModelError::from)?;
        let choice = CHOICE.with_borrow(Choice::clone);
        let extras = match adapters().await.first() {
            Some(summary) if choice.slow_byte_dots => Wanted::Exactly(Extras {
                byte_dots: false,
                ..summary.extras
            }),
            _ => Wanted::Best,
        };
        let device = EngineDevice::new(&Options {
            // Every name has this in it: the worker has chosen.
            adapter: Some(String::new()),
            label: Some(choice.name),
            extras,
            ..Options::default()
        })
        .await?;
        let heads = [config.vision.head_dim(), config.language.head_dim];
        device.admit(&gguf.sizes(), &heads).await?;
        Engine::load(device, source, control).await
    }
}
