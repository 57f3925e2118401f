//! The loader of `llavaguard-store`, driven by the worker's network and storage.

use std::cell::RefCell;

use js_sys::{Promise, Reflect, Uint8Array};
use llavaguard_store::{
    Activity, Body, Digest, Manifest, NetworkError, Options, Outcome, Outside, Progress, PublicKey,
    Request, Response, StorageError, StoreError, Target, download, download_unverified,
};
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::error::JsError;

/// What the worker's classes must offer, so that TypeScript checks them against this file.
#[wasm_bindgen(typescript_custom_section)]
const INTERFACES: &str = r#"
/** The bytes of a response as they come (in `www/sdk/src/worker/network.ts`). */
export interface Answer {
    readonly status: number;
    readonly validator: string | undefined;
    /** By `Content-Range`; the size is below 0 where it is not told. */
    readonly rangeStart: number | undefined;
    readonly rangeSize: number;
    readonly length: number | undefined;
    readonly retryAfterMs: number | undefined;
    /** The next bytes; nothing at the end. */
    next(): Promise<Uint8Array | undefined>;
    cancel(): void;
}

/** Network, storage and clock (in `www/sdk/src/worker/depot.ts`). */
export interface Depot {
    /** `end` is below 0 where all is wanted. */
    get(part: number, start: number, end: number, ifRange: string | undefined): Promise<Answer>;
    /** The array is used again by the next read. */
    read(offset: number, length: number): Promise<Uint8Array | undefined>;
    /** SHA-256, where the browser computes it. Takes the bytes before it returns; the array is used again. */
    digest(bytes: Uint8Array): Promise<ArrayBuffer> | undefined;
    /** Takes the bytes before it returns the promise: they are a view of the engine's memory. */
    write(offset: number, bytes: Uint8Array): Promise<void>;
    clear(): Promise<void>;
    free(): Promise<number | undefined>;
    journal(): Promise<string | undefined>;
    saveJournal(text: string): Promise<void>;
    now(): number;
    sleep(milliseconds: number): Promise<void>;
    cancelled(): boolean;
    downloading(activity: 'verify' | 'download', done: number, total: number, rate: number, secondsLeft: number | undefined): void;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// A response (in `www/sdk/src/worker/network.ts`).
    #[wasm_bindgen(typescript_type = "Answer")]
    pub type Answer;

    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;
    #[wasm_bindgen(method, getter)]
    fn validator(this: &Answer) -> Option<String>;
    #[wasm_bindgen(method, getter, js_name = rangeStart)]
    fn range_start(this: &Answer) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = rangeSize)]
    fn range_size(this: &Answer) -> f64;
    #[wasm_bindgen(method, getter)]
    fn length(this: &Answer) -> Option<f64>;
    #[wasm_bindgen(method, getter, js_name = retryAfterMs)]
    fn retry_after_ms(this: &Answer) -> Option<f64>;
    #[wasm_bindgen(method)]
    fn next(this: &Answer) -> Promise;
    #[wasm_bindgen(method)]
    fn cancel(this: &Answer);

    /// Network, storage and clock (in `www/sdk/src/worker/depot.ts`).
    #[wasm_bindgen(typescript_type = "Depot")]
    pub type Depot;

    #[wasm_bindgen(method)]
    fn get(this: &Depot, part: u32, start: f64, end: f64, if_range: Option<String>) -> Promise;
    #[wasm_bindgen(method)]
    fn read(this: &Depot, offset: f64, length: u32) -> Promise;
    #[wasm_bindgen(method)]
    fn digest(this: &Depot, bytes: Uint8Array) -> Option<Promise>;
    #[wasm_bindgen(method)]
    fn write(this: &Depot, offset: f64, bytes: &[u8]) -> Promise;
    #[wasm_bindgen(method)]
    fn clear(this: &Depot) -> Promise;
    #[wasm_bindgen(method)]
    fn free(this: &Depot) -> Promise;
    #[wasm_bindgen(method)]
    fn journal(this: &Depot) -> Promise;
    #[wasm_bindgen(method, js_name = saveJournal)]
    fn save_journal(this: &Depot, text: &str) -> Promise;
    #[wasm_bindgen(method)]
    fn now(this: &Depot) -> f64;
    #[wasm_bindgen(method)]
    fn sleep(this: &Depot, milliseconds: f64) -> Promise;
    #[wasm_bindgen(method)]
    fn cancelled(this: &Depot) -> bool;
    #[wasm_bindgen(method)]
    fn downloading(
        this: &Depot,
        activity: &str,
        done: f64,
        total: f64,
        rate: f64,
        seconds_left: Option<f64>,
    );
}

