//! Checkpoint folders that are incomplete, damaged, or not what the engine runs get errors that say so,
//! and leave no file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;
use std::path::Path;

use common::{Converted, Folder, Tensor, model_folder, run};
use llavaguard_backend::DType;
use llavaguard_model::convert::{ConvertError, ConvertOptions, convert};
use llavaguard_model::gguf::Gguf;
use safetensors::tensor::Dtype;
use serde_json::json;

/// Converts a changed checkpoint to f32, expecting an error; no file may be left.
fn refused(folder: &Folder) -> ConvertError {
    refused_with(folder, &ConvertOptions::new(DType::F32))
}

fn refused_with(folder: &Folder, options: &ConvertOptions) -> ConvertError {
    let source = folder.write();
    let target = tempfile::tempdir().unwrap();
    let error = run(source.path(), &target.path().join("out.gguf"), options).unwrap_err();
    assert_eq!(
        std::fs::read_dir(target.path()).unwrap().count(),
        0,
        "after {error}"
    );
    error
}

#[test]
fn a_missing_tensor_is_named() {
    let names: Vec<String> = Folder::read("untied").tensors.into_keys().collect();
    for name in names {
        let mut folder = Folder::read("untied");
        folder.tensors.remove(&name);
        let explained = name.contains("post_layernorm");
        if explained {
            Converted::from(folder.write().path(), &ConvertOptions::new(DType::F32));
            continue;
        }
        let error = refused(&folder);
        assert_eq!(error.code(), "checkpoint.missing_tensor", "{name}: {error}");
        assert!(error.to_string().contains(&name), "{name}: {error}");
    }
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let mut folder = Folder::read("tied");
    let name = "language_model.model.layers.1.mlp.up_proj.weight";
    *folder.tensor(name) = Tensor::f32(&[64, 48], &vec![0.5; 64 * 48]);
    match refused(&folder) {
        ConvertError::WrongShape {
            tensor,
            expected,
            found,
        } => {
            assert_eq!(tensor, name);
            assert_eq!((expected, found), (vec![48, 64], vec![64, 48]));
        }
        other => panic!("{other}"),
    }
    // The same by a configuration that belongs to another model.
    let mut folder = Folder::read("tied");
    folder.set("/text_config/vocab_size", Some(json!(512)));
    assert_eq!(refused(&folder).code(), "checkpoint.wrong_shape");
    let mut folder = Folder::read("tied");
    folder.set("/vision_config/image_size", Some(json!(31)));
    let error = refused(&folder).to_string();
    assert!(
        error.contains("size.height"),
        "the preprocessor still says 24: {error}"
    );
}

#[test]
fn tensors_of_unknown_purpose_are_refused() {
    for name in [
        "language_model.model.layers.0.self_attn.o_proj.bias",
        "language_model.model.layers.7.mlp.up_proj.weight",
        "vision_tower.encoder.layers.0.mlp.fc3.weight",
        "multi_modal_projector.linear_3.weight",
        "lora_A.weight",
    ] {
        let mut folder = Folder::read("tied");
        folder
            .tensors
            .insert(name.into(), Tensor::f32(&[2, 2], &[1.0; 4]));
        match refused(&folder) {
            ConvertError::Unexplained { tensors } => assert_eq!(tensors, [name]),
            other => panic!("{name}: {other}"),
        }
    }
    // Left out with a reason: a tied head that is stored all the same, rotary frequencies.
    let mut folder = Folder::read("tied");
    let head = folder.tensors["language_model.model.embed_tokens.weight"].clone();
    folder
        .tensors
        .insert("language_model.lm_head.weight".into(), head);
    let name = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq";
    folder
        .tensors
        .insert(name.into(), Tensor::f32(&[8], &[1.0; 8]));
    let report = Converted::from(folder.write().path(), &ConvertOptions::new(DType::F32)).report;
    for left_out in ["language_model.lm_head.weight", name] {
        assert!(
            report.skipped.iter().any(|(name, _)| name == left_out),
            "{:?}",
            report.skipped
        );
    }
}

#[test]
fn a_head_that_is_called_tied_must_be_the_embedding() {
    let mut folder = Folder::read("tied");
    let mut head = folder.tensors["language_model.model.embed_tokens.weight"].clone();
    head.bytes[1001] ^= 1;
    folder
        .tensors
        .insert("language_model.lm_head.weight".into(), head);
    let error = refused(&folder);
    assert_eq!(error.code(), "checkpoint.bad_config");
    assert!(error.to_string().contains("tie_word_embeddings"), "{error}");
    // Untied, the same head is simply written.
    folder.set("/tie_word_embeddings", Some(json!(false)));
    folder.set("/text_config/tie_word_embeddings", Some(json!(false)));
    let untied = Converted::from(folder.write().path(), &ConvertOptions::new(DType::F32));
    assert!(untied.gguf.tensor("output.weight").is_some());
    assert!(!untied.report.config.language.tied_head);
}

