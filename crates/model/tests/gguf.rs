//! The GGUF reader on files made by the writer, by hand, and by malice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;

use llavaguard_backend::DType;
use llavaguard_model::ModelConfig;
use llavaguard_model::gguf::{
    Array, ByteSource, Gguf, GgufError, Metadata, SourceError, TensorSpec, Value, Writer,
};

/// Bytes of a file, put together as the format's description says.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn header(version: u32, tensors: u64, keys: u64) -> Self {
        Bytes(b"GGUF".to_vec()).u32(version).u64(tensors).u64(keys)
    }

    fn u32(mut self, x: u32) -> Self {
        self.0.extend(x.to_le_bytes());
        self
    }

    fn u64(mut self, x: u64) -> Self {
        self.0.extend(x.to_le_bytes());
        self
    }

    fn text(self, text: &str) -> Self {
        let mut new = self.u64(text.len() as u64);
        new.0.extend(text.as_bytes());
        new
    }

    fn tensor(self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let new = self.text(name).u32(dims.len() as u32);
        dims.iter()
            .fold(new, |new, &side| new.u64(side))
            .u32(kind)
            .u64(offset)
    }

    /// Pads to 32 and appends `len` bytes of data.
    fn data(mut self, len: usize) -> Vec<u8> {
        let start = self.0.len().next_multiple_of(32);
        self.0.resize(start, 0);
        self.0.extend((0..len).map(|i| i as u8));
        self.0
    }
}

fn open(bytes: &[u8]) -> Result<Gguf, GgufError> {
    Gguf::open(&mut &*bytes)
}

fn code(bytes: &[u8]) -> &'static str {
    open(bytes).unwrap_err().code()
}

/// A file with every kind of value and two tensors, by the writer.
fn sample() -> (Metadata, Vec<u8>) {
    let mut metadata = Metadata::new();
    let nested = Array::Array(vec![Array::U8(vec![1, 2]), Array::String(vec!["x".into()])]);
    for (key, value) in [
        ("u8", Value::U8(250)),
        ("i8", Value::I8(-5)),
        ("u16", Value::U16(65_000)),
        ("i16", Value::I16(-30_000)),
        ("u32", Value::U32(4_000_000_000)),
        ("i32", Value::I32(-2_000_000_000)),
        ("f32", Value::F32(1.5)),
        ("bool", Value::Bool(true)),
        ("string", Value::String("Zeichen: ß, 字".into())),
        ("u64", Value::U64(u64::MAX)),
        ("i64", Value::I64(i64::MIN)),
        ("f64", Value::F64(-0.1)),
        ("floats", Value::Array(Array::F32(vec![0.5, -0.5, 2.0]))),
        ("ints", Value::Array(Array::I32(vec![-1, 0, 1]))),
        ("bools", Value::Array(Array::Bool(vec![true, false]))),
        ("nested", Value::Array(nested)),
        ("empty", Value::Array(Array::U64(vec![]))),
    ] {
        metadata.set(key, value);
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("sample.gguf");
    let specs = [
        TensorSpec {
            name: "a".into(),
            shape: vec![3, 5],
            dtype: DType::F32,
        },
        TensorSpec {
            name: "b".into(),
            shape: vec![2, 64],
            dtype: DType::Q8_0,
        },
        TensorSpec {
            name: "c".into(),
            shape: vec![7],
            dtype: DType::F16,
        },
    ];
    let mut writer = Writer::create(&out, &metadata, &specs).unwrap();
    for (spec, fill) in specs.iter().zip([1_u8, 2, 3]) {
        writer.begin(&spec.name).unwrap();
        let bytes = spec.bytes().unwrap() as usize;
        writer.write(&vec![fill; bytes / 2]).unwrap();
        writer.write(&vec![fill; bytes - bytes / 2]).unwrap();
    }
    writer.finish().unwrap();
    (metadata, std::fs::read(out).unwrap())
}

#[test]
fn what_is_written_is_read() {
    let (metadata, bytes) = sample();
    let gguf = open(&bytes).unwrap();
    for (key, value) in metadata.iter() {
        assert_eq!(gguf.metadata().value(key), Some(value), "{key}");
    }
    assert_eq!((gguf.version(), gguf.alignment()), (3, 32));
    let verified = gguf.verify(&mut bytes.as_slice(), &mut |_, _| ControlFlow::Continue(()));
    assert!(verified.unwrap().is_continue());
    for (name, shape, dtype, len, fill) in [
        ("a", vec![3, 5], DType::F32, 60, 1),
        ("b", vec![2, 64], DType::Q8_0, 136, 2),
        ("c", vec![7], DType::F16, 14, 3),
    ] {
        let tensor = gguf.expect(name, &shape).unwrap();
        assert_eq!((tensor.dtype, tensor.bytes), (dtype, len));
        assert_eq!(tensor.offset % 32, 0);
        let data = gguf.read(&mut bytes.as_slice(), tensor).unwrap();
        assert_eq!(data, vec![fill; len as usize]);
    }
    assert_eq!(
        gguf.expect("a", &[5, 3]).unwrap_err().code(),
        "model.wrong_shape"
    );
    assert_eq!(
        gguf.expect("d", &[5, 3]).unwrap_err().code(),
        "model.missing_tensor"
    );
}

#[test]
fn values_are_asked_for_by_type() {
    let (_, bytes) = sample();
    let gguf = open(&bytes).unwrap();
    let keys = gguf.metadata();
    assert_eq!(keys.get::<u32>("u8").unwrap(), 250);
    assert_eq!(keys.get::<u64>("u32").unwrap(), 4_000_000_000);
    assert_eq!(keys.get::<f32>("f32").unwrap(), 1.5);
    assert_eq!(keys.get::<&[f32]>("floats").unwrap(), [0.5, -0.5, 2.0]);
    assert_eq!(keys.get::<&[i32]>("ints").unwrap(), [-1, 0, 1]);
    assert_eq!(keys.find::<u32>("absent").unwrap(), None);
    assert_eq!(
        keys.get::<u32>("absent").unwrap_err().code(),
        "model.missing_key"
    );
    for error in [
        keys.get::<u32>("i8").unwrap_err(),
        keys.get::<u32>("u64").unwrap_err(),
        keys.get::<u32>("string").unwrap_err(),
        keys.get::<&str>("u8").unwrap_err(),
        keys.get::<f32>("nested").unwrap_err(),
        keys.get::<bool>("u8").unwrap_err(),
        keys.find::<&[f32]>("ints").map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.code(), "model.wrong_key", "{error}");
    }
    let text = keys.get::<u32>("i8").unwrap_err().to_string();
    assert!(
        text.contains("i8") && text.contains("-5") && text.contains("unsigned"),
        "{text}"
    );
}

