//! A model file written anew with other metadata, its tensors byte by byte as they were.

use std::ops::ControlFlow;
use std::path::Path;

use super::error::ConvertError;
use super::model_file::{open, verify};
use crate::emit::Progress;
use crate::gguf::{ByteSource, Metadata, TensorInfo, TensorSpec, Writer};

/// Bytes copied at once.
const PIECE: usize = 1 << 20;

/// Writes the model file `file` anew, in its place, with metadata as `change` makes it. The weights are
/// compared with the digest in the file first: a damaged file would otherwise come out with a new digest
/// that calls it whole.
///
/// `progress` is called after every tensor, and with nothing done while the digest is checked; it may
/// stop the work. Whatever goes wrong, `file` is the old one or the new one.
pub fn rewrite(
    file: &Path,
    change: impl FnOnce(&mut Metadata),
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<(), ConvertError> {
    let (gguf, mut source) = open(file)?;
    verify(&gguf, &mut source, file, progress)?;

    let mut metadata = gguf.metadata().clone();
    change(&mut metadata);
    let specs: Vec<TensorSpec> = gguf.tensors().iter().map(spec).collect();
    let mut writer = Writer::create(file, &metadata, &specs)?;
    let total_bytes = gguf.tensors().iter().map(|tensor| tensor.bytes).sum();
    let mut done_bytes = 0;
    let mut buffer = vec![0; PIECE];
    for (done, tensor) in (1..).zip(gguf.tensors()) {
        writer.begin(&tensor.name)?;
        let end = tensor.offset + tensor.bytes;
        for at in (tensor.offset..end).step_by(PIECE) {
            let take = (end - at).min(PIECE as u64) as usize;
            let piece = buffer.get_mut(..take).unwrap_or_default();
            source
                .read_at(at, piece)
                .map_err(|error| ConvertError::ModelFile {
                    path: file.to_owned(),
                    error: error.into(),
                })?;
            writer.write(piece)?;
        }
        done_bytes += tensor.bytes;
        let step = Progress {
            tensor: &tensor.name,
            done,
            total: specs.len(),
            done_bytes,
            total_bytes,
        };
        if progress(step).is_break() {
            return Err(ConvertError::Cancelled);
        }
    }
    // Some systems replace no file that is open.
    drop(source);
    Ok(writer.finish()?)
}

fn spec(tensor: &TensorInfo) -> TensorSpec {
    TensorSpec {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype: tensor.dtype,
    }
}
