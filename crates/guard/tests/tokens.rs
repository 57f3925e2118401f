//! What writing a token takes of a GPU beside its kernels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Watch, gpu};
use llavaguard_backend::{Device, block_on};
use llavaguard_gpu::Wanted;
use llavaguard_guard::Engine;
use llavaguard_model::Wanted as States;

/// The demo model as it is published.
static DEMO: &[u8] = include_bytes!("../../../models/demo/llavaguard-demo-q8_0.gguf");

/// Tokens until every buffer has met every other that it is bound with; 12 on lavapipe.
const FIRST: usize = 16;

#[test]
fn a_token_takes_one_submission_and_reads_sixteen_bytes() {
    let watch = Watch::default();
    let device = gpu(Wanted::Best);
    let engine = block_on(Engine::load(device, &mut { DEMO }, &watch)).unwrap();
    let (device, decoder) = (engine.device(), &engine.network().decoder);
    let prompt: Vec<u32> = (100..140).collect();
    let mut cache = decoder.new_cache(device, 200).unwrap();
    let forward = |ids: &[u32], cache: &mut _| {
        let x = decoder.embed(device, ids).unwrap();
        let state = decoder.forward(device, &x, cache, States::LastState, &watch);
        block_on(state).unwrap().unwrap()
    };

    block_on(device.settle()).unwrap();
    let before = device.counts();
    let mut state = forward(&prompt, &mut cache);
    // A whole forward pass is one pass, and waits for what follows to be submitted with it.
    let after = device.counts();
    assert_eq!(after.submissions, before.submissions);
    assert_eq!(after.passes, before.passes + 1);
    assert!(after.dispatches > before.dispatches + 30, "{after:?}");

    for step in 0..FIRST + 8 {
        let before = device.counts();
        let logits = decoder.logits(device, &state).unwrap();
        let token = block_on(device.argmax(&logits, &[])).unwrap();
        state = forward(&[token], &mut cache);
        let after = device.counts();
        assert_eq!(after.submissions, before.submissions + 1);
        assert_eq!(after.passes, before.passes + 1);
        assert_eq!(after.bytes_read, before.bytes_read + 16);
        if step > 0 {
            assert_eq!(after.buffers, before.buffers, "step {step}");
        }
        if step >= FIRST {
            assert_eq!(after.bind_groups, before.bind_groups, "step {step}");
        }
    }
}