#[test]
fn a_file_made_by_hand_is_read() {
    for version in [2, 3] {
        let bytes = Bytes::header(version, 2, 2)
            .text("general.architecture")
            .u32(8)
            .text("llava-onevision")
            .text("general.alignment")
            .u32(4)
            .u32(64)
            .tensor("first", &[32, 2], 2, 0)
            .tensor("second", &[3], 0, 64);
        let start = bytes.0.len().next_multiple_of(64);
        let mut file = bytes.0;
        file.resize(start, 0);
        file.extend((0..76).map(|i| i as u8));
        let gguf = open(&file).unwrap();
        let first = gguf.tensor("first").unwrap();
        assert_eq!(
            (first.shape.as_slice(), first.dtype),
            ([2, 32].as_slice(), DType::Q4_0)
        );
        assert_eq!((first.offset, first.bytes), (start as u64, 36));
        let second = gguf.tensor("second").unwrap();
        let data = gguf.read(&mut file.as_slice(), second).unwrap();
        assert_eq!(data, (64..76).collect::<Vec<u8>>());
    }
}

#[test]
fn each_fault_has_its_error() {
    assert_eq!(code(b""), "model.not_gguf");
    assert_eq!(code(b"GG"), "model.not_gguf");
    assert_eq!(
        code(b"\x89PNG\r\n\x1a\n this is a picture"),
        "model.not_gguf"
    );
    assert_eq!(
        code(&Bytes::header(1, 0, 0).data(0)),
        "model.unsupported_version"
    );
    assert_eq!(
        code(&Bytes::header(4, 0, 0).data(0)),
        "model.unsupported_version"
    );
    let big_endian = open(&Bytes::header(3_u32.swap_bytes(), 0, 0).data(0)).unwrap_err();
    assert!(big_endian.to_string().contains("big-endian"));
    let name = |key: &str, id: u32| Bytes::header(3, 0, 1).text(key).u32(id);
    assert_eq!(code(&name("k", 13).u64(0).data(0)), "model.damaged");
    assert_eq!(
        code(&name("k", 7).u32(2).data(64)),
        "model.damaged",
        "a bool of 2"
    );
    let twice = Bytes::header(3, 0, 2)
        .text("k")
        .u32(4)
        .u32(1)
        .text("k")
        .u32(4)
        .u32(1);
    assert_eq!(code(&twice.data(0)), "model.damaged");
    let mut not_text = name("k", 8).text("abcd");
    *not_text.0.last_mut().unwrap() = 0xff;
    assert_eq!(code(&not_text.data(0)), "model.damaged");
    assert_eq!(
        code(&name("general.alignment", 4).u32(24).data(0)),
        "model.wrong_key"
    );
    assert_eq!(
        code(&name("general.alignment", 4).u32(0).data(0)),
        "model.wrong_key"
    );

    let one = |dims: &[u64], kind, offset| {
        Bytes::header(3, 1, 0)
            .tensor("t", dims, kind, offset)
            .data(256)
    };
    assert!(open(&one(&[4, 4], 0, 0)).is_ok());
    assert_eq!(code(&one(&[4, 0], 0, 0)), "model.damaged", "an empty side");
    assert_eq!(code(&one(&[], 0, 0)), "model.damaged");
    assert_eq!(code(&one(&[1, 1, 1, 1, 1], 0, 0)), "model.damaged");
    assert_eq!(
        code(&one(&[33, 4], 8, 0)),
        "model.damaged",
        "a ragged row of blocks"
    );
    assert_eq!(code(&one(&[1 << 40, 1 << 40], 0, 0)), "model.damaged");
    assert_eq!(
        code(&one(&[4, 4], 0, 8)),
        "model.damaged",
        "off the alignment"
    );
    assert_eq!(code(&one(&[4, 4], 0, u64::MAX - 31)), "model.damaged");
    assert_eq!(code(&one(&[4, 4], 0, 256)), "model.truncated");
    assert_eq!(code(&one(&[4, 17], 0, 0)), "model.truncated");
    let error = open(&one(&[256], 12, 0)).unwrap_err();
    assert_eq!(error.code(), "model.unsupported_format");
    assert!(error.to_string().contains("q4_K") && error.to_string().contains("tensor t"));
    assert!(
        open(&one(&[256], 4711, 0))
            .unwrap_err()
            .to_string()
            .contains("4711")
    );

    let two = |second: &str, offset| {
        Bytes::header(3, 2, 0)
            .tensor("t", &[16], 0, 0)
            .tensor(second, &[16], 0, offset)
            .data(256)
    };
    assert!(open(&two("u", 64)).is_ok());
    assert_eq!(code(&two("u", 32)), "model.damaged", "overlap");
    assert_eq!(code(&two("t", 64)), "model.damaged", "twice the same name");
}