#[test]
fn values_that_cannot_be_stored_are_named() {
    let name = "language_model.model.layers.0.mlp.up_proj.weight";
    for (value, quant, refuses) in [
        (7e4, DType::F32, false),
        (7e4, DType::F16, true),
        (7e4, DType::Q8_0, false),
        (1e8, DType::Q8_0, true),
        (1e7, DType::Q4_0, true),
        (f32::NAN, DType::F32, true),
        (f32::INFINITY, DType::Q8_0, true),
    ] {
        let mut folder = Folder::read("tied");
        let mut values = folder.tensor(name).values();
        values[3 * 64 + 5] = value;
        *folder.tensor(name) = Tensor::f32(&[48, 64], &values);
        let options = ConvertOptions::new(quant);
        if refuses {
            let error = refused_with(&folder, &options);
            assert_eq!(error.code(), "checkpoint.bad_value");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("row 3"), "{text}");
        } else {
            Converted::from(folder.write().path(), &options);
        }
    }
    let mut folder = Folder::read("tied");
    *folder.tensor(name) = Tensor {
        dtype: Dtype::I32,
        shape: vec![48, 64],
        bytes: vec![0; 48 * 256],
    };
    assert_eq!(refused(&folder).code(), "checkpoint.unsupported_format");
}

#[test]
fn settings_the_engine_does_not_run_are_refused() {
    for (pointer, value, word) in [
        ("/model_type", json!("llava"), "model_type"),
        (
            "/vision_feature_select_strategy",
            json!("default"),
            "vision_feature_select_strategy",
        ),
        (
            "/vision_feature_layer",
            json!([-2, -1]),
            "vision_feature_layer",
        ),
        ("/vision_feature_layer", json!(-4), "vision_feature_layer"),
        ("/vision_aspect_ratio", json!("pad"), "vision_aspect_ratio"),
        (
            "/projector_hidden_act",
            json!("relu"),
            "projector_hidden_act",
        ),
        ("/image_token_index", json!(448), "image_token_index"),
        (
            "/image_grid_pinpoints",
            json!([[25, 24]]),
            "image_grid_pinpoints",
        ),
        ("/image_grid_pinpoints", json!([]), "image_grid_pinpoints"),
        (
            "/vision_config/model_type",
            json!("clip_vision_model"),
            "vision_config.model_type",
        ),
        (
            "/vision_config/num_attention_heads",
            json!(5),
            "vision_config.num_attention_heads",
        ),
        (
            "/vision_config/hidden_size",
            json!(0),
            "vision_config.hidden_size",
        ),
        (
            "/vision_config/num_hidden_layers",
            json!(1_000_000_000),
            "num_hidden_layers",
        ),
        (
            "/text_config/model_type",
            json!("llama"),
            "text_config.model_type",
        ),
        (
            "/text_config/num_key_value_heads",
            json!(3),
            "text_config.num_key_value_heads",
        ),
        (
            "/text_config/use_sliding_window",
            json!(true),
            "text_config.use_sliding_window",
        ),
        (
            "/text_config/rope_parameters/rope_type",
            json!("yarn"),
            "rope_parameters.rope_type",
        ),
        (
            "/text_config/vocab_size",
            json!(-3),
            "text_config.vocab_size",
        ),
        (
            "/text_config/vocab_size",
            json!("many"),
            "text_config.vocab_size",
        ),
        (
            "/text_config/rms_norm_eps",
            json!(0),
            "text_config.rms_norm_eps",
        ),
    ] {
        let mut folder = Folder::read("tied");
        folder.set(pointer, Some(value.clone()));
        let error = refused(&folder);
        assert_eq!(
            error.code(),
            "checkpoint.bad_config",
            "{pointer} {value}: {error}"
        );
        assert!(
            error.to_string().contains(word),
            "{pointer} {value}: {error}"
        );
    }
}

