//! The golden image of a model file: right devices pass, another expectation or another model fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;
use std::path::PathBuf;

use common::{Watch, engine, gpu, load, load_on};
use llavaguard_backend::{DType, Device, DeviceError, block_on};
use llavaguard_gpu::{Extras, Wanted};
use llavaguard_guard::{Engine, Error, Golden};
use llavaguard_model::ModelError;
use llavaguard_model::convert::rewrite;
use llavaguard_model::gguf::{FileSource, Gguf, Metadata, Value};
use llavaguard_policy::Rating;
use tempfile::TempDir;

static PHOTO: &[u8] = include_bytes!("../../../tests/photos/smoking-cigarette.jpg");

/// The demo model as it is published.
fn demo() -> PathBuf {
    common::parity_folder().join("../../models/demo/llavaguard-demo-q8_0.gguf")
}

/// The demo model with the photo as its golden image, in a file of its own.
struct Model {
    _folder: TempDir,
    file: PathBuf,
    golden: Golden,
}

impl Model {
    fn new() -> Model {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.gguf");
        std::fs::copy(demo(), &file).unwrap();
        let credit = Some("somebody, CC0".to_owned());
        let (engine, watch) = (load(&file, 2), Watch::default());
        let case = engine.golden_case(PHOTO.to_vec(), credit, &watch);
        let model = Model {
            _folder: folder,
            golden: block_on(case).unwrap(),
            file,
        };
        model.change(|keys| model.golden.write(keys));
        model
    }

    fn change(&self, change: impl FnOnce(&mut Metadata)) {
        rewrite(&self.file, change, &mut |_| ControlFlow::Continue(())).unwrap();
    }

    fn on_cpu(&self) -> Result<bool, Error> {
        tested(&load(&self.file, 2))
    }
}

fn tested<D: Device>(engine: &Engine<D>) -> Result<bool, Error> {
    block_on(engine.golden_test(&Watch::default()))
}

#[test]
fn the_demo_model_carries_one_that_is_computed_alike_today() {
    let engine = load(&demo(), 2);
    let kept = engine.golden().unwrap();
    assert_eq!(kept.image, PHOTO);
    assert!(tested(&engine).unwrap());
    let computed = block_on(engine.golden_case(PHOTO.to_vec(), None, &Watch::default()));
    let computed = computed.unwrap().verdict;
    assert_eq!(
        (computed.rating, &computed.category),
        (kept.verdict.rating, &kept.verdict.category)
    );
    let off = computed.unsafe_probability - kept.verdict.unsafe_probability;
    assert!(off.abs() < 2e-3, "{off}");
}

#[test]
fn a_case_is_kept_and_right_devices_pass_it() {
    let model = Model::new();
    let verdict = &model.golden.verdict;
    assert_eq!((verdict.rating, &*verdict.category), (Rating::Unsafe, "O6"));
    assert_eq!(load(&model.file, 1).golden(), Some(&model.golden));
    assert!(model.on_cpu().unwrap());
    let plain = Extras::default();
    for extras in [
        plain,
        Extras {
            byte_dots: true,
            ..plain
        },
        Extras {
            direct: true,
            ..plain
        },
    ] {
        let engine = load_on(gpu(Wanted::Exactly(extras)), &model.file);
        assert!(tested(&engine).unwrap(), "{extras:?}");
    }
}

#[test]
fn nobody_is_told_of_it() {
    let model = Model::new();
    let engine = load(&model.file, 2);
    let watch = Watch::default();
    assert!(block_on(engine.golden_test(&watch)).unwrap());
    assert!(watch.seen.get() > 0 && watch.events.borrow().is_empty());
    let stopped = block_on(engine.golden_test(&Watch::stopping_at(2)));
    assert!(stopped.unwrap_err().is_cancelled());
}

#[test]
fn another_expectation_is_refused() {
    let model = Model::new();
    let changes: [fn(&mut Golden); 4] = [
        |golden| golden.verdict.rating = Rating::Safe,
        |golden| golden.verdict.category = "O9".to_owned(),
        |golden| golden.verdict.unsafe_probability -= 2.0 * golden.tolerance,
        |golden| golden.verdict.category_probabilities[3] += 2.0 * golden.tolerance,
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut golden = model.golden.clone();
        change(&mut golden);
        model.change(|keys| golden.write(keys));
        let error = model.on_cpu().unwrap_err();
        let wrong = matches!(
            &error,
            Error::Model(ModelError::Device(DeviceError::Wrong(_)))
        );
        assert!(wrong, "{at}: {error}");
        assert_eq!(error.code(), "device.wrong_result");
        assert!(error.to_string().contains("golden image"), "{error}");
    }
}