/// Reads a manifest, and checks who stands for it where `trusted_keys` (hexadecimal, joined by blanks)
/// are given. Gives JSON: the document, what names its bytes in a store, and the files they are in.
#[wasm_bindgen(js_name = readManifest)]
pub fn read_manifest(manifest: &str, trusted_keys: Option<String>) -> Result<String, JsError> {
    let manifest = Manifest::from_json(manifest)?;
    if let Some(keys) = trusted_keys {
        let keys: Result<Vec<PublicKey>, StoreError> =
            keys.split_whitespace().map(str::parse).collect();
        manifest.trusted(&keys?)?;
    }
    let file = &manifest.file;
    let files: Vec<&str> = if file.parts.is_empty() {
        vec![&file.name]
    } else {
        file.parts.iter().map(|part| part.name.as_str()).collect()
    };
    Ok(json!({
        "contentId": manifest.content_id(),
        "files": files,
        "signedBy": manifest.signature.as_ref().map(|signature| &signature.public_key),
        "manifest": manifest,
    })
    .to_string())
}

/// Brings the model that a manifest describes into the worker's store; `urls` are the addresses of its
/// files. Gives the outcome as JSON.
#[wasm_bindgen(js_name = downloadModel)]
pub async fn download_model(
    manifest: &str,
    urls: Vec<String>,
    depot: Depot,
) -> Result<String, JsError> {
    let manifest = Manifest::from_json(manifest)?;
    let mut urls = urls.into_iter();
    let target = Target::of(&manifest, |_| urls.next().unwrap_or_default());
    outcome(download(&Worker::new(depot), &target, Options::default()).await)
}

/// Brings a model that nothing describes into the worker's store. Gives the outcome as JSON.
#[wasm_bindgen(js_name = downloadUnverified)]
pub async fn download_unverified_model(url: &str, depot: Depot) -> Result<String, JsError> {
    outcome(download_unverified(&Worker::new(depot), url, Options::default()).await)
}

fn outcome(result: Result<Outcome, StoreError>) -> Result<String, JsError> {
    let Outcome {
        bytes,
        verified,
        reused,
        fetched,
        repaired,
    } = result?;
    Ok(json!({
        "bytes": bytes,
        "verified": verified,
        "reused": reused,
        "fetched": fetched,
        "repaired": repaired,
    })
    .to_string())
}

/// The worker as the loader's outside.
struct Worker {
    depot: Depot,
    /// Where chunks stand while they are hashed, one after the other: a new array for each would be
    /// garbage of the whole model's size, which a page must not have beside the model.
    chunk: RefCell<Option<Uint8Array>>,
}

impl Worker {
    fn new(depot: Depot) -> Worker {
        Worker {
            depot,
            chunk: RefCell::default(),
        }
    }

    /// A copy of `bytes`, good until the next is made.
    fn copy(&self, bytes: &[u8]) -> Uint8Array {
        let size = bytes.len() as u32;
        let mut held = self.chunk.borrow_mut();
        let chunk = match held.take() {
            Some(chunk) if chunk.length() >= size => chunk,
            _ => Uint8Array::new_with_length(size),
        };
        let copy = chunk.subarray(0, size);
        *held = Some(chunk);
        copy.copy_from(bytes);
        copy
    }
}

/// A response's bytes: what has come and was not taken yet, and the rest.
struct Incoming {
    answer: Answer,
    piece: Option<Uint8Array>,
    taken: u32,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.answer.cancel();
    }
}

impl Body for Incoming {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetworkError> {
        loop {
            if let Some(piece) = self.piece.take_if(|piece| self.taken < piece.length()) {
                let size = (piece.length() - self.taken).min(buf.len() as u32);
                let end = self.taken + size;
                if let Some(room) = buf.get_mut(..size as usize) {
                    piece.subarray(self.taken, end).copy_to(room);
                }
                self.taken = end;
                self.piece = Some(piece);
                return Ok(size as usize);
            }
            let next = JsFuture::from(self.answer.next()).await;
            let next = next.map_err(|error| NetworkError(message(&error)))?;
            match next.dyn_into::<Uint8Array>() {
                Ok(piece) => (self.piece, self.taken) = (Some(piece), 0),
                Err(_) => return Ok(0),
            }
        }
    }
}

