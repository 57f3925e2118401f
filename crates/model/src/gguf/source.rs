//! Where the bytes of a file come from.

/// Random access to the bytes of a model file: a file on disk, a slice in memory, a `Blob` in a page.
pub trait ByteSource {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Fills `buf` with the bytes that start at `offset`.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError>;

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A read that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The range is not inside the source.
    #[error("bytes {offset}..+{wanted} are past the end of a file of {len} bytes")]
    OutOfBounds {
        /// First byte asked for.
        offset: u64,
        /// How many were asked for.
        wanted: u64,
        /// How many the source has.
        len: u64,
    },
    /// The medium failed.
    #[error("reading {wanted} bytes at {offset} failed: {detail}")]
    Io {
        /// First byte asked for.
        offset: u64,
        /// How many were asked for.
        wanted: u64,
        /// What the system said.
        detail: String,
    },
}

impl SourceError {
    /// Stable dotted code.
    pub fn code(&self) -> &'static str {
        match self {
            SourceError::OutOfBounds { .. } => "model.truncated",
            SourceError::Io { .. } => "model.unreadable",
        }
    }
}

/// `Ok` where `offset..offset + wanted` lies inside `len` bytes.
fn check_range(offset: u64, wanted: usize, len: u64) -> Result<(), SourceError> {
    let wanted = wanted as u64;
    match offset.checked_add(wanted) {
        Some(end) if end <= len => Ok(()),
        _ => Err(SourceError::OutOfBounds {
            offset,
            wanted,
            len,
        }),
    }
}

impl ByteSource for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        check_range(offset, buf.len(), ByteSource::len(self))?;
        let from = usize::try_from(offset).ok();
        match from.and_then(|from| self.get(from..from.checked_add(buf.len())?)) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => {
                let (wanted, len) = (buf.len() as u64, ByteSource::len(self));
                return Err(SourceError::OutOfBounds {
                    offset,
                    wanted,
                    len,
                });
            }
        }
        Ok(())
    }
}

/// A file on disk, read by seeking (never mapped: mapped pages count as this process's memory).
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct FileSource {
    file: std::fs::File,
    len: u64,
}

#[cfg(not(target_arch = "wasm32"))]
impl FileSource {
    /// Opens `path` for reading.
    pub fn open(path: &std::path::Path) -> std::io::Result<Self> {
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
        }
        Ok(FileSource {
            len: metadata.len(),
            file,
        })
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl ByteSource for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), SourceError> {
        use std::io::{Read, Seek, SeekFrom};
        check_range(offset, buf.len(), self.len)?;
        let wanted = buf.len() as u64;
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(buf))
            .map_err(|error| SourceError::Io {
                offset,
                wanted,
                detail: error.to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &mut dyn ByteSource) {
        assert_eq!(source.len(), 10);
        let mut buf = [0; 4];
        source.read_at(6, &mut buf).unwrap();
        assert_eq!(buf, [6, 7, 8, 9]);
        source.read_at(0, &mut buf).unwrap();
        assert_eq!(buf, [0, 1, 2, 3]);
        source.read_at(10, &mut []).unwrap();
        for offset in [7, 10, 11, u64::MAX - 1, u64::MAX] {
            let error = source.read_at(offset, &mut buf).unwrap_err();
            assert_eq!(
                error,
                SourceError::OutOfBounds {
                    offset,
                    wanted: 4,
                    len: 10
                }
            );
        }
    }

    #[test]
    fn a_slice_and_a_file_read_alike() {
        let bytes: Vec<u8> = (0..10).collect();
        check(&mut bytes.as_slice());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        check(&mut FileSource::open(file.path()).unwrap());
        assert!(FileSource::open(std::env::temp_dir().as_path()).is_err());
    }
}
