use crate::error::ImageError;
use crate::sniff::Format;

/// A cursor over a file's bytes. Reading past the end is [`ImageError::Truncated`].
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    format: Format,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], position: usize, format: Format) -> Self {
        Self {
            bytes,
            position,
            format,
        }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// The next `count` bytes; `what` names them in the error.
    pub fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], ImageError> {
        let end = self.position.checked_add(count);
        match end.and_then(|end| self.bytes.get(self.position..end)) {
            Some(taken) => {
                self.position += count;
                Ok(taken)
            }
            None => Err(ImageError::truncated(
                self.format,
                format!(
                    "{what} at byte {} reach past the end at {}",
                    self.position,
                    self.bytes.len()
                ),
            )),
        }
    }

    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ImageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8, ImageError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn u16_be(&mut self, what: &str) -> Result<u16, ImageError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub fn u16_le(&mut self, what: &str) -> Result<u16, ImageError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn u32_be(&mut self, what: &str) -> Result<u32, ImageError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub fn u32_le(&mut self, what: &str) -> Result<u32, ImageError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }
}
