//! Manifests: what is taken, what is refused, who stands for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use jsonschema::Validator;
use llavaguard_store::{Digest, MANIFEST_SCHEMA, Manifest, PublicKey, SecretKey, StoreError};
use serde_json::{Value, json};

/// RFC 8410, section 10.3, and its public key.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
/// Another public key: RFC 8032, section 7.1, test 1.
const OTHER: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn document() -> Value {
    json!({
        "version": 1,
        "model_id": "demo@0123456789ab",
        "name": "demo",
        "architecture": {
            "family": "llava-onevision",
            "parameters": 8_000_000,
            "vision": {
                "layers": 6, "hidden": 192, "intermediate": 768, "heads": 3,
                "image_size": 128, "patch_size": 14
            },
            "language": {
                "layers": 4, "hidden": 256, "intermediate": 512, "heads": 4, "kv_heads": 2,
                "head_dim": 64, "vocab": 4096, "context": 8192
            }
        },
        "quantization": {"vision": "q8_0", "language": "q8_0", "embedding": "q8_0"},
        "file": {
            "name": "demo-q8_0.gguf",
            "bytes": 150_000,
            "sha256": Digest::of(b"all"),
            "chunk_bytes": 65_536,
            "chunks": [Digest::of(b"0"), Digest::of(b"1"), Digest::of(b"2")],
            "parts": [
                {"name": "demo-q8_0.gguf.000", "bytes": 131_072},
                {"name": "demo-q8_0.gguf.001", "bytes": 18_928}
            ]
        },
        "memory": {"cpu": 100_000_000, "webgpu": 90_000_000},
        "license": {"text": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
    })
}

fn read(document: &Value) -> Result<Manifest, StoreError> {
    Manifest::from_json(&document.to_string())
}

fn validator() -> Validator {
    let schema: Value = serde_json::from_str(MANIFEST_SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("a schema of draft 2020-12");
    jsonschema::draft202012::new(&schema).unwrap()
}

fn signed() -> Value {
    let mut manifest = read(&document()).unwrap();
    manifest.sign(&SecretKey::from_pem(KEY).unwrap());
    serde_json::from_str(&manifest.to_json()).unwrap()
}

#[test]
fn manifests_are_written_as_they_are_read_and_fit_the_schema() {
    let schema = validator();
    let mut whole = document();
    whole["file"].as_object_mut().unwrap().remove("parts");
    whole.as_object_mut().unwrap().remove("license");
    let mut more = document();
    more["self_test"] = json!({"anything": [1.5]});
    more["golden"] = json!({"rating": "Unsafe"});
    more["$schema"] = json!("manifest.schema.json");
    for document in [document(), whole, more, signed()] {
        assert!(schema.is_valid(&document), "{document}");
        let manifest = read(&document).unwrap();
        let again = Manifest::from_json(&manifest.to_json()).unwrap();
        assert_eq!(manifest, again);
        let written: Value = serde_json::from_str(&manifest.to_json()).unwrap();
        assert!(schema.is_valid(&written), "{written}");
    }
}

#[test]
fn what_is_wrong_with_one_field_is_refused_by_both() {
    let schema = validator();
    let cases = [
        ("/version", json!("1")),
        ("/model_id", json!(7)),
        ("/file/bytes", json!(0)),
        ("/file/bytes", json!(-1)),
        ("/file/bytes", json!(1.5)),
        ("/file/chunk_bytes", json!(65_535)),
        ("/file/chunk_bytes", json!(1_u64 << 40)),
        ("/file/sha256", json!("ABC")),
        ("/file/chunks", json!([])),
        ("/file/chunks/0", json!("0".repeat(63))),
        ("/file/name", json!("")),
        ("/file/name", json!("../demo.gguf")),
        ("/file/name", json!("a/b.gguf")),
        ("/file/name", json!("a\\b.gguf")),
        ("/file/name", json!("https://elsewhere.example/x")),
        ("/file/name", json!("//elsewhere.example")),
        ("/file/name", json!(".hidden")),
        ("/file/name", json!("a?b")),
        ("/file/name", json!("a#b")),
        ("/file/name", json!("a%2fb")),
        ("/file/parts/0/name", json!("..")),
        ("/file/parts/0/bytes", json!(0)),
        ("/architecture/vision/layers", json!("6")),
        ("/memory/cpu", json!(-1)),
        ("/license/text", json!(null)),
    ];
    for (pointer, wrong) in cases {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = wrong;
        let error = read(&document).unwrap_err();
        assert_eq!(error.code(), "manifest.invalid", "{pointer}: {error}");
        assert!(!schema.is_valid(&document), "{document}");
    }
    for key in [
        "version",
        "model_id",
        "name",
        "architecture",
        "quantization",
        "file",
        "memory",
    ] {
        let mut document = document();
        document.as_object_mut().unwrap().remove(key);
        assert!(
            read(&document).is_err() && !schema.is_valid(&document),
            "{key}"
        );
    }
    for text in ["", "{", "[]", "null", "\u{feff}{}"] {
        assert_eq!(
            Manifest::from_json(text).unwrap_err().code(),
            "manifest.invalid"
        );
    }
}

#[test]
fn numbers_that_do_not_add_up_are_refused() {
    for (pointer, wrong) in [
        ("/file/bytes", json!(150_001)),
        ("/file/bytes", json!(500_000)),
        ("/file/chunk_bytes", json!(131_072)),
        ("/file/parts/0/bytes", json!(131_071)),
        ("/file/parts/1/bytes", json!(18_929)),
        ("/file/parts/1/bytes", json!(9_007_199_254_740_992_u64)),
    ] {
        let mut document = document();
        *document.pointer_mut(pointer).unwrap() = wrong;
        let error = read(&document).unwrap_err();
        assert_eq!(error.code(), "manifest.invalid", "{pointer}");
    }
}

#[test]
fn a_later_format_is_named() {
    let mut document = document();
    document["version"] = json!(2);
    let error = read(&document).unwrap_err();
    assert_eq!(error.code(), "manifest.unknown_version");
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn a_signature_stands_for_every_member() {
    let signed = signed();
    assert_eq!(signed["signature"]["public_key"], PUBLIC);
    let manifest = read(&signed).unwrap();
    let ours: PublicKey = PUBLIC.parse().unwrap();
    let other: PublicKey = OTHER.parse().unwrap();
    assert_eq!(manifest.trusted(&[other, ours]), Ok(()));
    for keys in [&[][..], &[other]] {
        let error = manifest.trusted(keys).unwrap_err();
        assert_eq!(error.code(), "manifest.untrusted");
        assert!(error.to_string().contains(PUBLIC), "{error}");
    }
    let unsigned = read(&document()).unwrap();
    let error = unsigned.trusted(&[ours]).unwrap_err();
    assert!(error.to_string().contains("not signed"), "{error}");

    // Each change is found: to a value anywhere, by a member more, by one less, in the signature.
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut document = signed.clone();
        change(&mut document);
        read(&document).map_err(|error| error.code())
    };
    let broken = Err("manifest.bad_signature");
    for pointer in [
        "/model_id",
        "/name",
        "/license/text",
        "/license/url",
        "/quantization/vision",
    ] {
        assert_eq!(
            changed(&|d| *d.pointer_mut(pointer).unwrap() = json!("x")),
            broken,
            "{pointer}"
        );
    }
    for pointer in [
        "/memory/cpu",
        "/architecture/parameters",
        "/architecture/language/layers",
    ] {
        assert_eq!(
            changed(&|d| *d.pointer_mut(pointer).unwrap() = json!(1)),
            broken,
            "{pointer}"
        );
    }
    let digest = json!(Digest::of(b"evil"));
    for pointer in ["/file/sha256", "/file/chunks/0", "/file/chunks/2"] {
        assert_eq!(
            changed(&|d| *d.pointer_mut(pointer).unwrap() = digest.clone()),
            broken,
            "{pointer}"
        );
    }
    assert_eq!(changed(&|d| d["self_test"] = json!(null)), broken);
    assert_eq!(changed(&|d| d["unknown"] = json!(1)), broken);
    assert_eq!(
        changed(&|d| drop(d.as_object_mut().unwrap().remove("license"))),
        broken
    );
    assert_eq!(
        changed(&|d| d["signature"]["public_key"] = json!(OTHER)),
        broken
    );
    assert_eq!(
        changed(&|d| d["signature"]["public_key"] = json!("00")),
        broken
    );
    assert_eq!(
        changed(&|d| d["signature"]["algorithm"] = json!("none")),
        broken
    );
    for bit in 0..512 {
        let flip = |document: &mut Value| {
            let value = document["signature"]["value"].as_str().unwrap();
            let mut digits: Vec<u8> = value.bytes().collect();
            let digit = &mut digits[bit / 4];
            let number = (*digit as char).to_digit(16).unwrap() ^ 1 << (bit % 4);
            *digit = char::from_digit(number, 16).unwrap() as u8;
            document["signature"]["value"] = json!(String::from_utf8(digits).unwrap());
        };
        assert_eq!(changed(&flip), broken, "bit {bit}");
    }
}

#[test]
fn layout_does_not_matter_to_a_signature() {
    let signed = signed();
    let pretty = serde_json::to_string_pretty(&signed).unwrap();
    assert!(Manifest::from_json(&pretty).is_ok());
    assert!(Manifest::from_json(&signed.to_string()).is_ok());
}

#[test]
fn keys_are_read_or_refused() {
    assert_eq!(
        SecretKey::from_pem(KEY).unwrap().public().to_string(),
        PUBLIC
    );
    for wrong in [
        "",
        "key",
        &KEY.replace("MC4", "MC5"),
        &KEY.replace("PRIVATE", "PUBLIC"),
    ] {
        let error = SecretKey::from_pem(wrong).err().unwrap();
        assert_eq!(error.code(), "manifest.bad_key");
    }
    for wrong in ["", "00", &PUBLIC[2..], &PUBLIC.to_uppercase()] {
        assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
    }
}

#[test]
fn bytes_have_one_place_in_a_store() {
    let id = |change: &dyn Fn(&mut Value)| {
        let mut document = document();
        change(&mut document);
        read(&document).unwrap().content_id()
    };
    let plain = id(&|_| {});
    assert_eq!(plain.len(), 64);
    assert_eq!(id(&|d| d["name"] = json!("other")), plain);
    assert_eq!(
        id(&|d| d["file"]["sha256"] = json!(Digest::of(b"a lie"))),
        plain
    );
    assert_ne!(
        id(&|d| d["file"]["chunks"][1] = json!(Digest::of(b"x"))),
        plain
    );
}
