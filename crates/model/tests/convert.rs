//! Checkpoint folders become model files, or errors that say what is wrong with them.
//!
//! The checkpoints are transformers' own (`tests/parity/models`); expected values are read from them
//! by the safetensors crate, on another way than the converter's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;
use std::path::Path;

use common::{Folder, Tensor, model_folder};
use llavaguard_backend::DType;
use llavaguard_backend::quant::decode_row;
use llavaguard_model::ModelConfig;
use llavaguard_model::config::{Activation, Rounding, Wrapping};
use llavaguard_model::convert::{ConvertError, ConvertOptions, Dialect, Report, convert};
use llavaguard_model::gguf::{FileSource, Gguf, KEY_CONTENT_SHA256};
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["tied", "untied", "blocks"];

fn run(folder: &Path, out: &Path, options: &ConvertOptions) -> Result<Report, ConvertError> {
    convert(folder, out, options, &mut |_| ControlFlow::Continue(()))
}

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

/// A converted file, opened.
struct Converted {
    gguf: Gguf,
    source: FileSource,
    report: Report,
}

impl Converted {
    fn from(folder: &Path, options: &ConvertOptions) -> Converted {
        let target = tempfile::tempdir().unwrap();
        let out = target.path().join("out.gguf");
        let report = run(folder, &out, options).unwrap();
        let mut source = FileSource::open(&out).unwrap();
        let gguf = Gguf::open(&mut source).unwrap();
        Converted {
            gguf,
            source,
            report,
        }
    }

    fn dtype(&self, name: &str) -> DType {
        self.gguf.tensor(name).unwrap().dtype
    }

    fn values(&mut self, name: &str) -> Vec<f32> {
        let tensor = self.gguf.tensor(name).unwrap().clone();
        let bytes = self.gguf.read(&mut self.source, &tensor).unwrap();
        let cols = *tensor.shape.last().unwrap();
        let row = tensor.dtype.row_bytes(cols).unwrap();
        let mut values = vec![0.0; tensor.shape.iter().product()];
        for (values, bytes) in values.chunks_mut(cols).zip(bytes.chunks(row)) {
            decode_row(tensor.dtype, bytes, values).unwrap();
        }
        values
    }

    fn content(&self) -> String {
        self.gguf
            .metadata()
            .get::<&str>(KEY_CONTENT_SHA256)
            .unwrap()
            .to_owned()
    }
}

/// Norm of the difference over the norm.
fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let difference: f32 = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    (difference / expected.iter().map(|b| b * b).sum::<f32>()).sqrt()
}

/// File names of tensors and transformers' names of the same, one of each kind.
const PAIRS: [(&str, &str); 20] = [
    (
        "token_embd.weight",
        "language_model.model.embed_tokens.weight",
    ),
    ("output_norm.weight", "language_model.model.norm.weight"),
    (
        "blk.1.attn_norm.weight",
        "language_model.model.layers.1.input_layernorm.weight",
    ),
    (
        "blk.1.attn_q.weight",
        "language_model.model.layers.1.self_attn.q_proj.weight",
    ),
    (
        "blk.1.attn_k.weight",
        "language_model.model.layers.1.self_attn.k_proj.weight",
    ),
    (
        "blk.0.attn_v.bias",
        "language_model.model.layers.0.self_attn.v_proj.bias",
    ),
    (
        "blk.1.attn_output.weight",
        "language_model.model.layers.1.self_attn.o_proj.weight",
    ),
    (
        "blk.1.ffn_norm.weight",
        "language_model.model.layers.1.post_attention_layernorm.weight",
    ),
    (
        "blk.0.ffn_gate.weight",
        "language_model.model.layers.0.mlp.gate_proj.weight",
    ),
    (
        "blk.0.ffn_up.weight",
        "language_model.model.layers.0.mlp.up_proj.weight",
    ),
    (
        "blk.0.ffn_down.weight",
        "language_model.model.layers.0.mlp.down_proj.weight",
    ),
    (
        "v.patch_embd.weight",
        "vision_tower.embeddings.patch_embedding.weight",
    ),
    (
        "v.position_embd.weight",
        "vision_tower.embeddings.position_embedding.weight",
    ),
    (
        "v.blk.1.ln1.bias",
        "vision_tower.encoder.layers.1.layer_norm1.bias",
    ),
    (
        "v.blk.1.attn_q.weight",
        "vision_tower.encoder.layers.1.self_attn.q_proj.weight",
    ),
    (
        "v.blk.1.attn_out.weight",
        "vision_tower.encoder.layers.1.self_attn.out_proj.weight",
    ),
    (
        "v.blk.0.ln2.weight",
        "vision_tower.encoder.layers.0.layer_norm2.weight",
    ),
    ("mm.0.weight", "multi_modal_projector.linear_1.weight"),
    ("mm.2.bias", "multi_modal_projector.linear_2.bias"),
    ("model.image_newline", "image_newline"),
];

