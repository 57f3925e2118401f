//! One module for each command.

pub mod assess;
pub mod bench;
pub mod convert;
pub mod golden;
pub mod inspect;
pub mod manifest;
pub mod policy;
pub mod prompt;
pub mod self_test;
pub mod serve;
pub mod synth;
pub mod trace;
