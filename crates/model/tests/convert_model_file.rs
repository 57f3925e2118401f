//! Our own model files become others in other formats; files of others are refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{Converted, model_folder, run};
use llavaguard_backend::DType;
use llavaguard_backend::quant::{decode_row, encode_row};
use llavaguard_model::config::{Rounding, Wrapping};
use llavaguard_model::convert::{ConvertError, ConvertOptions, convert};
use llavaguard_model::gguf::{Gguf, Metadata, TensorSpec, Value, Writer};

/// The small checkpoint `name`, converted, and the folder it lies in.
fn model_file(name: &str, options: &ConvertOptions) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    run(&model_folder(name), &file, options).unwrap();
    (folder, file)
}

/// Values after one rounding to `dtype`.
fn rounded(values: &[f32], dtype: DType) -> Vec<f32> {
    let mut bytes = Vec::new();
    encode_row(dtype, values, &mut bytes).unwrap();
    let mut out = vec![0.0; values.len()];
    decode_row(dtype, &bytes, &mut out).unwrap();
    out
}

#[test]
fn an_f32_file_gives_what_the_checkpoint_gives() {
    for name in ["tied", "untied", "blocks"] {
        let (_folder, plain) = model_file(name, &ConvertOptions::new(DType::F32));
        for quant in DType::ALL {
            let options = ConvertOptions::new(quant);
            let direct = Converted::from(&model_folder(name), &options);
            let again = Converted::from(&plain, &options);
            assert_eq!(again.report.config, direct.report.config, "{name} {quant}");
            assert_eq!(again.gguf.tensors(), direct.gguf.tensors());
            assert_eq!(again.content(), direct.content(), "{name} {quant}");
            let (found, expected) = (again.gguf.metadata(), direct.gguf.metadata());
            for (key, value) in expected.iter() {
                assert_eq!(found.value(key), Some(value), "{name} {quant} {key}");
            }
            assert_eq!(found.len(), expected.len());
            assert_eq!(again.report.dialect, None);
            let notes = &again.report.notes;
            assert!(
                !notes.iter().any(|note| note.contains("regained")),
                "{notes:?}"
            );
        }
    }
}

#[test]
fn quantised_weights_are_taken_as_they_are_stored() {
    for quant in [DType::Q8_0, DType::Q4_0, DType::F16] {
        let (_folder, stored) = model_file("blocks", &ConvertOptions::new(quant));
        let mut stored = Converted::from(&stored, &ConvertOptions::new(quant));
        let names: Vec<String> = stored
            .gguf
            .tensors()
            .iter()
            .map(|t| t.name.clone())
            .collect();
        for target in DType::ALL {
            let (_other_folder, file) = model_file("blocks", &ConvertOptions::new(quant));
            let mut other = Converted::from(&file, &ConvertOptions::new(target));
            let notes = other.report.notes.join("\n");
            let lossy = quant != DType::F16;
            assert_eq!(notes.contains("not regained"), lossy, "{quant}: {notes}");
            for name in &names {
                let cols = *stored.gguf.tensor(name).unwrap().shape.last().unwrap();
                let dtype = other.dtype(name);
                let (from, to) = (stored.values(name), other.values(name));
                // The MLP's padding is there already wherever blocks ask for it, or never will be.
                if from.len() != to.len() {
                    assert_eq!(
                        (quant, name.contains(".ffn_")),
                        (DType::F16, true),
                        "{name}"
                    );
                    continue;
                }
                for (from, to) in from.chunks(cols).zip(to.chunks(cols)) {
                    assert_eq!(rounded(from, dtype), to, "{quant} to {target}: {name}");
                }
            }
        }
    }
}

