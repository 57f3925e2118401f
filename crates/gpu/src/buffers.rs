//! Memory on the device that operations use again.
//!
//! A network runs the same operations over and over; the buffer of one output serves a later one, so
//! a token allocates nothing and its bind groups stay the same.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use llavaguard_backend::DeviceError;

use crate::health::Health;

/// Most bytes of unused buffers; what was given back first goes first.
const MOST_IDLE: u64 = 256 << 20;
/// The smallest buffer: WebGPU has none of zero bytes.
const SMALLEST: u64 = 256;

/// A buffer with a name of its own.
#[derive(Debug)]
pub struct Buffer {
    /// Never given twice.
    pub id: u64,
    /// wgpu's.
    pub raw: wgpu::Buffer,
    /// The last recording that used it.
    pub used: Cell<u64>,
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub struct Storage {
    buffer: Option<Rc<Buffer>>,
    pool: Weak<Pool>,
}

impl Storage {
    /// The buffer.
    pub fn buffer(&self) -> Option<&Rc<Buffer>> {
        self.buffer.as_ref()
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let (Some(buffer), Some(pool)) = (self.buffer.take(), self.pool.upgrade()) {
            pool.give_back(buffer);
        }
    }
}

/// The buffers of a device.
#[derive(Debug)]
pub struct Pool {
    device: wgpu::Device,
    health: Health,
    largest: u64,
    next_id: Cell<u64>,
    idle: RefCell<Vec<Rc<Buffer>>>,
    /// Bytes of all buffers there are, used or not.
    bytes: Cell<u64>,
    /// Counts how often buffers were dropped for good.
    drops: Cell<u64>,
}

impl Pool {
    /// An empty pool.
    pub fn new(device: &wgpu::Device, health: &Health, largest: u64) -> Rc<Self> {
        Rc::new(Pool {
            device: device.clone(),
            health: health.clone(),
            largest,
            next_id: Cell::new(1),
            idle: RefCell::default(),
            bytes: Cell::new(0),
            drops: Cell::new(0),
        })
    }

    /// Bytes of all buffers there are.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Buffers that were made.
    pub fn made(&self) -> u64 {
        self.next_id.get() - 1
    }

    /// Changes whenever buffers were dropped for good.
    pub fn drops(&self) -> u64 {
        self.drops.get()
    }

    /// A new buffer that belongs to no pool.
    pub fn create(&self, bytes: u64, usage: wgpu::BufferUsages) -> Result<Rc<Buffer>, DeviceError> {
        if bytes > self.largest {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            return Err(DeviceError::OutOfMemory { bytes });
        }
        let size = bytes.max(SMALLEST).next_multiple_of(16);
        self.health.asking(size as usize);
        let raw = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        });
        self.health.check()?;
        self.bytes.set(self.bytes.get() + size);
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let used = Cell::new(0);
        Ok(Rc::new(Buffer { id, raw, used }))
    }

    /// A buffer for `bytes` of activations. `before`: only one that no recording from this on has
    /// used, for writing into it ahead of what is recorded.
    pub fn take(self: &Rc<Self>, bytes: u64, before: Option<u64>) -> Result<Storage, DeviceError> {
        let size = class(bytes);
        let free = |buffer: &Rc<Buffer>| {
            buffer.raw.size() == size && before.is_none_or(|epoch| buffer.used.get() < epoch)
        };
        let found = {
            let mut idle = self.idle.borrow_mut();
            idle.iter().rposition(free).map(|at| idle.remove(at))
        };
        let buffer = match found {
            Some(buffer) => buffer,
            None => self.create(size.min(self.largest.max(bytes)), STORAGE)?,
        };
        Ok(Storage {
            buffer: Some(buffer),
            pool: Rc::downgrade(self),
        })
    }

    fn give_back(&self, buffer: Rc<Buffer>) {
        let mut idle = self.idle.borrow_mut();
        idle.push(buffer);
        let mut bytes: u64 = idle.iter().map(|buffer| buffer.raw.size()).sum();
        while bytes > MOST_IDLE && !idle.is_empty() {
            let size = idle.remove(0).raw.size();
            bytes -= size;
            self.bytes.set(self.bytes.get().saturating_sub(size));
            self.drops.set(self.drops.get() + 1);
        }
    }
}

/// What buffers of activations and weights are used for.
pub const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

/// Sizes an eighth of a power of two apart, so that few of them serve all.
fn class(bytes: u64) -> u64 {
    let bytes = bytes.max(SMALLEST);
    let step = (bytes.next_power_of_two() / 16).max(SMALLEST);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_was_asked_for_and_little_more() {
        for bytes in [0, 1, 255, 256, 257, 4096, 5000, 1 << 20, (1 << 20) + 1] {
            let size = class(bytes);
            assert!(
                size >= bytes && size <= bytes.max(256) * 9 / 8 + 256,
                "{bytes}: {size}"
            );
            assert_eq!(class(size), size);
        }
    }
}
