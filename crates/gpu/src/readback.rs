//! Waiting for the GPU and reading what it computed.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use llavaguard_backend::DeviceError;

/// A value that a callback will bring.
#[derive(Debug)]
struct Promise<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Clone for Promise<T> {
    fn clone(&self) -> Self {
        Promise(self.0.clone())
    }
}

impl<T> Promise<T> {
    fn new() -> Self {
        Promise(Arc::new(Mutex::new((None, None))))
    }

    fn keep(&self, value: T) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(value);
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    async fn wait(self) -> T {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match state.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    state.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// The first `bytes` of a mappable buffer, once all that was submitted has run.
///
/// In a browser this gives control back until then; natively the thread waits.
pub async fn read(
    device: &wgpu::Device,
    buffer: &wgpu::Buffer,
    bytes: u64,
) -> Result<Vec<u8>, DeviceError> {
    let promise = Promise::new();
    let kept = promise.clone();
    let slice = buffer.slice(0..bytes);
    slice.map_async(wgpu::MapMode::Read, move |result| kept.keep(result));
    let lost = |what: String| DeviceError::Lost(what);
    if cfg!(not(target_arch = "wasm32")) {
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| lost(format!("waiting for the GPU failed: {error}")))?;
    }
    promise
        .wait()
        .await
        .map_err(|error| lost(format!("reading from the GPU failed: {error}")))?;
    let view = slice
        .get_mapped_range()
        .map_err(|error| lost(format!("reading from the GPU failed: {error}")))?;
    let data = view.to_vec();
    drop(view);
    buffer.unmap();
    Ok(data)
}
