//! The suite over every instruction set this machine has, and over one, two and three threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use llavaguard_backend::{Device, block_on, conformance};
use llavaguard_cpu::{CpuDevice, Isa, Threads, enter_pool, size_pool};

#[test]
fn every_instruction_set_passes() {
    for isa in Isa::available() {
        let device = CpuDevice::with(isa, Threads::Caller).unwrap();
        let report = block_on(conformance::check_all(&device))
            .unwrap_or_else(|failure| panic!("{}: {failure}", device.name()));
        println!("{report}");
    }
}

#[test]
fn a_block_of_whole_numbers_is_exact_everywhere() {
    for isa in Isa::available() {
        let device = CpuDevice::with(isa, Threads::Caller).unwrap();
        assert_eq!(common::one_block_is_exact(&device), 2 * 4 * 7 * 77);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    size_pool(2);
    std::thread::spawn(enter_pool);
    for isa in Isa::available() {
        let one = CpuDevice::with(isa, Threads::Caller).unwrap();
        for threads in [Threads::Own(2), Threads::Own(3), Threads::Global] {
            let other = CpuDevice::with(isa, threads).unwrap();
            block_on(conformance::check_same_bits(&one, &other)).unwrap();
        }
    }
}

#[test]
fn an_instruction_set_of_another_machine_is_refused() {
    let foreign = if cfg!(target_arch = "x86_64") {
        Isa::Neon
    } else {
        Isa::Avx2
    };
    let error = CpuDevice::with(foreign, Threads::Caller).unwrap_err();
    assert!(error.to_string().contains(foreign.name()), "{error}");
}
