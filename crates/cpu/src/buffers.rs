//! Memory that operations use again.
//!
//! A network runs the same operations over and over, so the memory of one output serves a later one:
//! no pages to fault in, and in a browser, whose memory never shrinks, none to add. Room comes in
//! sizes an eighth of a power of two apart, and a buffer serves its own size alone. So the second of
//! two equal runs finds all the first has left, whatever the order: each size needs no more buffers
//! at once than before.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use llavaguard_backend::DeviceError;

use crate::packed::Line;

/// The smallest room, in numbers or lines.
const SMALLEST: usize = 256;
/// Most bytes of unused room of one kind of numbers; what was given back first goes first.
const MOST_IDLE: usize = 256 << 20;

/// Numbers that buffers hold.
pub(crate) trait Number: Copy + Send + Sync + 'static {
    /// What unset room holds where a test may see it.
    const UNSET: Self;
    const ZERO: Self;

    fn shelf(buffers: &Buffers) -> &Shelf<Self>;
}

impl Number for f32 {
    const UNSET: f32 = f32::NAN;
    const ZERO: f32 = 0.0;

    fn shelf(buffers: &Buffers) -> &Shelf<f32> {
        &buffers.floats
    }
}

impl Number for i32 {
    const UNSET: i32 = i32::MIN / 3;
    const ZERO: i32 = 0;

    fn shelf(buffers: &Buffers) -> &Shelf<i32> {
        &buffers.sums
    }
}

impl Number for Line {
    const UNSET: Line = Line([0xa5; 64]);
    const ZERO: Line = Line([0; 64]);

    fn shelf(buffers: &Buffers) -> &Shelf<Line> {
        &buffers.lines
    }
}

/// A device's buffers that are not in use.
pub(crate) struct Buffers {
    floats: Shelf<f32>,
    sums: Shelf<i32>,
    lines: Shelf<Line>,
    allocated: AtomicUsize,
    most_idle: usize,
}

impl Default for Buffers {
    fn default() -> Self {
        Self::with_limit(MOST_IDLE)
    }
}

/// Unused room for one kind of numbers, in the order it was given back.
pub(crate) struct Shelf<T>(Mutex<Vec<Vec<T>>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Shelf(Mutex::new(Vec::new()))
    }
}

impl<T: Number> Shelf<T> {
    fn take(&self, room: usize) -> Option<Vec<T>> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The last given back is the likeliest to be in the caches.
        let at = idle.iter().rposition(|values| values.len() == room)?;
        Some(idle.remove(at))
    }

    fn give_back(&self, values: Vec<T>, most_idle: usize) {
        let mut gone = Vec::new();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(values);
        let mut bytes: usize = idle.iter().map(|values| size_of_val(&values[..])).sum();
        while bytes > most_idle {
            let first = idle.remove(0);
            bytes -= size_of_val(&first[..]);
            gone.push(first);
        }
        // Not freed under the lock.
        drop(idle);
    }

    fn bytes(&self) -> usize {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().map(|values| size_of_val(&values[..])).sum()
    }
}

/// What a device's buffers amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferUse {
    /// How many buffers were ever allocated; those used again do not count.
    pub allocated: usize,
    /// Bytes of buffers that wait to be used again.
    pub idle_bytes: usize,
}

impl Buffers {
    /// Buffers of which no more than so many bytes of a kind stay when they are not in use.
    pub fn with_limit(most_idle: usize) -> Self {
        Buffers {
            floats: Shelf::default(),
            sums: Shelf::default(),
            lines: Shelf::default(),
            allocated: AtomicUsize::new(0),
            most_idle,
        }
    }

    /// What they amount to now.
    pub fn usage(&self) -> BufferUse {
        BufferUse {
            allocated: self.allocated.load(Relaxed),
            idle_bytes: self.floats.bytes() + self.sums.bytes() + self.lines.bytes(),
        }
    }

    /// Room for `len` numbers, which hold anything: whoever takes it sets all of them.
    pub fn unset<T: Number>(self: &Arc<Self>, len: usize) -> Result<Buffer<T>, DeviceError> {
        let room = room(len);
        let mut values = match T::shelf(self).take(room) {
            Some(values) => values,
            None => self.allocate(room)?,
        };
        if cfg!(debug_assertions) {
            values[..len].fill(T::UNSET);
        }
        Ok(Buffer {
            values,
            len,
            home: Arc::clone(self),
        })
    }

