//! Numbers, texts and bytes as the harness writes them: big endian, as Java's `DataOutput` has them, with
//! four bytes of length before a text or bytes.

use millstream_record::{Error, Result};

/// Appends values to bytes.
#[derive(Debug, Default)]
pub(crate) struct WireWriter(pub(crate) Vec<u8>);

impl WireWriter {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    pub(crate) fn int(&mut self, value: impl TryInto<i32>) {
        let value = value.try_into().unwrap_or(i32::MAX);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn long(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.int(value.len());
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// A number of items, then each of them.
    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let items = items.into_iter();
        self.int(items.len());
        items.for_each(|item| write(self, item));
    }
}

/// Takes values from the front of bytes.
#[derive(Clone, Debug)]
pub(crate) struct WireReader<'a>(pub(crate) &'a [u8]);

impl<'a> WireReader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*value)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        self.byte().map(|byte| byte != 0)
    }

    pub(crate) fn int(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// An `int` that is a small number: of a stage, a subtask, an edge, a key group.
    pub(crate) fn number<T: TryFrom<i32>>(&mut self) -> Result<T> {
        let value = self.int()?;
        T::try_from(value).map_err(|_| Error::bug(format!("the harness sent {value} for a small number")))
    }

    pub(crate) fn long(&mut self) -> Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let length: usize = self.number()?;
        let (value, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(value)
    }

    /// Bytes that may be absent.
    pub(crate) fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        if self.0.starts_with(&(-1_i32).to_be_bytes()) {
            return self.int().map(|_| None);
        }
        self.bytes().map(Some)
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes)
            .map_err(|error| Error::bug("the harness sent a text that is not UTF-8").caused_by(error))
    }

    /// As many items as the number before them says.
    pub(crate) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count: usize = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }
}

fn cut() -> Error {
    Error::bug("a message of the harness ends too early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = WireWriter::default();
        writer.bool(true);
        writer.long(-7);
        writer.list(["a", "ü"], WireWriter::text);
        let bytes = writer.0;
        let mut reader = WireReader(&bytes);
        assert!(reader.bool().unwrap());
        assert_eq!(reader.long().unwrap(), -7);
        assert_eq!(reader.list(WireReader::text).unwrap(), ["a", "ü"]);
        assert!(reader.byte().unwrap_err().chain().contains("ends too early"));
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert!(WireReader(&[0, 0, 0, 9, 1]).bytes().is_err());
        assert!(WireReader(&[255, 255, 255, 255]).bytes().is_err());
    }
}
