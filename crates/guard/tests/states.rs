//! The states of all positions are those that stand behind each prefix.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;

use llavaguard_backend::{DType, Device, Unattended, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_model::convert::{ConvertOptions, convert};
use llavaguard_model::gguf::FileSource;
use llavaguard_model::{Network, Wanted};

/// Ends of prefixes: one position, inside a piece of the prefill, around its end, and all.
const PREFIXES: [usize; 5] = [1, 40, 512, 513, 530];

#[test]
fn all_states_are_the_last_states_of_all_prefixes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    let checkpoint = common::parity_folder().join("models/blocks");
    let mut never = |_: llavaguard_model::convert::Progress<'_>| ControlFlow::Continue(());
    convert(
        &checkpoint,
        &file,
        &ConvertOptions::new(DType::Q8_0),
        &mut never,
    )
    .unwrap();
    let mut source = FileSource::open(&file).unwrap();
    let device = CpuDevice::new(Some(2)).unwrap();
    let model = block_on(Network::load(device, &mut source, &Unattended)).unwrap();
    let (device, decoder) = (model.device(), &model.decoder);

    let count = PREFIXES[4];
    let vocab = model.config().language.vocab as u32;
    let ids: Vec<u32> = (0..count as u32)
        .map(|i| i * i % (vocab - 8) % 251)
        .collect();
    let x = decoder.embed(device, &ids).unwrap();
    let forward = |x: &_, wanted| {
        let mut cache = decoder.new_cache(device, count).unwrap();
        let state = decoder.forward(device, x, &mut cache, wanted, &Unattended);
        block_on(state).unwrap().unwrap()
    };
    let all = forward(&x, Wanted::AllStates);
    let width = model.config().language.hidden;
    assert_eq!(device.shape(&all), (count, width));
    let states = block_on(device.read(&all)).unwrap();
    let logits = decoder.logits(device, &all).unwrap();
    assert_eq!(device.shape(&logits), (count, vocab as usize));
    for len in PREFIXES {
        let prefix = decoder.embed(device, &ids[..len]).unwrap();
        let last = block_on(device.read(&forward(&prefix, Wanted::LastState))).unwrap();
        assert_eq!(last, states[(len - 1) * width..][..width], "behind {len}");
    }
}
