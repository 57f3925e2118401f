//! Checkpoint folders become model files.
//!
//! The checkpoints are transformers' own (`tests/parity/models`); expected values are read from them
//! by the safetensors crate, on another way than the converter's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;

use common::{Converted, Folder, model_folder, run};
use llavaguard_backend::DType;
use llavaguard_model::ModelConfig;
use llavaguard_model::config::{Activation, Rounding, Wrapping};
use llavaguard_model::convert::{ConvertOptions, Dialect};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["tied", "untied", "blocks"];

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
            let verified =
                gguf.verify(&mut converted.source, &mut |_, _| ControlFlow::Continue(()));
            assert!(verified.unwrap().is_continue());
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
        prompt_template: Some("v1.1".into()),
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
        assert_eq!(reference.report.dialect, Some(Dialect::Transformers5Saved));
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
            assert_eq!(other.report.dialect, Some(dialect));
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