    /// A copy of these values.
    pub fn copy<T: Number>(self: &Arc<Self>, values: &[T]) -> Result<Buffer<T>, DeviceError> {
        let mut buffer = self.unset(values.len())?;
        buffer.copy_from_slice(values);
        Ok(buffer)
    }

    fn allocate<T: Number>(&self, room: usize) -> Result<Vec<T>, DeviceError> {
        let mut values = Vec::new();
        values
            .try_reserve_exact(room)
            .map_err(|_| DeviceError::OutOfMemory {
                bytes: room.saturating_mul(size_of::<T>()),
            })?;
        values.resize(room, T::ZERO);
        self.allocated.fetch_add(1, Relaxed);
        Ok(values)
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.usage().fmt(f)
    }
}

/// The size of the buffer that holds `len` numbers: at most an eighth more, but for small ones.
fn room(len: usize) -> usize {
    let len = len.max(SMALLEST);
    let step = 1 << (len.ilog2() - 3);
    len.checked_next_multiple_of(step).unwrap_or(len)
}

/// Numbers in a device's memory, which it gets back when this is dropped.
pub(crate) struct Buffer<T: Number> {
    /// All of the room.
    values: Vec<T>,
    /// How much of it is used.
    len: usize,
    home: Arc<Buffers>,
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.len]
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.len]
    }
}

impl<T: Number> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        T::shelf(&self.home).give_back(values, self.home.most_idle);
    }
}

impl<T: Number + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_at_most_an_eighth_larger() {
        for len in (256..5_000).chain([1_000_000, 123_456_789]) {
            let room = room(len);
            assert!(room >= len && room - len <= len / 8, "{len}: {room}");
            assert_eq!(super::room(room), room);
        }
        assert_eq!(room(0), SMALLEST);
        // Too much to allocate, but nothing overflows.
        assert!(room(usize::MAX) >= usize::MAX / 2);
    }

    #[test]
    fn what_is_given_back_is_used_again_by_its_own_size() {
        let buffers = Arc::new(Buffers::default());
        let one = buffers.unset::<f32>(1000).unwrap();
        let address = one.as_ptr();
        drop(one);
        assert_eq!(buffers.usage().allocated, 1);
        let larger = buffers.unset::<f32>(2000).unwrap();
        assert_eq!(buffers.usage().allocated, 2);
        let again = buffers.copy::<f32>(&[1.0; 990]).unwrap();
        assert_eq!(again.as_ptr(), address);
        assert_eq!(again[..], [1.0; 990]);
        let two = buffers.unset::<f32>(1000).unwrap();
        assert_eq!(buffers.usage().allocated, 3);
        drop((larger, again, two));
        assert_eq!(buffers.usage().idle_bytes, 4 * (1024 + 1024 + 2048));
    }

    #[test]
    fn a_run_like_the_one_before_allocates_nothing() {
        let buffers = Arc::new(Buffers::default());
        // Buffers of many sizes with overlapping lives, by a small generator of random numbers.
        let run = || {
            let mut state = 7u64;
            let mut held: Vec<Buffer<f32>> = Vec::new();
            for _ in 0..2_000 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let random = (state >> 33) as usize;
                if held.len() > 12 || (random.is_multiple_of(3) && !held.is_empty()) {
                    held.swap_remove(random % held.len());
                } else {
                    held.push(buffers.unset(random % 40_000).unwrap());
                }
            }
        };
        run();
        let after_one = buffers.usage();
        run();
        assert_eq!(buffers.usage(), after_one);
    }

    #[test]
    fn idle_room_has_a_limit() {
        let buffers = Arc::new(Buffers::with_limit(1 << 16));
        let held: Vec<_> = (0..10).map(|_| buffers.unset::<f32>(1 << 12)).collect();
        drop(held);
        assert_eq!(buffers.usage().idle_bytes, 1 << 16);
        drop(buffers.unset::<f32>(300).unwrap());
        assert_eq!(buffers.usage().idle_bytes, (3 << 14) + 4 * 320);
    }

    #[test]
    fn more_than_there_is_is_an_error() {
        let buffers = Arc::new(Buffers::default());
        for len in [usize::MAX, usize::MAX / 8, usize::MAX / 4 + 1] {
            let error = buffers.unset::<f32>(len).unwrap_err();
            assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error}");
        }
    }
}