#[test]
fn every_checkpoint_converts_in_every_format() {
    for name in MODELS {
        let folder = Folder::read(name);
        for quant in DType::ALL {
            let mut converted = Converted::from(&model_folder(name), &ConvertOptions::new(quant));
            let gguf = &converted.gguf;
            assert_eq!(
                ModelConfig::from_gguf(gguf).unwrap(),
                converted.report.config
            );
            assert_eq!(converted.report.config.name, name);
            gguf.verify(&mut converted.source, &mut |_, _| {}).unwrap();
            let tokenizer = gguf
                .string("tokenizer.huggingface.json")
                .unwrap()
                .as_bytes();
            assert_eq!(tokenizer, folder.files["tokenizer.json"]);
            for (stored, original) in PAIRS {
                let expected = folder.tensors[original].values();
                let limit = match converted.dtype(stored) {
                    DType::F32 => 0.0,
                    DType::F16 => 5e-4,
                    DType::Q8_0 => 6e-3,
                    DType::Q4_0 => 0.11,
                };
                let error = relative_error(&converted.values(stored), &expected);
                assert!(error <= limit, "{name} {quant} {stored}: {error}");
            }
        }
    }
}

#[test]
fn formats_follow_the_options_and_the_widths() {
    // Width 64 everywhere: whole blocks.
    let q4 = Converted::from(&model_folder("blocks"), &ConvertOptions::new(DType::Q4_0));
    assert_eq!(q4.dtype("blk.0.attn_q.weight"), DType::Q4_0);
    assert_eq!(q4.dtype("v.blk.0.attn_q.weight"), DType::Q4_0);
    assert_eq!(q4.dtype("mm.0.weight"), DType::Q4_0);
    assert_eq!(q4.dtype("token_embd.weight"), DType::Q8_0);
    assert_eq!(q4.dtype("v.patch_embd.weight"), DType::F16);
    assert_eq!(q4.dtype("v.position_embd.weight"), DType::F32);
    assert_eq!(q4.dtype("blk.0.attn_q.bias"), DType::F32);

    let options = ConvertOptions {
        vision_quant: Some(DType::F16),
        embedding_quant: Some(DType::Q4_0),
        ..ConvertOptions::new(DType::Q8_0)
    };
    let mixed = Converted::from(&model_folder("blocks"), &options);
    assert_eq!(mixed.dtype("blk.0.attn_q.weight"), DType::Q8_0);
    assert_eq!(mixed.dtype("v.blk.0.ffn_down.weight"), DType::F16);
    assert_eq!(mixed.dtype("token_embd.weight"), DType::Q4_0);
    assert_eq!(
        mixed.report.config.vision.intermediate, 72,
        "no padding where nothing is quantised"
    );

    // Width 48 fills no blocks; the language model's 64 does.
    let ragged = Converted::from(&model_folder("tied"), &ConvertOptions::new(DType::Q8_0));
    assert_eq!(ragged.dtype("v.blk.0.attn_q.weight"), DType::F16);
    assert_eq!(
        ragged.dtype("v.blk.0.ffn_down.weight"),
        DType::Q8_0,
        "padded to whole blocks"
    );
    assert_eq!(ragged.dtype("blk.0.ffn_up.weight"), DType::Q8_0);
    assert!(
        ragged.report.notes.iter().any(|note| note.contains("f16")),
        "{:?}",
        ragged.report.notes
    );
}

