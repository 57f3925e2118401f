//! The golden case of a model file: right devices pass, and wrong weights are found out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Watch, engine, gpu};
use llavaguard_backend::{DType, Device, DeviceError, block_on};
use llavaguard_cpu::CpuDevice;
use llavaguard_gpu::{Extras, Wanted};
use llavaguard_guard::{Engine, Error};
use llavaguard_model::gguf::{FileSource, Gguf, Writer};
use llavaguard_model::synth::{Preset, SynthOptions, synth};
use llavaguard_model::{ModelError, SelfTest, self_test};

/// The demo model as it is published.
static DEMO: &[u8] = include_bytes!("../../../models/demo/llavaguard-demo-q8_0.gguf");

fn load<D: Device>(device: D, mut bytes: &[u8]) -> Engine<D> {
    block_on(Engine::load(device, &mut bytes, &Watch::default())).unwrap()
}

fn tested<D: Device>(device: D, bytes: &[u8]) -> Result<bool, Error> {
    block_on(load(device, bytes).self_test(&Watch::default()))
}

fn cpu() -> CpuDevice {
    CpuDevice::new(Some(2)).unwrap()
}

#[test]
fn the_demo_model_carries_a_case_that_devices_pass() {
    assert!(tested(cpu(), DEMO).unwrap());
    let plain = Extras::default();
    let bytes = Extras {
        byte_dots: true,
        ..plain
    };
    // Without dot products of bytes activations stay in f32: the other of the two cases.
    for extras in [plain, bytes] {
        let device = gpu(Wanted::Exactly(extras));
        assert!(tested(device, DEMO).unwrap(), "{extras:?}");
    }
    let mut demo = DEMO;
    let gguf = Gguf::open(&mut demo).unwrap();
    let kept = SelfTest::read(gguf.metadata()).unwrap().unwrap();
    let computed = block_on(self_test::compute(&cpu(), &mut demo, &Watch::default()));
    let computed = computed.unwrap().unwrap();
    for (kept, computed) in kept.exact.iter().zip(&computed.exact) {
        for (kept, computed) in kept.sums.iter().zip(&computed.sums) {
            assert!((kept - computed).abs() < 1e-3, "{kept} {computed}");
        }
    }
}

#[test]
fn wrong_weights_are_found_out_wherever_they_are() {
    let gguf = Gguf::open(&mut { DEMO }).unwrap();
    for (tensor, stage) in [
        ("v.blk.3.ffn_up.weight", "tower"),
        ("mm.2.weight", "projector"),
        ("blk.1.attn_v.weight", "many"),
        ("token_embd.weight", "logits"),
    ] {
        let info = gguf.tensor(tensor).unwrap();
        let mut bytes = DEMO.to_vec();
        // The second half of a weight is zero, as where an upload was cut off. The tokens of the case
        // are elsewhere in the table, or the decoder would show it first.
        let (start, end) = (info.offset + info.bytes / 2, info.offset + info.bytes);
        bytes[start as usize..end as usize].fill(0);
        let error = tested(cpu(), &bytes).unwrap_err();
        let Error::Model(ModelError::Device(DeviceError::Wrong(message))) = &error else {
            panic!("{tensor}: {error}");
        };
        let stages = ["tower", "projector", "many", "one", "few", "logits"];
        let found = stages
            .iter()
            .position(|name| message.contains(&format!("{name:?}")));
        let expected = stages.iter().position(|name| *name == stage);
        assert!(found.is_some() && found <= expected, "{tensor}: {message}");
        assert_eq!(error.code(), "device.wrong_result");
    }
}

#[test]
fn a_file_without_a_case_loads_and_is_not_tested() {
    let engine = engine("tied", DType::F32, 1);
    assert!(!block_on(engine.self_test(&Watch::default())).unwrap());
}

#[test]
fn a_case_is_computed_and_put_into_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for quant in [DType::F16, DType::Q4_0] {
        let path = folder.path().join("model.gguf");
        let options = SynthOptions::new(Preset::Demo, quant);
        synth(
            &path,
            &options,
            &mut |_| std::ops::ControlFlow::Continue(()),
        )
        .unwrap();
        let mut source = FileSource::open(&path).unwrap();
        let test = block_on(self_test::compute(&cpu(), &mut source, &Watch::default()));
        let test = test.unwrap().unwrap();
        self_test::record(&path, &test).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let gguf = Gguf::open(&mut &*bytes).unwrap();
        assert_eq!(SelfTest::read(gguf.metadata()).unwrap(), Some(test.clone()));
        // The weights' digest is as it was.
        let verified = gguf.verify(
            &mut &*bytes,
            &mut |_, _| std::ops::ControlFlow::Continue(()),
        );
        assert!(verified.unwrap().is_continue());
        assert!(tested(cpu(), &bytes).unwrap());
        let extras = Wanted::Exactly(Extras::default());
        assert!(tested(gpu(extras), &bytes).unwrap());
    }
    let path = folder.path().join("other.gguf");
    let none = llavaguard_model::gguf::Metadata::new();
    Writer::create(&path, &none, &[]).unwrap().finish().unwrap();
    let test = SelfTest {
        version: 1,
        exact: Vec::new(),
        rounded: Vec::new(),
    };
    let error = self_test::record(&path, &test).unwrap_err();
    assert_eq!(error.code(), "output.bad_plan");
}
