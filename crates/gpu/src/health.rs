//! What went wrong on the device since it was made.
//!
//! Errors of a GPU arrive late and by other ways than the call that caused them. They are noted here
//! and asked for before anything is recorded and before anything that was read is handed out, so that
//! no result computed after an error is ever seen.

use std::sync::{Arc, Mutex, PoisonError};

use llavaguard_backend::DeviceError;

/// The first error of a device.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    error: Option<DeviceError>,
    /// The largest allocation of late, for an error that does not tell its size.
    asked: usize,
}

impl Health {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Listens to a device.
    pub fn watch(&self, device: &wgpu::Device) {
        let health = self.clone();
        device.on_uncaptured_error(Arc::new(move |error| health.note(&error)));
        let health = self.clone();
        device.set_device_lost_callback(move |reason, message| {
            health.lost(format!("the GPU was lost ({reason:?}): {message}"));
        });
    }

    /// Takes note of an error of wgpu's.
    pub fn note(&self, error: &wgpu::Error) {
        self.with(|state| {
            let error = match error {
                wgpu::Error::OutOfMemory { .. } => DeviceError::OutOfMemory { bytes: state.asked },
                other => DeviceError::Lost(other.to_string()),
            };
            // Later errors are mostly consequences; a lack of memory explains more than they do.
            let explains = matches!(error, DeviceError::OutOfMemory { .. });
            if state.error.is_none() || explains {
                state.error = Some(error);
            }
        });
    }

    /// Notes that the device is gone.
    pub fn lost(&self, message: String) {
        self.with(|state| {
            state.error.get_or_insert(DeviceError::Lost(message));
        });
    }

    /// Notes how much is being allocated.
    pub fn asking(&self, bytes: usize) {
        self.with(|state| state.asked = bytes);
    }

    /// The error, if there was one.
    pub fn check(&self) -> Result<(), DeviceError> {
        self.with(|state| state.error.clone().map_or(Ok(()), Err))
    }
}
