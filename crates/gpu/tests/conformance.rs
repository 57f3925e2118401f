//! The suite over every set of extras that the adapter of this machine has.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{open, sets};
use llavaguard_backend::{Device, block_on, conformance};

#[test]
fn every_set_of_extras_passes() {
    for extras in sets() {
        let device = open(extras);
        let report = block_on(conformance::check_all(&device))
            .unwrap_or_else(|failure| panic!("{}: {failure}", device.name()));
        println!("{report}");
        assert!(report.checks.len() > 100 && report.independence_checks > 30);
    }
}
