//! A model file gets other metadata; its weights stay, and so does the file where anything goes wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{model_folder, run};
use llavaguard_backend::DType;
use llavaguard_model::convert::{ConvertError, ConvertOptions, rewrite};
use llavaguard_model::gguf::{Gguf, KEY_CONTENT_SHA256, Metadata};

fn model_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    run(
        &model_folder("blocks"),
        &file,
        &ConvertOptions::new(DType::Q8_0),
    )
    .unwrap();
    (folder, file)
}

fn changed(file: &Path, change: impl FnOnce(&mut Metadata)) -> Result<(), ConvertError> {
    rewrite(file, change, &mut |_| ControlFlow::Continue(()))
}

/// The header, and all that follows it.
fn read(file: &Path) -> (Gguf, Vec<u8>) {
    let bytes = fs::read(file).unwrap();
    let gguf = Gguf::open(&mut &*bytes).unwrap();
    let whole = gguf.verify(&mut &*bytes, &mut |_, _| ControlFlow::Continue(()));
    assert!(whole.unwrap().is_continue());
    let data = bytes[gguf.data_start() as usize..].to_vec();
    (gguf, data)
}

#[test]
fn metadata_changes_and_weights_do_not() {
    let (folder, file) = model_file();
    let (before, weights) = read(&file);
    let image = vec![7_u8; 5000];
    changed(&file, |keys| keys.set("test.image", image.clone())).unwrap();
    let (after, same) = read(&file);
    assert!(weights == same);
    let digest = |gguf: &Gguf| gguf.string(KEY_CONTENT_SHA256).unwrap().to_owned();
    assert_eq!(digest(&before), digest(&after));
    assert_eq!(after.metadata().get::<&[u8]>("test.image").unwrap(), image);
    for (key, value) in before.metadata().iter() {
        assert_eq!(after.metadata().value(key), Some(value), "{key}");
    }
    assert_eq!(after.metadata().len(), before.metadata().len() + 1);
    for (before, after) in before.tensors().iter().zip(after.tensors()) {
        assert_eq!(
            (&before.name, &before.shape, before.dtype),
            (&after.name, &after.shape, after.dtype)
        );
    }

    changed(&file, |keys| {
        assert!(keys.remove_all("test."));
        assert!(!keys.remove_all("test."));
    })
    .unwrap();
    let (again, _) = read(&file);
    assert_eq!(again.metadata(), before.metadata());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_stays_where_anything_goes_wrong() {
    let (folder, file) = model_file();
    let whole = fs::read(&file).unwrap();
    for stop_at in [0, 1, 3] {
        let result = rewrite(&file, |keys| keys.set("a", 1_u32), &mut |step| {
            if step.done == stop_at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(result.unwrap_err().code(), "engine.cancelled");
        assert!(fs::read(&file).unwrap() == whole);
    }
    let mut damaged = whole.clone();
    let last = damaged.len() - 40;
    damaged[last] ^= 1;
    fs::write(&file, &damaged).unwrap();
    let error = changed(&file, |keys| keys.set("a", 1_u32)).unwrap_err();
    assert_eq!(error.code(), "model.checksum");
    assert!(fs::read(&file).unwrap() == damaged);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let missing = changed(&folder.path().join("missing.gguf"), |_| ());
    assert_eq!(missing.unwrap_err().code(), "checkpoint.unreadable");
}

#[test]
fn a_conversion_leaves_the_golden_image_out() {
    let (folder, file) = model_file();
    changed(&file, |keys| keys.set("llavaguard.golden.version", 1_u32)).unwrap();
    let out = folder.path().join("out.gguf");
    let report = run(&file, &out, &ConvertOptions::new(DType::F16)).unwrap();
    assert!(report.notes.join("\n").contains("llavaguard golden"));
    let (gguf, _) = read(&out);
    let mut keys = gguf.metadata().iter();
    assert!(keys.all(|(key, _)| !key.starts_with("llavaguard.golden.")));
}
