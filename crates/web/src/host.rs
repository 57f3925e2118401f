//! What the worker offers the engine.

use std::future::Future;
use std::pin::Pin;

use js_sys::Promise;
use llavaguard_backend::{Cancelled, Control, Stage};
use llavaguard_guard::{Event, Watcher};
use llavaguard_model::gguf::{ByteSource, SourceError};
use llavaguard_policy::{Category, Rating};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// What the worker's classes must offer, so that TypeScript checks them against this file.
#[wasm_bindgen(typescript_custom_section)]
const INTERFACES: &str = r#"
export interface Reader {
    readonly size: number;
    /** Fills `into`, a view of the engine's memory that is good during the call; gives how much there was. */
    read(offset: number, into: Uint8Array): number;
}

export interface Host {
    pause(): Promise<void> | undefined;
    cancelled(): boolean;
    now(): number;
    progress(stage: 'load' | 'vision' | 'prefill' | 'decode', done: number, total: number): void;
    event(json: string): void;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The bytes of a model file (in `www/sdk/src/worker/blob-reader.ts`).
    #[wasm_bindgen(typescript_type = "Reader")]
    pub type Reader;

    #[wasm_bindgen(method, getter)]
    fn size(this: &Reader) -> f64;

    /// Fills `into` with the bytes from `offset` on, synchronously; gives how many there were.
    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader, offset: f64, into: &mut [u8]) -> Result<u32, JsValue>;

    /// Who watches one job (in `www/sdk/src/worker/job.ts`).
    #[wasm_bindgen(typescript_type = "Host")]
    pub type Host;

    /// Gives a promise when it is time to let the worker's event loop run, else nothing.
    #[wasm_bindgen(method)]
    fn pause(this: &Host) -> Option<Promise>;

    #[wasm_bindgen(method)]
    fn cancelled(this: &Host) -> bool;

    #[wasm_bindgen(method)]
    fn now(this: &Host) -> f64;

    #[wasm_bindgen(method)]
    fn progress(this: &Host, stage: &str, done: u32, total: u32);

    #[wasm_bindgen(method)]
    fn event(this: &Host, json: &str);

    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn console_error(message: &str);
}

/// Bytes read from the page at once.
const PIECE: usize = 4 << 20;

/// A model file read through a [`Reader`].
pub struct ReaderSource(pub Reader);

impl ByteSource for ReaderSource {
    fn len(&self) -> u64 {
        self.0.size() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        let (len, wanted) = (self.len(), buf.len() as u64);
        if offset.checked_add(wanted).is_none_or(|end| end > len) {
            return Err(SourceError::OutOfBounds {
                offset,
                wanted,
                len,
            });
        }
        let failed = |detail: String| SourceError::Io {
            offset,
            wanted,
            detail,
        };
        // In pieces: of a large tensor a page that reads a blob would otherwise hold a second copy.
        for (at, piece) in (offset..).step_by(PIECE).zip(buf.chunks_mut(PIECE)) {
            // Offsets of files that fit a Blob are exact in f64.
            let wanted = piece.len();
            let read = self.0.read(at as f64, piece).map_err(|error| {
                failed(error.dyn_ref::<js_sys::Error>().map_or_else(
                    || "the browser could not read the file".to_owned(),
                    |error| String::from(error.message()),
                ))
            })?;
            if read as usize != wanted {
                return Err(failed(format!("the browser gave {read} bytes")));
            }
        }
        Ok(())
    }
}

impl Control for Host {
    fn checkpoint(&self) -> Pin<Box<dyn Future<Output = Result<(), Cancelled>> + '_>> {
        let pause = self.pause();
        Box::pin(async move {
            if let Some(pause) = pause {
                // The promise is resolved by a message of the worker to itself; it is never rejected.
                let _ = JsFuture::from(pause).await;
            }
            if self.cancelled() {
                Err(Cancelled)
            } else {
                Ok(())
            }
        })
    }

    fn progress(&self, stage: Stage, done: usize, total: usize) {
        let name = match stage {
            Stage::Load => "load",
            Stage::Vision => "vision",
            Stage::Prefill => "prefill",
            Stage::Decode => "decode",
        };
        Host::progress(self, name, done as u32, total as u32);
    }
}

/// An event as the page hears it (`Notice` in `www/sdk/src/messages.ts`). Probabilities are written
/// with the digits an `f32` has, as in the assessment that follows.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Notice {
    Verdict {
        rating: Rating,
        category: Category,
        unsafe_probability: f32,
    },
    Rationale {
        text: String,
    },
}

impl Watcher for Host {
    fn now_ms(&self) -> f64 {
        self.now()
    }

    fn on_event(&self, event: Event) {
        let event = match event {
            Event::Verdict {
                rating,
                category,
                unsafe_probability,
            } => Notice::Verdict {
                rating,
                category,
                unsafe_probability,
            },
            Event::RationaleText(text) => Notice::Rationale { text },
        };
        // Strings and a probability always have a JSON form.
        self.event(&serde_json::to_string(&event).unwrap_or_default());
    }
}