#[test]
fn the_same_formats_give_the_same_bytes() {
    for quant in DType::ALL {
        let (folder, file) = model_file("blocks", &ConvertOptions::new(quant));
        let out = folder.path().join("again.gguf");
        run(&file, &out, &ConvertOptions::new(quant)).unwrap();
        assert!(
            fs::read(&file).unwrap() == fs::read(&out).unwrap(),
            "{quant}"
        );
        // Also in place.
        let before = fs::read(&file).unwrap();
        run(&file, &file, &ConvertOptions::new(quant)).unwrap();
        assert!(fs::read(&file).unwrap() == before, "{quant} in place");
    }
}

#[test]
fn settings_stay_unless_told_otherwise() {
    let original = ConvertOptions {
        wrapping: Some(Wrapping::HuggingFace),
        rounding: Some(Rounding::Original),
        prompt_template: Some("v1.0".into()),
        name: Some("first".into()),
        license: Some("CC0-1.0".into()),
        ..ConvertOptions::new(DType::F16)
    };
    let (_folder, file) = model_file("tied", &original);
    let kept = Converted::from(&file, &ConvertOptions::new(DType::Q8_0));
    let config = &kept.report.config;
    assert_eq!(config.name, "first");
    assert_eq!(config.chat.wrapping, Wrapping::HuggingFace);
    assert_eq!(config.anyres.rounding, Rounding::Original);
    assert_eq!(kept.gguf.string("general.license").unwrap(), "CC0-1.0");
    let version = kept.gguf.string("llavaguard.prompt_template").unwrap();
    assert_eq!(version, "v1.0");

    let told = ConvertOptions {
        vision_quant: Some(DType::F32),
        embedding_quant: Some(DType::F16),
        wrapping: Some(Wrapping::Training),
        rounding: Some(Rounding::HuggingFace),
        prompt_template: Some("v1.2".into()),
        name: Some("second".into()),
        license: Some("MIT".into()),
        ..ConvertOptions::new(DType::Q4_0)
    };
    let changed = Converted::from(&file, &told);
    let config = &changed.report.config;
    assert_eq!(config.name, "second");
    assert_eq!(config.chat.wrapping, Wrapping::Training);
    assert_eq!(config.anyres.rounding, Rounding::HuggingFace);
    assert_eq!(changed.gguf.string("general.license").unwrap(), "MIT");
    let version = changed.gguf.string("llavaguard.prompt_template").unwrap();
    assert_eq!(version, "v1.2");
    assert_eq!(changed.dtype("blk.0.ffn_up.weight"), DType::Q4_0);
    assert_eq!(changed.dtype("v.blk.0.attn_q.weight"), DType::F32);
    assert_eq!(changed.dtype("token_embd.weight"), DType::F16);
}

/// Converts, expecting an error; nothing may be written.
fn refused(file: &Path) -> ConvertError {
    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("out.gguf");
    let error = run(file, &out, &ConvertOptions::new(DType::F32)).unwrap_err();
    let left = fs::read_dir(target.path()).unwrap().count();
    assert_eq!(left, 0, "after {error}");
    error
}

#[test]
fn files_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("foreign.gguf");
    let spec = TensorSpec {
        name: "token_embd.weight".into(),
        shape: vec![2, 32],
        dtype: DType::F32,
    };
    for (architecture, said) in [(Some("qwen2"), "\"qwen2\""), (None, "no architecture")] {
        let mut metadata = Metadata::new();
        if let Some(name) = architecture {
            metadata.set("general.architecture", name);
        }
        let mut writer = Writer::create(&file, &metadata, std::slice::from_ref(&spec)).unwrap();
        writer.begin(&spec.name).unwrap();
        writer.write(&[0; 256]).unwrap();
        writer.finish().unwrap();
        let error = refused(&file);
        assert_eq!(error.code(), "checkpoint.foreign_model", "{error}");
        let text = error.to_string();
        assert!(
            text.contains(said) && text.contains("foreign.gguf"),
            "{text}"
        );
    }
    let mut metadata = Metadata::new();
    metadata.set("general.architecture", Value::U32(7));
    Writer::create(&file, &metadata, &[])
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(refused(&file).code(), "model.wrong_key");

    fs::write(&file, b"PK\x03\x04 is no model").unwrap();
    let error = refused(&file);
    assert_eq!(error.code(), "model.not_gguf", "{error}");
    assert!(error.to_string().contains("foreign.gguf"), "{error}");
    fs::write(&file, b"").unwrap();
    assert_eq!(refused(&file).code(), "model.not_gguf");
}