#[test]
fn another_model_is_refused() {
    let model = Model::new();
    let whole = std::fs::read(&model.file).unwrap();
    let gguf = Gguf::open(&mut &*whole).unwrap();
    for tensor in [
        "v.blk.3.ffn_up.weight",
        "mm.2.weight",
        "blk.1.ffn_down.weight",
    ] {
        // As where an upload was cut off.
        let info = gguf.tensor(tensor).unwrap();
        let mut bytes = whole.clone();
        bytes[info.offset as usize..(info.offset + info.bytes) as usize].fill(0);
        std::fs::write(&model.file, &bytes).unwrap();
        let error = model.on_cpu().unwrap_err();
        assert_eq!(error.code(), "device.wrong_result", "{tensor}: {error}");
    }
}

#[test]
fn what_is_no_case_is_refused_when_the_model_is_loaded() {
    let model = Model::new();
    let numbers = |count| Value::from(vec![0.5_f32; count]);
    let mut beyond = vec![0.5_f32; 1 + model.golden.verdict.category_probabilities.len()];
    beyond[2] = 1.5;
    for (part, value, words) in [
        ("image", Value::from("text"), "an array of bytes"),
        ("image", Value::from(Vec::<u8>::new()), "1 to"),
        ("image", Value::from(vec![0_u8; (64 << 10) + 1]), "1 to"),
        ("rating", Value::from("Review Needed"), "Safe"),
        ("category", Value::from("O99"), "categories"),
        ("probabilities", numbers(3), "it must have"),
        ("probabilities", beyond.into(), "from 0 to 1"),
        ("tolerance", Value::from(0.0_f32), "above 0"),
        ("tolerance", Value::from(0.9_f32), "at most"),
        ("tolerance", Value::from(f32::NAN), "finite"),
        ("credit", Value::from(7_u32), "a string"),
        ("version", Value::from("1"), "integer"),
    ] {
        model.change(|keys| {
            model.golden.write(keys);
            keys.set(format!("llavaguard.golden.{part}"), value);
        });
        let mut source = FileSource::open(&model.file).unwrap();
        let device = llavaguard_cpu::CpuDevice::new(Some(1)).unwrap();
        let loaded = block_on(Engine::load(device, &mut source, &Watch::default()));
        let error = loaded.err().unwrap_or_else(|| panic!("{part} was taken"));
        assert_eq!(error.code(), "model.wrong_key", "{part}: {error}");
        assert!(error.to_string().contains(words), "{part}: {error}");
    }
    model.change(|keys| {
        keys.remove_all("llavaguard.golden.");
        keys.set("llavaguard.golden.version", 1_u32);
        keys.set("llavaguard.golden.policy_id", &*model.golden.policy_id);
    });
    let mut source = FileSource::open(&model.file).unwrap();
    let device = llavaguard_cpu::CpuDevice::new(Some(1)).unwrap();
    let loaded = block_on(Engine::load(device, &mut source, &Watch::default()));
    assert_eq!(loaded.err().unwrap().code(), "model.missing_key");
}

#[test]
fn bytes_that_are_no_image_are_the_files_fault_and_not_the_devices() {
    let model = Model::new();
    let mut golden = model.golden.clone();
    golden.image.truncate(1000);
    model.change(|keys| golden.write(keys));
    let error = model.on_cpu().unwrap_err();
    assert_eq!(error.code(), "model.wrong_key", "{error}");
}

#[test]
fn a_file_without_a_case_or_with_one_of_another_time_is_not_tested() {
    assert!(!tested(&engine("tied", DType::F32, 1)).unwrap());
    let model = Model::new();
    for (part, value) in [
        ("version", Value::from(2_u32)),
        ("policy_id", Value::from("another")),
    ] {
        model.change(|keys| {
            model.golden.write(keys);
            keys.set(format!("llavaguard.golden.{part}"), value);
        });
        assert!(!model.on_cpu().unwrap(), "{part}");
    }
}

#[test]
fn an_image_that_cannot_be_used_is_refused() {
    let engine = engine("tied", DType::F32, 1);
    let code = |bytes: &[u8]| {
        let case = block_on(engine.golden_case(bytes.to_vec(), None, &Watch::default()));
        case.unwrap_err().code()
    };
    assert_eq!(code(&[0; 70_000]), "engine.bad_option");
    assert_eq!(code(&PHOTO[..500]), "image.truncated");
}
