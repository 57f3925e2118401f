//! Random models are complete, sane and reproducible.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::path::Path;

use llavaguard_backend::DType;
use llavaguard_backend::quant::decode_row;
use llavaguard_model::convert::ConvertError;
use llavaguard_model::gguf::{FileSource, Gguf};
use llavaguard_model::synth::{Preset, SynthOptions, synth};
use llavaguard_model::{ModelConfig, Tokenizer};

fn make(out: &Path, options: &SynthOptions) {
    synth(out, options, &mut |_| ControlFlow::Continue(())).unwrap();
}

fn floats(gguf: &Gguf, source: &mut FileSource, name: &str) -> Vec<f32> {
    let tensor = gguf.tensor(name).unwrap();
    let bytes = gguf.read(source, tensor).unwrap();
    let cols = *tensor.shape.last().unwrap();
    let mut values = vec![0.0; tensor.shape.iter().product()];
    let row = tensor.dtype.row_bytes(cols).unwrap();
    for (values, bytes) in values.chunks_mut(cols).zip(bytes.chunks(row)) {
        decode_row(tensor.dtype, bytes, values).unwrap();
    }
    values
}

fn mean_and_deviation(values: &[f32]) -> (f32, f32) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    (
        mean,
        (values.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n).sqrt(),
    )
}

#[test]
fn the_demo_size_is_complete_and_sane() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo.gguf");
    let text = "Provide a safety assessment for the content provided by the user.";
    let options = SynthOptions {
        text: Some(text.into()),
        ..SynthOptions::new(Preset::Demo, DType::Q8_0)
    };
    make(&out, &options);
    let mut source = FileSource::open(&out).unwrap();
    let gguf = Gguf::open(&mut source).unwrap();
    let verified = gguf.verify(&mut source, &mut |_, _| ControlFlow::Continue(()));
    assert!(verified.unwrap().is_continue());
    let config = ModelConfig::from_gguf(&gguf).unwrap();
    assert_eq!(
        (
            config.language.vocab,
            config.vision.layers,
            config.language.layers
        ),
        (4096, 6, 3)
    );

    let (mean, deviation) =
        mean_and_deviation(&floats(&gguf, &mut source, "blk.2.ffn_down.weight"));
    assert!(mean.abs() < 1e-3 && (deviation * 512_f32.sqrt() - 1.0).abs() < 0.01);
    let (mean, deviation) = mean_and_deviation(&floats(&gguf, &mut source, "v.blk.5.ln2.weight"));
    assert!(
        (mean - 1.0).abs() < 0.03 && (deviation - 0.1).abs() < 0.03,
        "{mean} {deviation}"
    );
    let (mean, deviation) = mean_and_deviation(&floats(&gguf, &mut source, "blk.0.attn_q.bias"));
    assert!(
        mean.abs() < 0.01 && (deviation - 0.02).abs() < 0.01,
        "{mean} {deviation}"
    );
    let first = floats(&gguf, &mut source, "blk.0.attn_q.weight");
    let second = floats(&gguf, &mut source, "blk.1.attn_q.weight");
    assert_ne!(first, second, "each tensor has its own values");

    let json = gguf.string("tokenizer.huggingface.json").unwrap();
    let tokenizer = Tokenizer::from_json(json.as_bytes(), config.language.vocab).unwrap();
    assert_eq!(
        tokenizer.special("<image>").unwrap(),
        config.chat.image_token
    );
    assert_eq!(
        tokenizer.special("<|im_end|>").unwrap(),
        config.chat.end_token
    );
    tokenizer.special("<|im_start|>").unwrap();
    let ids = tokenizer.encode(text).unwrap();
    assert!(ids.len() <= 12, "one token a word, not {}", ids.len());
    let unknown = "\"Ünïcode\" \u{1f600}\n{}";
    let bytes: Vec<u8> = tokenizer
        .encode(unknown)
        .unwrap()
        .iter()
        .flat_map(|&id| tokenizer.bytes(id).to_vec())
        .collect();
    assert_eq!(bytes, unknown.as_bytes());
}

#[test]
fn the_same_seed_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, seed| {
        let out = folder.path().join(name);
        make(
            &out,
            &SynthOptions {
                seed,
                ..SynthOptions::new(Preset::Demo, DType::Q4_0)
            },
        );
        std::fs::read(out).unwrap()
    };
    let first = file("a", 5);
    assert_eq!(first, file("b", 5));
    assert_ne!(first, file("c", 6));
}

#[test]
fn a_tokeniser_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.gguf");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/models/tied/tokenizer.json");
    let mut options = SynthOptions::new(Preset::Demo, DType::Q8_0);
    options.tokenizer = Some(path.clone());
    make(&out, &options);
    let gguf = Gguf::open(&mut FileSource::open(&out).unwrap()).unwrap();
    let json = std::fs::read(path).unwrap();
    let config = ModelConfig::from_gguf(&gguf).unwrap();
    let tokenizer = Tokenizer::from_json(&json, 4096).unwrap();
    assert_eq!(
        gguf.string("tokenizer.huggingface.json")
            .unwrap()
            .as_bytes(),
        json
    );
    assert_eq!(
        tokenizer.special("<image>").unwrap(),
        config.chat.image_token
    );

    options.tokenizer = Some(folder.path().join("absent.json"));
    let error = synth(&out, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.code(), "checkpoint.unreadable");
}

#[test]
fn stopping_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.gguf");
    let options = SynthOptions::new(Preset::Half, DType::Q8_0);
    // The full size, stopped after its first and largest tensor.
    let error = synth(&out, &options, &mut |step| {
        assert_eq!(step.tensor, "token_embd.weight");
        ControlFlow::Break(())
    })
    .unwrap_err();
    assert!(matches!(error, ConvertError::Cancelled));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
