//! Memory of the engine with the demo model: a second image takes none that the first did not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use common::{TestImage, Watch};
use llavaguard_backend::block_on;
use llavaguard_cpu::{BufferUse, CpuDevice};
use llavaguard_guard::{Engine, Rationale, Request, Sampling};

/// The system's allocator, counting the bytes in use and their peak.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: All is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: By this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: By this function's own contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What there is after an assessment, and the most there was.
#[derive(Debug)]
struct Memory {
    buffers: BufferUse,
    in_use: usize,
    peak: usize,
}

fn assess(engine: &Engine<CpuDevice>, image: &TestImage) -> Memory {
    let request = Request {
        // The length of a rationale is the image's own.
        rationale: Rationale::Write {
            sampling: Sampling::Greedy,
            max_tokens: 4,
        },
        ..Request::default()
    };
    PEAK.store(IN_USE.load(Relaxed), Relaxed);
    block_on(engine.assess(image.input(), &request, &Watch::default())).unwrap();
    Memory {
        buffers: engine.device().buffer_use(),
        in_use: IN_USE.load(Relaxed),
        peak: PEAK.load(Relaxed),
    }
}

#[test]
fn a_second_image_takes_no_memory_that_the_first_did_not() {
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/demo/llavaguard-demo-q8_0.gguf");
    for threads in [1, 2] {
        let engine = common::load(&model, threads);
        let one = TestImage::new(300, 200);
        let mut other = TestImage::new(300, 200);
        other.pixels.reverse();
        let first = assess(&engine, &one);
        let second = assess(&engine, &other);
        assert!(first.buffers.allocated > 10, "{first:?}");
        assert_eq!(second.buffers, first.buffers);
        // A second thread may have had no part in some operation on the first image, and takes its
        // scratch now; an answer of more tokens may take a tile of keys and values more.
        let (scratch, tile) = if threads == 1 {
            (0, 64 << 10)
        } else {
            (1 << 20, 64 << 10)
        };
        assert!(second.in_use <= first.in_use + scratch + 1024);
        assert!(second.peak <= first.peak + scratch + tile);
    }
}
