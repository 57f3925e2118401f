//! Random weights made on the fly, so that no file and no second copy of them exists.
//!
//! How fast a forward pass runs does not depend on the weights' values, as long as nothing becomes
//! infinite, not a number or denormal. So gains are 1 and all else is uniform and about as large as a
//! trained weight.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, SeekFrom};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value, VersionedMagic};
use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::Init;
use candle_nn::var_builder::{SimpleBackend, VarBuilderArgs};

/// Largest absolute value of a weight.
const SPREAD: f32 = 0.03;

/// Bits of the 16-bit scale with which a block's largest value is about [`SPREAD`]: 2^-12 with
/// integers up to 127, 2^-8 with integers up to 8.
const Q8_0_SCALE: u16 = 0x0C00;
const Q4_0_SCALE: u16 = 0x1C00;

/// A xorshift generator (Marsaglia 2003).
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform in `-spread..spread`.
    pub fn uniform(&mut self, spread: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * spread
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        (self.next() >> 33) as u32 % end
    }
}

/// Whether a tensor multiplies what was normalised: those start from 1.
fn is_gain(name: &str) -> bool {
    name.ends_with("norm.weight") || name.contains("layer_norm") && name.ends_with("weight")
}

/// Fills `out` with the stored form of random values.
fn fill(dtype: GgmlDType, gain: bool, random: &mut Random, out: &mut [u8]) -> io::Result<()> {
    let blocks = |scale: u16, random: &mut Random, out: &mut [u8]| {
        for block in out.chunks_mut(dtype.type_size()) {
            let (head, quants) = block.split_at_mut(2);
            head.copy_from_slice(&scale.to_le_bytes());
            for bytes in quants.chunks_mut(8) {
                bytes.copy_from_slice(&random.next().to_le_bytes()[..bytes.len()]);
            }
        }
    };
    match dtype {
        GgmlDType::F32 => {
            for bytes in out.chunks_exact_mut(4) {
                let value = if gain { 1.0 } else { random.uniform(SPREAD) };
                bytes.copy_from_slice(&value.to_le_bytes());
            }
        }
        GgmlDType::Q8_0 => blocks(Q8_0_SCALE, random, out),
        GgmlDType::Q4_0 => blocks(Q4_0_SCALE, random, out),
        other => {
            let message = format!("no random weights in {other:?}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}

/// A GGUF file that is never written: its header for candle's loader, and a reader that makes up
/// each tensor when it is read.
pub struct RandomGguf {
    metadata: HashMap<String, Value>,
    infos: HashMap<String, TensorInfo>,
    reader: RandomReader,
}

impl RandomGguf {
    /// A file with these metadata and no tensor yet.
    pub fn new(metadata: HashMap<String, Value>) -> RandomGguf {
        RandomGguf {
            metadata,
            infos: HashMap::new(),
            reader: RandomReader {
                tensors: BTreeMap::new(),
                len: 0,
                position: 0,
                random: Random::new(1),
            },
        }
    }

    /// Adds a tensor, its dimensions as in candle: rows first.
    pub fn add(&mut self, name: String, shape: impl Into<Shape>, dtype: GgmlDType) {
        let shape = shape.into();
        let bytes = shape.elem_count() / dtype.block_size() * dtype.type_size();
        let offset = self.reader.len;
        self.reader.len += bytes as u64;
        self.reader.tensors.insert(offset, (dtype, is_gain(&name)));
        let info = TensorInfo {
            ggml_dtype: dtype,
            shape,
            offset,
        };
        self.infos.insert(name, info);
    }

    /// What candle's loaders take.
    pub fn into_parts(self) -> (Content, RandomReader) {
        let content = Content {
            magic: VersionedMagic::GgufV3,
            metadata: self.metadata,
            tensor_infos: self.infos,
            tensor_data_offset: 0,
        };
        (content, self.reader)
    }
}

/// Makes up tensors as they are read, each in one piece from its start.
pub struct RandomReader {
    /// Formats of the tensors by their offset.
    tensors: BTreeMap<u64, (GgmlDType, bool)>,
    len: u64,
    position: u64,
    random: Random,
}

impl Read for RandomReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (dtype, gain) = *self.tensors.get(&self.position).ok_or_else(|| {
            let message = format!("no tensor begins at byte {}", self.position);
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        fill(dtype, gain, &mut self.random, out)?;
        self.position += out.len() as u64;
        Ok(out.len())
    }
}

impl Seek for RandomReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(position) => (0, position as i64),
            SeekFrom::End(offset) => (self.len, offset),
            SeekFrom::Current(offset) => (self.position, offset),
        };
        self.position = base
            .checked_add_signed(offset)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Random f32 weights for candle's [`VarBuilder`](candle_nn::VarBuilder).
struct RandomBackend;

/// A builder that makes up each tensor when it is asked for.
pub fn var_builder(device: &Device) -> candle_nn::VarBuilder<'static> {
    VarBuilderArgs::new_with_args(Box::new(RandomBackend), DType::F32, device)
}

/// A tensor of random values, the same ones for the same name.
pub fn tensor(shape: impl Into<Shape>, name: &str, device: &Device) -> Result<Tensor> {
    let shape = shape.into();
    let mut random = Random::new(name.bytes().fold(1, |hash: u64, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    }));
    let gain = is_gain(name);
    let values = (0..shape.elem_count())
        .map(|_| if gain { 1.0 } else { random.uniform(SPREAD) })
        .collect();
    Tensor::from_vec::<_, f32>(values, shape, device)
}

impl SimpleBackend for RandomBackend {
    fn get(&self, s: Shape, name: &str, _: Init, _: DType, dev: &Device) -> Result<Tensor> {
        tensor(s, name, dev)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("the shape of {name} was not told")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_the_size_of_trained_ones_in_every_format() {
        let device = Device::Cpu;
        for dtype in [GgmlDType::F32, GgmlDType::Q8_0, GgmlDType::Q4_0] {
            let mut file = RandomGguf::new(HashMap::new());
            file.add("a.weight".to_owned(), (64, 96), dtype);
            file.add("b_norm.weight".to_owned(), 96, GgmlDType::F32);
            let (content, mut reader) = file.into_parts();
            let mut read = |name: &str| {
                let tensor = content.tensor(&mut reader, name, &device).unwrap();
                let values = tensor.dequantize(&device).unwrap();
                values.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert_eq!(read("b_norm.weight"), [1.0; 96]);
            let values = read("a.weight");
            let largest = values.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            assert!((0.028..0.032).contains(&largest), "{largest} in {dtype:?}");
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            assert!(mean.abs() < 2e-3, "{mean} in {dtype:?}");
        }
    }
}
