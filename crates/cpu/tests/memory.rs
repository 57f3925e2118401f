//! Memory of keys and values.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use llavaguard_backend::{CacheShape, Device};
use llavaguard_cpu::{CpuDevice, Isa, Threads};

/// The system's allocator, counting the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: All is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: By this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: By this function's own contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn the_cache_grows_with_use() {
    // The 0.5B's, at its longest.
    let shape = CacheShape {
        layers: 24,
        width: 128,
        capacity: 32_768,
    };
    let device = CpuDevice::with(Isa::best(), Threads::Caller).unwrap();
    let rows = 100;
    let k = device
        .upload(rows, shape.width, &vec![1.0; rows * shape.width])
        .unwrap();
    let before = IN_USE.load(Relaxed);
    let used = || IN_USE.load(Relaxed) - before;
    let mut cache = device.new_cache(shape).unwrap();
    assert!(used() < 16 << 10, "{} bytes for nothing", used());
    for round in 1..=10 {
        for layer in 0..shape.layers {
            let first = (round - 1) * rows;
            device
                .cache_write(&mut cache, layer, first, &k, &k)
                .unwrap();
        }
        let bytes =
            |positions: usize| positions * shape.layers * shape.width * 2 * size_of::<f32>();
        let written = bytes(round * rows);
        // Whole tiles, and a little to keep them by.
        let most = bytes((round * rows).next_multiple_of(144)) * 21 / 20;
        assert!(
            (written..most).contains(&used()),
            "{round}: {} bytes",
            used()
        );
    }
    drop(cache);
    // The test harness has a thread of its own.
    assert!(used() < 4096, "{} bytes left", used());
}