#[test]
fn damaged_files_are_refused() {
    let (folder, whole) = model_file("tied", &ConvertOptions::new(DType::Q8_0));
    let bytes = fs::read(&whole).unwrap();
    let file = folder.path().join("damaged.gguf");
    // A weight that changed: nothing but the digest tells.
    let mut spoilt = bytes.clone();
    let middle =
        (Gguf::open(&mut bytes.as_slice()).unwrap().data_start() as usize + bytes.len()) / 2;
    spoilt[middle] ^= 4;
    fs::write(&file, &spoilt).unwrap();
    let error = refused(&file);
    assert_eq!(error.code(), "model.checksum", "{error}");
    assert!(error.to_string().contains("damaged.gguf"), "{error}");
    fs::write(&file, &bytes[..bytes.len() - 100]).unwrap();
    assert_eq!(refused(&file).code(), "model.truncated");
    // A tensor by another name: one is missing.
    let mut renamed = bytes.clone();
    let name = b"output_norm.weight";
    let at = renamed.windows(name.len()).position(|w| w == name).unwrap();
    renamed[at] = b'O';
    fs::write(&file, &renamed).unwrap();
    let error = refused(&file);
    assert_eq!(error.code(), "model.missing_tensor", "{error}");
    assert!(error.to_string().contains("output_norm.weight"), "{error}");
}

#[test]
fn more_tensors_than_the_model_has_are_refused() {
    let (folder, whole) = model_file("tied", &ConvertOptions::new(DType::F32));
    let bytes = fs::read(&whole).unwrap();
    let gguf = Gguf::open(&mut bytes.as_slice()).unwrap();
    let file = folder.path().join("more.gguf");
    let mut specs: Vec<TensorSpec> = gguf
        .tensors()
        .iter()
        .map(|tensor| TensorSpec {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
        })
        .collect();
    specs.push(TensorSpec {
        name: "blk.0.adapter.weight".into(),
        shape: vec![4],
        dtype: DType::F32,
    });
    let mut writer = Writer::create(&file, gguf.metadata(), &specs).unwrap();
    for tensor in gguf.tensors() {
        writer.begin(&tensor.name).unwrap();
        let data = gguf.read(&mut bytes.as_slice(), tensor).unwrap();
        writer.write(&data).unwrap();
    }
    writer.begin("blk.0.adapter.weight").unwrap();
    writer.write(&[0; 16]).unwrap();
    writer.finish().unwrap();
    match refused(&file) {
        ConvertError::Unexplained { tensors } => assert_eq!(tensors, ["blk.0.adapter.weight"]),
        other => panic!("{other}"),
    }
}

#[test]
fn it_stops_where_it_is_told_to() {
    let (_folder, file) = model_file("tied", &ConvertOptions::new(DType::F32));
    for stop_at in [1, 2, 9] {
        let target = tempfile::tempdir().unwrap();
        let out = target.path().join("out.gguf");
        fs::write(&out, b"precious").unwrap();
        let mut calls = 0;
        let result = convert(
            &file,
            &out,
            &ConvertOptions::new(DType::Q4_0),
            &mut |step| {
                calls += 1;
                assert_eq!(step.done, calls - 1, "the first call is about the digest");
                match calls == stop_at {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        );
        assert!(matches!(result, Err(ConvertError::Cancelled)), "{result:?}");
        assert_eq!(calls, stop_at);
        assert_eq!(fs::read(&out).unwrap(), b"precious");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
    }
}
