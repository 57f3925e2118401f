//! `manifest`: what a model file is, chunk by chunk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Run, demo_model, repository, run};
use llavaguard_store::{Digest, Manifest};
use tempfile::{TempDir, tempdir};

const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

/// A folder with the demo model in it.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let model = folder.path().join("model.gguf");
    fs::copy(demo_model(), &model).unwrap();
    (folder, model)
}

fn manifest(model: &Path, options: &[&str]) -> Run {
    run(["manifest", model.to_str().unwrap()].iter().chain(options))
}

fn read(path: &Path) -> Manifest {
    Manifest::from_json(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_manifest_says_what_the_file_is() {
    let (folder, model) = folder();
    let result = manifest(
        &model,
        &["--json", "--license-url", "https://example.org/l"],
    );
    assert_eq!(result.code, Some(0), "{result:?}");
    let report = result.json();
    let path = folder.path().join("manifest.json");
    assert_eq!(report["manifest"], path.to_str().unwrap());
    let manifest = read(&path);
    let bytes = fs::read(&model).unwrap();
    assert_eq!(manifest.file.name, "model.gguf");
    assert_eq!(manifest.file.bytes, bytes.len() as u64);
    assert_eq!(manifest.file.sha256, Digest::of(&bytes));
    assert_eq!(manifest.file.chunks, [Digest::of(&bytes)]);
    assert!(manifest.file.parts.is_empty() && manifest.signature.is_none());

    let inspected = run(["inspect", "--json", model.to_str().unwrap()]).json();
    let config = &inspected["config"];
    assert_eq!(manifest.name, config["name"].as_str().unwrap());
    let digest = inspected["content_sha256"].as_str().unwrap();
    assert_eq!(
        manifest.model_id,
        format!("{}@{}", manifest.name, &digest[..12])
    );
    assert_eq!(manifest.architecture.parameters, inspected["parameters"]);
    assert_eq!(
        manifest.architecture.language.layers,
        config["language"]["layers"]
    );
    assert_eq!(
        manifest.architecture.vision.hidden,
        config["vision"]["hidden"]
    );
    assert_eq!(
        manifest.quantization.language,
        inspected["parts"]["language"].as_str().unwrap()
    );
    let license = manifest.license.unwrap();
    assert_eq!(license.text, inspected["license"].as_str().unwrap());
    assert_eq!(license.url.as_deref(), Some("https://example.org/l"));
    for kind in ["cpu", "webgpu"] {
        let needed = manifest.memory[kind];
        assert!(
            (bytes.len() as u64..1 << 30).contains(&needed),
            "{kind}: {needed}"
        );
        assert_eq!(report["memory"][kind], needed);
    }
}

#[test]
fn a_split_model_is_the_model_in_pieces() {
    let (folder, model) = folder();
    let options = ["--split", "2MiB", "--chunk-size", "1MiB", "--json"];
    let report = manifest(&model, &options).json();
    let manifest = read(&folder.path().join("manifest.json"));
    let whole = fs::read(&model).unwrap();
    let mut joined = Vec::new();
    for (at, part) in manifest.file.parts.iter().enumerate() {
        assert_eq!(report["parts"][at], part.name);
        let bytes = fs::read(folder.path().join(&part.name)).unwrap();
        assert_eq!(bytes.len() as u64, part.bytes);
        joined.extend(bytes);
    }
    assert!(joined == whole);
    assert_eq!(manifest.file.parts.len(), whole.len().div_ceil(2 << 20));
    let digests: Vec<Digest> = whole.chunks(1 << 20).map(Digest::of).collect();
    assert_eq!(manifest.file.chunks, digests);
    // The model, its manifest, its parts, and nothing unfinished.
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2 + manifest.file.parts.len());
}

#[test]
fn a_signed_manifest_names_its_signer() {
    let (folder, model) = folder();
    let key = folder.path().join("key.pem");
    fs::write(&key, KEY).unwrap();
    let result = manifest(&model, &["--sign", key.to_str().unwrap()]);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert!(result.stdout.contains(PUBLIC), "{result:?}");
    let manifest = read(&folder.path().join("manifest.json"));
    assert_eq!(manifest.trusted(&[PUBLIC.parse().unwrap()]), Ok(()));
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_nothing() {
    let (folder, model) = folder();
    let key = folder.path().join("key.pem");
    fs::write(&key, "no key").unwrap();
    let text = folder.path().join("text.gguf");
    fs::write(&text, "no model").unwrap();
    let absent = folder.path().join("absent.gguf");
    for (file, options, code) in [
        (
            &model,
            vec!["--sign", key.to_str().unwrap()],
            "manifest.bad_key",
        ),
        (&model, vec!["--sign", "/no/such/key"], "manifest.bad_key"),
        (&model, vec!["--split", "1MiB"], "manifest.bad_split"),
        (&text, vec![], "model.not_gguf"),
        (&absent, vec![], "model.not_found"),
        (
            &model,
            vec!["--out", "/no/such/folder/m.json"],
            "output.not_writable",
        ),
    ] {
        let result = manifest(file, &options);
        assert_eq!(result.code, Some(1), "{result:?}");
        assert!(result.stderr.contains(code), "{code}: {result:?}");
        assert!(result.stdout.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "{code}");
    }
    for wrong in [["--split", "0"], ["--split", "x"], ["--chunk-size", "1KiB"]] {
        assert_eq!(manifest(&model, &wrong).code, Some(2));
    }
}

#[test]
fn an_earlier_manifest_stays_unless_told() {
    let (folder, model) = folder();
    let path = folder.path().join("manifest.json");
    fs::write(&path, "precious").unwrap();
    let refused = manifest(&model, &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("output.exists"), "{refused:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(manifest(&model, &["--force"]).code, Some(0));
    read(&path);
}

#[test]
fn the_demo_models_manifest_in_the_repository_is_what_the_program_writes() {
    let (folder, _) = folder();
    let model = demo_model();
    let out = folder.path().join("again.json");
    let license = "https://www.apache.org/licenses/LICENSE-2.0";
    let options = ["--chunk-size", "1MiB", "--license-url", license, "--out"];
    let options: Vec<&str> = options.into_iter().chain(out.to_str()).collect();
    assert_eq!(manifest(&model, &options).code, Some(0));
    let published = repository("models/demo/manifest.json");
    assert_eq!(
        fs::read_to_string(out).unwrap(),
        fs::read_to_string(published).unwrap()
    );
}