impl Outside for Worker {
    type Body = Incoming;

    async fn get(&self, request: &Request) -> Result<Response<Incoming>, NetworkError> {
        let (start, end) = request
            .range
            .map_or((0.0, -1.0), |range| (range.start as f64, range.end as f64));
        let promise = self
            .depot
            .get(request.part as u32, start, end, request.if_range.clone());
        let answer: Answer = JsFuture::from(promise)
            .await
            .map_err(|error| NetworkError(message(&error)))?
            .unchecked_into();
        let whole = |number: f64| (number >= 0.0).then_some(number as u64);
        Ok(Response {
            status: answer.status(),
            validator: answer.validator(),
            content_range: answer
                .range_start()
                .map(|start| (start as u64, whole(answer.range_size()))),
            content_length: answer.length().and_then(whole),
            retry_after_ms: answer.retry_after_ms(),
            body: Incoming {
                answer,
                piece: None,
                taken: 0,
            },
        })
    }

    async fn read(&self, offset: u64, buf: &mut [u8]) -> Result<bool, StorageError> {
        let found = done(self.depot.read(offset as f64, buf.len() as u32)).await?;
        match found.dyn_into::<Uint8Array>() {
            Ok(bytes) if bytes.length() as usize == buf.len() => {
                bytes.copy_to(buf);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn digest(&self, bytes: &[u8]) -> Digest {
        // The browser's is several times as fast as one in WebAssembly, and may be on another thread.
        let promise = self.depot.digest(self.copy(bytes));
        let found = match promise {
            Some(promise) => JsFuture::from(promise).await.ok(),
            None => None,
        };
        let found = found.map(|buffer| Uint8Array::new(&buffer).to_vec());
        match found.and_then(|digest| digest.try_into().ok()) {
            Some(digest) => Digest(digest),
            None => Digest::of(bytes),
        }
    }

    async fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        done(self.depot.write(offset as f64, bytes)).await.map(drop)
    }

    async fn clear(&self) -> Result<(), StorageError> {
        done(self.depot.clear()).await.map(drop)
    }

    async fn free(&self) -> Option<u64> {
        let free = JsFuture::from(self.depot.free()).await.ok()?.as_f64()?;
        Some(free.max(0.0) as u64)
    }

    async fn journal(&self) -> Result<Option<String>, StorageError> {
        Ok(done(self.depot.journal()).await?.as_string())
    }

    async fn save_journal(&self, journal: &str) -> Result<(), StorageError> {
        done(self.depot.save_journal(journal)).await.map(drop)
    }

    fn now_ms(&self) -> f64 {
        self.depot.now()
    }

    async fn sleep(&self, milliseconds: f64) {
        // It is resolved by a timer, and never rejected.
        let _ = JsFuture::from(self.depot.sleep(milliseconds)).await;
    }

    fn random(&self) -> f64 {
        js_sys::Math::random()
    }

    fn cancelled(&self) -> bool {
        self.depot.cancelled()
    }

    fn progress(&self, progress: &Progress) {
        let activity = match progress.activity {
            Activity::Verify => "verify",
            Activity::Download => "download",
        };
        let (done, total) = (progress.done as f64, progress.total as f64);
        let (rate, left) = (progress.rate, progress.seconds_left);
        self.depot.downloading(activity, done, total, rate, left);
    }
}

/// Awaits something that the storage does.
async fn done(promise: Promise) -> Result<JsValue, StorageError> {
    JsFuture::from(promise).await.map_err(|error| {
        let property = |name: &str| Reflect::get(&error, &name.into()).ok();
        let name = property("name").and_then(|name| name.as_string());
        if name.as_deref() == Some("QuotaExceededError") {
            StorageError::Quota {
                free: property("free")
                    .and_then(|free| free.as_f64())
                    .map(|free| free.max(0.0) as u64),
            }
        } else {
            StorageError::Failed(message(&error))
        }
    })
}

fn message(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || format!("{error:?}"),
        |error| String::from(error.message()),
    )
}