#[test]
fn the_towers_mlp_is_padded_with_zeros_where_quantised() {
    let folder = Folder::read("blocks");
    let mut converted = Converted::from(&model_folder("blocks"), &ConvertOptions::new(DType::Q8_0));
    let (hidden, width, padded) = (64, 72, 96);
    assert_eq!(converted.report.config.vision.intermediate, padded);
    for (part, rows, cols, stored_rows, stored_cols) in [
        ("fc1.weight", width, hidden, padded, hidden),
        ("fc1.bias", 1, width, 1, padded),
        ("fc2.weight", hidden, width, hidden, padded),
        ("fc2.bias", 1, hidden, 1, hidden),
    ] {
        let original = format!("vision_tower.encoder.layers.1.mlp.{part}");
        let expected = folder.tensors[&original].values();
        let name = part.replace("fc1", "ffn_up").replace("fc2", "ffn_down");
        let stored = converted.values(&format!("v.blk.1.{name}"));
        assert_eq!(stored.len(), stored_rows * stored_cols, "{part}");
        let mut kept = Vec::new();
        for (index, value) in stored.iter().enumerate() {
            if index / stored_cols < rows && index % stored_cols < cols {
                kept.push(*value);
            } else {
                assert_eq!(*value, 0.0, "{part}");
            }
        }
        assert!(relative_error(&kept, &expected) < 6e-3, "{part}");
    }
}

#[test]
fn settings_arrive() {
    let tied = Converted::from(&model_folder("tied"), &ConvertOptions::new(DType::F32)).report;
    let config = &tied.config;
    assert_eq!(
        config.vision.layers, 2,
        "vision_feature_layer -2 of three layers"
    );
    assert_eq!(
        (config.vision.image_size, config.vision.patch_size),
        (24, 7)
    );
    assert_eq!((config.vision.hidden, config.vision.heads), (48, 2));
    assert_eq!(config.vision.activation, Activation::GeluTanh);
    assert_eq!(
        (config.vision.image_mean, config.vision.image_std),
        ([0.5; 3], [0.5; 3])
    );
    assert_eq!(config.projector.activation, Activation::Gelu);
    assert_eq!((config.language.hidden, config.language.head_dim), (64, 16));
    assert_eq!((config.language.heads, config.language.kv_heads), (4, 2));
    assert_eq!(
        (config.language.rope_theta, config.language.tied_head),
        (1e6, true)
    );
    assert_eq!(config.anyres.max_patches, 9);
    assert_eq!(config.anyres.rounding, Rounding::HuggingFace);
    // transformers lists (height, width), the first row of the grid first.
    assert_eq!(config.anyres.pinpoints[..3], [(24, 24), (48, 24), (72, 24)]);
    assert_eq!(config.chat.wrapping, Wrapping::Training);
    let skipped: Vec<&str> = tied.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert!(skipped.contains(&"vision_tower.post_layernorm.weight"));
    assert!(skipped.contains(&"vision_tower.head.probe"));
    assert!(skipped.contains(&"vision_tower.encoder.layers.2.mlp.fc1.weight"));

    let blocks = Converted::from(&model_folder("blocks"), &ConvertOptions::new(DType::F32)).report;
    assert_eq!(blocks.config.vision.layers, 2, "vision_feature_layer 2");
    assert_eq!(blocks.config.vision.activation, Activation::Gelu);
    let untied = Converted::from(&model_folder("untied"), &ConvertOptions::new(DType::F32)).report;
    assert_eq!(untied.config.vision.layers, 2, "vision_feature_layer -1");
    assert!(!untied.config.language.tied_head);

    let options = ConvertOptions {
        wrapping: Some(Wrapping::HuggingFace),
        rounding: Some(Rounding::Original),
        prompt_template: "v1.1".into(),
        name: Some("another".into()),
        license: Some("apache-2.0".into()),
        ..ConvertOptions::new(DType::F32)
    };
    let told = Converted::from(&model_folder("tied"), &options);
    assert_eq!(told.report.config.chat.wrapping, Wrapping::HuggingFace);
    assert_eq!(told.report.config.anyres.rounding, Rounding::Original);
    assert_eq!(told.report.config.name, "another");
    assert_eq!(told.gguf.string("general.license").unwrap(), "apache-2.0");
    assert_eq!(
        told.gguf.string("llavaguard.prompt_template").unwrap(),
        "v1.1"
    );
}

