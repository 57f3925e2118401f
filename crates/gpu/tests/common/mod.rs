//! The adapter that tests run on.
#![allow(dead_code)]

use llavaguard_backend::block_on;
use llavaguard_gpu::{AdapterSummary, Extras, GpuDevice, Options, Wanted, adapters};

/// The adapter of this machine: a GPU where there is one, else software.
pub fn adapter() -> AdapterSummary {
    block_on(adapters()).into_iter().next().expect(
        "no Vulkan adapter: these tests need one; Debian's mesa-vulkan-drivers has one in software",
    )
}

/// All sets of extras that it has.
pub fn sets() -> Vec<Extras> {
    let has = adapter().extras;
    let mut sets = vec![Extras::default()];
    for bits in 1..8 {
        let set = Extras {
            half: bits & 1 != 0,
            subgroups: bits & 2 != 0,
            byte_dots: bits & 4 != 0,
            direct: false,
        };
        if (has.half || !set.half) && (has.subgroups || !set.subgroups) {
            sets.push(set);
        }
    }
    sets.push(Extras {
        direct: true,
        ..Extras::default()
    });
    sets
}

/// The options for a device with exactly these extras.
pub fn options(extras: Extras) -> Options {
    Options {
        adapter: Some(adapter().name),
        extras: Wanted::Exactly(extras),
        ..Options::default()
    }
}

/// A device with exactly these extras.
pub fn open(extras: Extras) -> GpuDevice {
    block_on(GpuDevice::new(&options(extras))).unwrap()
}
