//! What a worker calls.
//!
//! The model of the last call is kept, so that further rounds need not build it again, and no second
//! one beside it, since memory ends at 4 GB.

use std::cell::RefCell;

use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Quant;
use crate::qwen2::Qwen2;
use crate::siglip::Siglip;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}

enum Model {
    None,
    Siglip(Siglip),
    Qwen2(Box<Qwen2>),
}

/// A model and what it was built for.
struct Held {
    model: Model,
    layers: usize,
    quant: Quant,
}

thread_local! {
    static HELD: RefCell<Held> = const {
        RefCell::new(Held {
            model: Model::None,
            layers: 0,
            quant: Quant::F32,
        })
    };
}

impl Held {
    /// Whether it was built for this.
    fn fits(&self, layers: usize, quant: Quant) -> bool {
        (self.layers, self.quant) == (layers, quant)
    }

    /// Drops the model and says what the next one will be for.
    fn make_room(&mut self, layers: usize, quant: Quant) {
        *self = Held {
            model: Model::None,
            layers,
            quant,
        };
    }

    fn siglip(&mut self, layers: usize, quant: Quant) -> candle_core::Result<&mut Siglip> {
        if !(self.fits(layers, quant) && matches!(self.model, Model::Siglip(_))) {
            self.make_room(layers, quant);
            self.model = Model::Siglip(Siglip::new(layers, quant)?);
        }
        match &mut self.model {
            Model::Siglip(siglip) => Ok(siglip),
            _ => candle_core::bail!("no tower was built"),
        }
    }

    fn qwen2(&mut self, layers: usize, quant: Quant) -> candle_core::Result<&mut Qwen2> {
        if !(self.fits(layers, quant) && matches!(self.model, Model::Qwen2(_))) {
            self.make_room(layers, quant);
            self.model = Model::Qwen2(Box::new(Qwen2::new(layers, quant)?));
        }
        match &mut self.model {
            Model::Qwen2(qwen2) => Ok(qwen2),
            _ => candle_core::bail!("no language model was built"),
        }
    }
}

/// Runs `time` with the model held and the format of that name.
fn with(
    quant: &str,
    time: impl FnOnce(&mut Held, Quant) -> candle_core::Result<f64>,
) -> Result<f64, JsError> {
    HELD.with_borrow_mut(|held| time(held, quant.parse()?))
        .map_err(|error: candle_core::Error| JsError::new(&error.to_string()))
}

/// Milliseconds SigLIP-so400m takes for a tile; the whole tower has 26 layers. `quant` is `f32`,
/// `q8_0` or `q4_0`.
#[wasm_bindgen]
pub fn siglip_tile_ms(layers: usize, quant: &str) -> Result<f64, JsError> {
    with(quant, |held, quant| held.siglip(layers, quant)?.encode(now))
}

/// Milliseconds Qwen2 0.5B takes to read `tokens` tokens; the whole model has 24 layers.
#[wasm_bindgen]
pub fn qwen2_prefill_ms(tokens: usize, layers: usize, quant: &str) -> Result<f64, JsError> {
    with(quant, |held, quant| {
        held.qwen2(layers, quant)?.prefill(tokens, now)
    })
}

/// Milliseconds Qwen2 0.5B takes to write `tokens` tokens behind `context` others. Directly after
/// [`qwen2_prefill_ms`] of `context` tokens those are still in its cache; otherwise they are read
/// first, which does not count but takes its time.
#[wasm_bindgen]
pub fn qwen2_decode_ms(
    context: usize,
    tokens: usize,
    layers: usize,
    quant: &str,
) -> Result<f64, JsError> {
    with(quant, |held, quant| {
        held.qwen2(layers, quant)?.decode(context, tokens, now)
    })
}

/// The version of candle that was compiled in.
#[wasm_bindgen]
pub fn candle_version() -> String {
    crate::candle_version().to_owned()
}

/// Bytes of linear memory, which never shrinks: the most that was needed so far.
#[wasm_bindgen]
pub fn memory_bytes() -> f64 {
    core::arch::wasm32::memory_size::<0>() as f64 * 65536.0
}