#[test]
fn what_is_cut_off_is_counted() {
    let bytes = Bytes::header(3, 1, 0).tensor("t", &[16, 4], 0, 0).data(256);
    let whole = bytes.len() as u64;
    match open(&bytes[..bytes.len() - 56]).unwrap_err() {
        GgufError::Truncated {
            needed,
            available,
            what,
        } => {
            assert_eq!((needed, available), (whole, whole - 56));
            assert!(what.contains('t'));
        }
        other => panic!("{other}"),
    }
}

/// A file of whatever length it claims, zero after its first bytes.
struct Claims {
    len: u64,
    start: Vec<u8>,
    read: u64,
}

impl ByteSource for Claims {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        self.read += buf.len() as u64;
        for (at, byte) in (offset..).zip(buf) {
            *byte = self.start.get(at as usize).copied().unwrap_or(0);
        }
        Ok(())
    }
}

#[test]
fn claims_of_size_are_not_believed() {
    let huge = [
        Bytes::header(3, u64::MAX, 0),
        Bytes::header(3, 0, u64::MAX),
        Bytes::header(3, 1 << 40, 1 << 40),
        Bytes::header(3, 0, 1).u64(u64::MAX),
        Bytes::header(3, 0, 1).u64(1 << 40),
        Bytes::header(3, 0, 1).text("k").u32(8).u64(1 << 40),
        Bytes::header(3, 0, 1).text("k").u32(9).u32(0).u64(u64::MAX),
        Bytes::header(3, 0, 1)
            .text("k")
            .u32(9)
            .u32(10)
            .u64(u64::MAX / 8),
        Bytes::header(3, 0, 1).text("k").u32(9).u32(8).u64(1 << 50),
        Bytes::header(3, 0, 1).text("k").u32(9).u32(9).u64(1 << 50),
    ];
    for (index, start) in huge.into_iter().enumerate() {
        let bytes = start.data(64);
        assert!(open(&bytes).is_err(), "claim {index}");
        // The same in a file that says it is long enough: limits, not memory, must stop it.
        let mut source = Claims {
            len: 1 << 60,
            start: bytes,
            read: 0,
        };
        let code = Gguf::open(&mut source).unwrap_err().code();
        assert!(
            ["model.damaged", "model.truncated"].contains(&code),
            "claim {index}: {code}"
        );
        assert!(source.read <= 2 << 20, "claim {index} read {}", source.read);
    }
    // Arrays in arrays in arrays.
    let mut deep = Bytes::header(3, 0, 1).text("k").u32(9);
    for _ in 0..10_000 {
        deep = deep.u32(9).u64(1);
    }
    assert_eq!(code(&deep.u32(0).u64(0).data(0)), "model.damaged");
}

