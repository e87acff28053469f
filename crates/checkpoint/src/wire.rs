//! Numbers, texts and bytes as Java's `DataOutput` writes them: big endian. The harness of the Flink driver
//! puts four bytes of length before a text or bytes.

use millstream_record::{Error, Result};

/// Appends values to bytes.
#[derive(Debug, Default)]
pub struct WireWriter(pub Vec<u8>);

impl WireWriter {
    /// One byte.
    pub fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    /// Four bytes.
    pub fn int(&mut self, value: impl TryInto<i32>) {
        let value = value.try_into().unwrap_or(i32::MAX);
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes.
    pub fn long(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes.
    pub fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Bytes behind their length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.int(value.len());
        self.0.extend_from_slice(value);
    }

    /// A text as bytes of UTF-8.
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// A number of items, then each of them.
    pub fn list<T>(
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
pub struct WireReader<'a>(pub &'a [u8]);

impl<'a> WireReader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*value)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn byte(&mut self) -> Result<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// One byte as a truth value.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn bool(&mut self) -> Result<bool> {
        self.byte().map(|byte| byte != 0)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn int(&mut self) -> Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// An `int` that is a small number: of a stage, a subtask, an edge, a key group.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for another number, and where the bytes end
    /// before.
    pub fn number<T: TryFrom<i32>>(&mut self) -> Result<T> {
        let value = self.int()?;
        T::try_from(value).map_err(|_| Error::data(format!("{value} stands where a smaller number belongs")))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn long(&mut self) -> Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    /// So many bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn exactly(&mut self, length: usize) -> Result<&'a [u8]> {
        let (value, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(value)
    }

    /// Bytes behind their length.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.number()?;
        self.exactly(length)
    }

    /// Bytes that may be absent.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where the bytes end before.
    pub fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        if self.0.starts_with(&(-1_i32).to_be_bytes()) {
            return self.int().map(|_| None);
        }
        self.bytes().map(Some)
    }

    /// A text.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) where it is not UTF-8, or the bytes end
    /// before.
    pub fn text(&mut self) -> Result<String> {
        let bytes = self.bytes()?.to_vec();
        String::from_utf8(bytes).map_err(|error| Error::data("a text is not UTF-8").caused_by(error))
    }

    /// A text as `DataOutput.writeUTF` writes it: behind two bytes of length, and with surrogates instead of
    /// characters of four bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for what is no text, and where the bytes end
    /// before.
    pub fn java_text(&mut self) -> Result<String> {
        let length = u16::from_be_bytes(self.take()?);
        let bytes = self.exactly(usize::from(length))?;
        let units = java_units(bytes).ok_or_else(|| Error::data("a text of Java is damaged"))?;
        String::from_utf16(&units).map_err(|error| Error::data("a text of Java is damaged").caused_by(error))
    }

    /// As many items as the number before them says.
    ///
    /// # Errors
    /// Returns the errors of `read`, and an error where the bytes end before.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count: usize = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }
}

/// The UTF-16 units that Java's own form of UTF-8 encodes, one unit in one to three bytes.
fn java_units(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(bytes.len());
    let low = |byte: u8| (byte & 0xc0 == 0x80).then_some(u16::from(byte & 0x3f));
    while let [first, rest @ ..] = bytes {
        let high = u16::from(*first);
        let (unit, rest) = match (first >> 4, rest) {
            (0..8, rest) => (high, rest),
            (0xc | 0xd, [second, rest @ ..]) => ((high & 0x1f) << 6 | low(*second)?, rest),
            (0xe, [second, third, rest @ ..]) => {
                ((high & 0xf) << 12 | low(*second)? << 6 | low(*third)?, rest)
            }
            _ => return None,
        };
        units.push(unit);
        bytes = rest;
    }
    Some(units)
}

fn cut() -> Error {
    Error::data("the bytes end too early")
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
        assert!(reader.byte().unwrap_err().chain().contains("end too early"));
    }

    #[test]
    fn texts_of_java_are_read() {
        // What `DataOutputStream.writeUTF` makes of "aü€\u{1f600}\0".
        let java =
            [0, 14, b'a', 0xc3, 0xbc, 0xe2, 0x82, 0xac, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80, 0xc0, 0x80];
        assert_eq!(WireReader(&java).java_text().unwrap(), "aü€\u{1f600}\0");
        for damaged in
            [&[0, 1, 0xff][..], &[0, 1, 0xe2], &[0, 2, 0xc3, 0x41], &[0, 9, 1], &[0, 3, 0xed, 0xa0, 0xbd]]
        {
            assert!(WireReader(damaged).java_text().is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert!(WireReader(&[0, 0, 0, 9, 1]).bytes().is_err());
        assert!(WireReader(&[255, 255, 255, 255]).bytes().is_err());
    }
}