/// Renames from what transformers 5 saves to another convention.
fn renamed(dialect: Dialect, name: &str) -> String {
    let rest = |prefix: &str| name.strip_prefix(prefix).map(str::to_owned);
    let new = |prefix: &str, name: String| format!("{prefix}{name}");
    if let Some(part) = rest("vision_tower.") {
        return match dialect {
            Dialect::Original => new("model.vision_tower.vision_tower.vision_model.", part),
            Dialect::HuggingFaceBefore452 => new("vision_tower.vision_model.", part),
            Dialect::HuggingFace452 => new("model.vision_tower.vision_model.", part),
            Dialect::Transformers5 => new("model.vision_tower.", part),
            Dialect::Transformers5Saved => new("vision_tower.", part),
        };
    }
    let newer = matches!(dialect, Dialect::HuggingFace452 | Dialect::Transformers5);
    if dialect == Dialect::Original {
        return name
            .replace("multi_modal_projector.linear_1", "model.mm_projector.0")
            .replace("multi_modal_projector.linear_2", "model.mm_projector.2")
            .replace("language_model.lm_head", "lm_head")
            .replace("language_model.model.", "model.")
            .replace("image_newline", "model.image_newline");
    }
    if newer {
        return match name {
            "language_model.lm_head.weight" => "lm_head.weight".to_owned(),
            _ => new(
                "model.",
                name.replace("language_model.model.", "language_model."),
            ),
        };
    }
    name.to_owned()
}

/// The configuration as LLaVA-NeXT's code writes it, placeholders included, and the tower's own.
fn original_config(config: &Value) -> (Value, Value) {
    let mut original = config["text_config"].clone();
    original["model_type"] = json!("llava");
    original["architectures"] = json!(["LlavaQwenForCausalLM"]);
    original["mm_vision_tower"] = json!("somebody/siglip-tiny");
    original["mm_hidden_size"] = config["vision_config"]["hidden_size"].clone();
    original["mm_projector_type"] = json!("mlp2x_gelu");
    original["mm_patch_merge_type"] = json!("spatial_unpad");
    original["mm_newline_position"] = json!("one_token");
    original["mm_vision_select_layer"] = json!(-2);
    original["image_aspect_ratio"] = config["vision_aspect_ratio"].clone();
    original["image_token_index"] = config["image_token_index"].clone();
    original["rope_theta"] = json!(1e6);
    original.as_object_mut().unwrap().remove("rope_parameters");
    let swapped = config["image_grid_pinpoints"].as_array().unwrap().iter();
    original["image_grid_pinpoints"] = swapped.map(|p| json!([p[1], p[0]])).collect();
    original["vision_config"] = json!({ "model_type": "clip_vision_model", "hidden_size": 1024 });
    original["text_config"] = json!({ "model_type": "llama" });
    original["vision_feature_layer"] = json!(-2);
    original["vision_feature_select_strategy"] = json!("default");
    let mut tower = config["vision_config"].clone();
    tower["model_type"] = json!("siglip_vision_model");
    (original, tower)
}

#[test]
fn every_naming_gives_the_same_bytes() {
    for name in ["tied", "untied"] {
        let saved = Folder::read(name);
        let options = ConvertOptions {
            name: Some("same".into()),
            ..ConvertOptions::new(DType::Q8_0)
        };
        let reference = Converted::from(saved.write().path(), &options);
        assert_eq!(reference.report.dialect, Dialect::Transformers5Saved);
        for dialect in [
            Dialect::Original,
            Dialect::HuggingFaceBefore452,
            Dialect::HuggingFace452,
            Dialect::Transformers5,
        ] {
            let mut folder = saved.clone();
            folder.rename(|name| renamed(dialect, name));
            let mut options = options.clone();
            if dialect == Dialect::Original {
                if name == "untied" {
                    // The original code always drops the last layer; this model runs all.
                    continue;
                }
                let (config, tower) = original_config(&folder.config());
                folder.set_config(&config);
                folder
                    .files
                    .insert("tower.json".into(), tower.to_string().into_bytes());
            }
            let written = folder.write();
            if dialect == Dialect::Original {
                options.vision_config = Some(written.path().join("tower.json"));
            }
            let other = Converted::from(written.path(), &options);
            assert_eq!(other.report.dialect, dialect);
            assert_eq!(other.content(), reference.content(), "{name} {dialect:?}");
            assert_eq!(
                other.gguf.tensors(),
                reference.gguf.tensors(),
                "{name} {dialect:?}"
            );
            let mut config = other.report.config.clone();
            if dialect == Dialect::Original {
                assert_eq!(config.anyres.rounding, Rounding::Original);
                config.anyres.rounding = Rounding::HuggingFace;
            }
            assert_eq!(config, reference.report.config, "{name} {dialect:?}");
        }
    }
}