/// Opens, and where that succeeds reads all there is: whatever the bytes, no panic.
fn exercise(bytes: &[u8]) -> Result<(), GgufError> {
    let gguf = open(bytes)?;
    let mut source = bytes;
    for tensor in gguf.tensors() {
        let data = gguf.read(&mut source, tensor)?;
        assert_eq!(data.len() as u64, tensor.bytes);
    }
    ModelConfig::from_gguf(&gguf)?;
    Ok(())
}

#[test]
fn no_change_of_a_byte_makes_it_panic() {
    let (_, sample) = sample();
    let target = tempfile::tempdir().unwrap();
    let out = target.path().join("model.gguf");
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/models/blocks");
    let options = llavaguard_model::convert::ConvertOptions::new(DType::Q8_0);
    llavaguard_model::convert::convert(&folder, &out, &options, &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let model = std::fs::read(&out).unwrap();
    exercise(&model).unwrap();
    let header = open(&model).unwrap().data_start() as usize;
    // Every byte of the small file's header; of the model's, all but the long tokeniser text.
    let tokenizer = model
        .windows(10)
        .position(|w| w == b"{\"version\"")
        .unwrap();
    let of_model = (0..tokenizer).chain(tokenizer + 6000..header);
    for (bytes, places) in [
        (&sample, (0..sample.len()).collect::<Vec<_>>()),
        (&model, of_model.collect()),
    ] {
        for at in places {
            let mut changed = bytes.clone();
            for value in [
                0x00,
                0x01,
                0x7f,
                0xff,
                bytes[at] ^ 0x80,
                bytes[at].wrapping_add(1),
            ] {
                changed[at] = value;
                let _ = exercise(&changed);
            }
        }
    }
    for cut in 0..sample.len() {
        let result = exercise(&sample[..cut]);
        let error = result.expect_err("a cut file");
        assert!(
            ["model.truncated", "model.not_gguf"].contains(&error.code())
                || cut > sample.len() - 32,
            "cut at {cut}: {error}"
        );
    }
    for cut in (0..header).step_by(97) {
        assert!(exercise(&model[..cut]).is_err());
    }
}

#[test]
fn the_writer_keeps_to_its_plan() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let spec = |name: &str, shape: &[usize], dtype| TensorSpec {
        name: name.into(),
        shape: shape.to_vec(),
        dtype,
    };
    let ragged = Writer::create(&out, &Metadata::new(), &[spec("t", &[2, 33], DType::Q4_0)]);
    assert_eq!(ragged.unwrap_err().code(), "output.bad_shape");

    let specs = [spec("t", &[2], DType::F32), spec("u", &[2], DType::F32)];
    let start = || Writer::create(&out, &Metadata::new(), &specs).unwrap();
    let mut writer = start();
    assert_eq!(writer.write(&[0]).unwrap_err().code(), "output.bad_plan");
    assert_eq!(writer.begin("u").unwrap_err().code(), "output.bad_plan");
    writer.begin("t").unwrap();
    assert_eq!(writer.write(&[0; 9]).unwrap_err().code(), "output.bad_plan");
    writer.write(&[0; 7]).unwrap();
    assert_eq!(writer.begin("u").unwrap_err().code(), "output.bad_plan");
    writer.write(&[0; 1]).unwrap();
    writer.begin("u").unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), "output.bad_plan");
    let mut writer = start();
    writer.begin("t").unwrap();
    writer.write(&[0; 8]).unwrap();
    assert_eq!(writer.finish().unwrap_err().code(), "output.bad_plan");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn verifying_can_be_stopped() {
    let (_, bytes) = sample();
    let gguf = open(&bytes).unwrap();
    let mut told = Vec::new();
    let stopped = gguf.verify(&mut bytes.as_slice(), &mut |done, total| {
        told.push((done, total));
        ControlFlow::Break(())
    });
    assert!(stopped.unwrap().is_break());
    let [(done, total)] = told.as_slice() else {
        panic!("told {told:?}");
    };
    assert!(*done > 0 && done <= total);
}
