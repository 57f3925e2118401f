//! Load a model, open images, judge them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use llavaguard_guard::{Assessment, ImageInput, Session};
use llavaguard_policy::Policy;
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::device::{self, EngineDevice};
use crate::error::JsError;
use crate::host::{Host, Reader, ReaderSource};
use crate::request;

/// An image as the page has it.
#[wasm_bindgen]
pub struct Image {
    /// Width and height of bare pixels; none for a file's bytes.
    size: Option<(u32, u32)>,
    bytes: Vec<u8>,
}

#[wasm_bindgen]
impl Image {
    /// A file's bytes: PNG, JPEG, WebP, GIF or BMP.
    pub fn encoded(bytes: Vec<u8>) -> Image {
        Image { size: None, bytes }
    }

    /// Pixels, four bytes each (red, green, blue, alpha), row by row from the top.
    pub fn rgba(width: u32, height: u32, bytes: Vec<u8>) -> Image {
        Image {
            size: Some((width, height)),
            bytes,
        }
    }
}

impl Image {
    fn input(&self) -> ImageInput<'_> {
        match self.size {
            None => ImageInput::Encoded(&self.bytes),
            Some((width, height)) => ImageInput::Rgba {
                width,
                height,
                pixels: &self.bytes,
            },
        }
    }
}

/// A loaded model and the sessions that are open on it.
#[wasm_bindgen]
pub struct Engine {
    engine: llavaguard_guard::Engine<EngineDevice>,
    sessions: RefCell<BTreeMap<u32, Session<EngineDevice>>>,
    next_session: Cell<u32>,
}

#[wasm_bindgen]
impl Engine {
    /// Loads a model file.
    pub async fn load(reader: Reader, host: Host) -> Result<Engine, JsError> {
        let engine = device::load(&mut ReaderSource(reader), &host).await?;
        Ok(Engine {
            engine,
            sessions: RefCell::default(),
            next_session: Cell::new(1),
        })
    }

    /// What is known about the model, as JSON.
    pub fn info(&self) -> Result<String, JsError> {
        to_json(&self.engine.info())
    }

    /// Tokens of the whole prompt for a policy document, those of the image excepted.
    #[wasm_bindgen(js_name = promptTokens)]
    pub fn prompt_tokens(&self, document: &str) -> Result<u32, JsError> {
        let policy = Policy::from_json(document)?;
        let (before_image, behind_image) = self.engine.prompt_tokens(&policy)?;
        Ok((before_image.len() + behind_image.len()) as u32)
    }

    /// Judges an image under a policy; gives the assessment as JSON.
    pub async fn assess(&self, image: Image, options: &str, host: Host) -> Result<String, JsError> {
        let request = request::read(options)?;
        to_json::<Assessment>(&self.engine.assess(image.input(), &request, &host).await?)
    }

    /// Takes an image as far as it goes without a policy; gives the session's number.
    pub async fn open(&self, image: Image, detail: &str, host: Host) -> Result<u32, JsError> {
        let detail = request::detail(detail)?;
        let session = self.engine.open(image.input(), detail, &host).await?;
        let number = self.next_session.replace(self.next_session.get() + 1);
        self.sessions.borrow_mut().insert(number, session);
        Ok(number)
    }

    /// Judges a session's image under a policy; gives the assessment as JSON.
    pub async fn judge(&self, session: u32, options: &str, host: Host) -> Result<String, JsError> {
        let request = request::read(options)?;
        // Taken out while it is used: nothing stays borrowed over an await.
        let Some(mut held) = self.sessions.borrow_mut().remove(&session) else {
            return Err(JsError::new(
                "session.closed",
                "This session is closed or busy. Open the image again.",
            ));
        };
        let result = self.engine.judge(&mut held, &request, &host).await;
        self.sessions.borrow_mut().insert(session, held);
        to_json::<Assessment>(&result?)
    }

    /// Ends a session and frees what it holds.
    pub fn close(&self, session: u32) {
        self.sessions.borrow_mut().remove(&session);
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<String, JsError> {
    serde_json::to_string(value).map_err(|error| {
        JsError::new(
            "engine.bad_output",
            format!("The result has no JSON form: {error}."),
        )
    })
}

/// Most bytes an image file may have.
#[wasm_bindgen(js_name = maxImageBytes)]
pub fn max_image_bytes() -> f64 {
    llavaguard_vision::Limits::default().max_bytes as f64
}