#[test]
fn older_configurations_mean_the_same() {
    let saved = Folder::read("untied");
    let options = ConvertOptions {
        name: Some("same".into()),
        ..ConvertOptions::new(DType::F32)
    };
    let reference = Converted::from(saved.write().path(), &options)
        .report
        .config;
    let mut older = saved.clone();
    // transformers 4: rope_theta beside the rest, the tower's defaults left out.
    older.set("/text_config/rope_parameters", None);
    older.set("/text_config/rope_theta", Some(json!(1e6)));
    older.set("/vision_config/layer_norm_eps", None);
    older.set("/vision_config/hidden_act", None);
    older.set("/vision_config/num_channels", None);
    older.set("/vision_feature_select_strategy", None);
    older.set("/projector_hidden_act", None);
    older.set("/image_token_index", None);
    older.set(
        "/image_token_id",
        Some(saved.config()["image_token_index"].clone()),
    );
    assert_eq!(
        Converted::from(older.write().path(), &options)
            .report
            .config,
        reference
    );

    // No number for the image token: the tokeniser names it.
    older.set("/image_token_id", None);
    // transformers 5's processor file in place of the preprocessor's.
    let preprocessor: Value =
        serde_json::from_slice(&older.files.remove("preprocessor_config.json").unwrap()).unwrap();
    let processor = json!({ "image_processor": preprocessor, "processor_class": "x" });
    older.files.insert(
        "processor_config.json".into(),
        processor.to_string().into_bytes(),
    );
    assert_eq!(
        Converted::from(older.write().path(), &options)
            .report
            .config,
        reference
    );

    // What the preprocessor says is taken.
    let mut tinted = processor;
    tinted["image_processor"]["image_mean"] = json!([0.25, 0.5, 0.75]);
    older.files.insert(
        "processor_config.json".into(),
        tinted.to_string().into_bytes(),
    );
    let tinted = Converted::from(older.write().path(), &options)
        .report
        .config;
    assert_eq!(tinted.vision.image_mean, [0.25, 0.5, 0.75]);
}

#[test]
fn the_chat_template_is_found_wherever_it_is() {
    let template = "{% for message in messages %}{{ message }}{% endfor %}";
    let named = json!({ "chat_template": [
        { "name": "tools", "template": "no" }, { "name": "default", "template": template }
    ] });
    for (file, content) in [
        ("chat_template.jinja", template.to_owned()),
        (
            "chat_template.json",
            json!({ "chat_template": template }).to_string(),
        ),
        (
            "tokenizer_config.json",
            json!({ "chat_template": template }).to_string(),
        ),
        ("tokenizer_config.json", named.to_string()),
    ] {
        let mut folder = Folder::read("blocks");
        folder.files.insert(file.into(), content.into_bytes());
        let converted = Converted::from(folder.write().path(), &ConvertOptions::new(DType::F16));
        assert_eq!(
            converted.report.config.chat.template.as_deref(),
            Some(template),
            "{file}"
        );
        assert_eq!(
            converted.gguf.string("tokenizer.chat_template").unwrap(),
            template
        );
    }
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
        .verify(&mut spoilt.as_slice(), &mut |_, _| {})
        .unwrap_err();
    assert_eq!(error.code(), "model.checksum");
}

#[test]
fn the_same_checkpoint_gives_the_same_file() {
    let target = tempfile::tempdir().unwrap();
    let (first, second) = (target.path().join("a.gguf"), target.path().join("b.gguf"));
    for out in [&first, &second] {
        run(
            &model_folder("untied"),
            out,
            &ConvertOptions::new(DType::Q4_0),
        )
        .unwrap();
    }
    assert_eq!(
        std::fs::read(first).unwrap(),
        std::fs::read(second).unwrap()
    );
}