#[test]
fn incomplete_and_damaged_folders_are_refused() {
    let code = |change: &dyn Fn(&Path)| {
        let folder = Folder::read("tied").write();
        change(folder.path());
        let target = tempfile::tempdir().unwrap();
        let out = target.path().join("out.gguf");
        run(folder.path(), &out, &ConvertOptions::new(DType::F32))
            .unwrap_err()
            .code()
    };
    let remove =
        |name: &'static str| move |folder: &Path| std::fs::remove_file(folder.join(name)).unwrap();
    let put = |name: &'static str, content: Vec<u8>| {
        move |folder: &Path| std::fs::write(folder.join(name), &content).unwrap()
    };
    assert_eq!(code(&remove("config.json")), "checkpoint.unreadable");
    assert_eq!(code(&remove("tokenizer.json")), "checkpoint.unreadable");
    assert_eq!(code(&remove("model.safetensors")), "checkpoint.no_weights");
    assert_eq!(
        code(&put("config.json", b"{".to_vec())),
        "checkpoint.damaged"
    );
    assert_eq!(
        code(&put("config.json", b"[".repeat(100_000))),
        "checkpoint.damaged"
    );
    assert_eq!(
        code(&put("config.json", b"[]".to_vec())),
        "checkpoint.damaged"
    );
    assert_eq!(
        code(&put("tokenizer.json", b"{}".to_vec())),
        "checkpoint.bad_tokenizer"
    );
    let header_of = |size: u64| [&size.to_le_bytes()[..], &[b' '; 64]].concat();
    assert_eq!(
        code(&put("model.safetensors", vec![])),
        "checkpoint.truncated"
    );
    assert_eq!(
        code(&put("model.safetensors", header_of(64))),
        "checkpoint.damaged"
    );
    assert_eq!(
        code(&put("model.safetensors", header_of(65))),
        "checkpoint.truncated"
    );
    assert_eq!(
        code(&put("model.safetensors", header_of(u64::MAX))),
        "checkpoint.damaged"
    );
    let index = |shard: &str| {
        json!({ "weight_map": { "x": shard } })
            .to_string()
            .into_bytes()
    };
    let name = "model.safetensors.index.json";
    assert_eq!(
        code(&put(name, index("../tied/model.safetensors"))),
        "checkpoint.damaged"
    );
    assert_eq!(code(&put(name, index("/etc/passwd"))), "checkpoint.damaged");
    assert_eq!(
        code(&put(name, index("not-there.safetensors"))),
        "checkpoint.unreadable"
    );
    assert_eq!(
        code(&put(name, index("model.safetensors"))),
        "checkpoint.damaged"
    );
    assert_eq!(code(&put(name, b"{}".to_vec())), "checkpoint.damaged");
    assert_eq!(
        run(
            Path::new("nowhere"),
            Path::new("x.gguf"),
            &ConvertOptions::new(DType::F32)
        )
        .unwrap_err()
        .code(),
        "checkpoint.unreadable"
    );
}

#[test]
fn a_truncated_or_altered_weights_file_never_panics() {
    let folder = Folder::read("blocks").write();
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("out.gguf");
    let options = ConvertOptions::new(DType::F32);
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for cut in (0..header + 64)
        .step_by(173)
        .chain([whole.len() / 2, whole.len() - 1])
    {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = run(folder.path(), &out, &options).unwrap_err();
        assert_eq!(
            error.code(),
            "checkpoint.truncated",
            "cut at {cut}: {error}"
        );
    }
    for at in (0..header).step_by(61) {
        let mut altered = whole.clone();
        altered[at] ^= 0x15;
        std::fs::write(&path, &altered).unwrap();
        // Either an error or, where a name in `__metadata__` or white space changed, a file.
        let _ = run(folder.path(), &out, &options);
    }
}

#[test]
fn a_stopped_conversion_leaves_nothing_and_harms_nothing() {
    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("out.gguf");
    for earlier in [None, Some(b"an earlier model".as_slice())] {
        if let Some(bytes) = earlier {
            std::fs::write(&out, bytes).unwrap();
        }
        let mut seen = 0;
        let result = convert(
            &model_folder("tied"),
            &out,
            &ConvertOptions::new(DType::Q8_0),
            &mut |progress| {
                seen += 1;
                assert_eq!(progress.done, seen);
                assert!(progress.done_bytes <= progress.total_bytes);
                let files: Vec<_> = std::fs::read_dir(target.path()).unwrap().collect();
                assert_eq!(
                    files.len(),
                    1 + usize::from(earlier.is_some()),
                    "the part file"
                );
                if seen == 20 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        assert!(matches!(result, Err(ConvertError::Cancelled)));
        assert_eq!(seen, 20);
        let left: Vec<_> = std::fs::read_dir(target.path()).unwrap().collect();
        assert_eq!(left.len(), usize::from(earlier.is_some()));
        if let Some(bytes) = earlier {
            assert_eq!(std::fs::read(&out).unwrap(), bytes);
        }
    }
    let nowhere = target.path().join("no/such/folder/out.gguf");
    let error = run(
        &model_folder("tied"),
        &nowhere,
        &ConvertOptions::new(DType::F32),
    )
    .unwrap_err();
    assert_eq!(error.code(), "output.not_writable");
}

#[test]
fn half_a_model_file_is_truncated() {
    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("out.gguf");
    run(
        &model_folder("blocks"),
        &out,
        &ConvertOptions::new(DType::Q8_0),
    )
    .unwrap();
    let whole = std::fs::read(&out).unwrap();
    for cut in [whole.len() / 2, whole.len() * 9 / 10, 5000, 100] {
        let error = Gguf::open(&mut &whole[..cut]).unwrap_err();
        assert_eq!(error.code(), "model.truncated", "cut at {cut}: {error}");
    }
    // Damage that leaves the header alone is what the digest is for.
    let mut spoilt = whole.clone();
    *spoilt.last_mut().unwrap() ^= 1;
    let gguf = Gguf::open(&mut spoilt.as_slice()).unwrap();
    let error = gguf
        .verify(
            &mut spoilt.as_slice(),
            &mut |_, _| ControlFlow::Continue(()),
        )
        .unwrap_err();
    assert_eq!(error.code(), "model.checksum");
}
