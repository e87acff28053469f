//! The place from which on a file cannot be used.

use std::{fmt, io};

use millstream_stage::decode::Shape;

/// Where a file is damaged, and how. It prints as `at byte 17: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    at: u64,
    what: String,
}

impl Damage {
    /// At this byte of the file as it is stored.
    pub(crate) fn new(at: u64, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }

    /// The damage that an error stands for, if it does for one.
    pub(crate) fn of(error: io::Error) -> Result<Self, io::Error> {
        error.downcast()
    }

    /// What is wrong with a file whose text begins like this: it is no text that could be cut into lines.
    pub(crate) fn of_text(start: &[u8]) -> Option<Self> {
        let packed_by = |name| Some(format!("it is packed by {name}: unpack it"));
        let no_text =
            |name| Some(format!("it is {name}, and not lines of text: convert it to JSON lines or CSV"));
        let what = match start {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => packed_by("zstd"),
            [b'P', b'K', 3, 4, ..] => packed_by("zip"),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..] => packed_by("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => packed_by("xz"),
            [0x1f, 0x8b, ..] => packed_by("gzip (once more)"),
            [0x04, 0x22, 0x4d, 0x18, ..] => packed_by("lz4"),
            [b'P', b'A', b'R', b'1', 0x15, ..] => no_text("Parquet"),
            [b'O', b'b', b'j', 1, ..] => no_text("Avro"),
            [b'O', b'R', b'C', ..] if !start.is_ascii() => no_text("ORC"),
            _ => match Shape::of(start) {
                Some(Shape::Utf16) => {
                    Some("it is UTF-16 text: convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)".to_owned())
                }
                _ => None,
            },
        };
        what.map(|what| Self::new(0, what))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Damage {}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named() {
        for (start, says) in [
            (&b"\xff\xfe{\0"[..], "UTF-16"),
            (b"{\0\"\0", "UTF-16"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"PK\x03\x04", "zip"),
            (b"PAR1\x15\x04\x15", "Parquet"),
            (b"Obj\x01\x04\x16avro.schema", "Avro"),
            (b"ORC\n\x07\xff", "ORC"),
            (b"\x1f\x8b", "gzip"),
        ] {
            let damage = Damage::of_text(start).unwrap().to_string();
            assert!(damage.starts_with("at byte 0: ") && damage.contains(says), "{damage}");
        }
        for start in [&b"{\"a\":1}"[..], b"1,2", b"PK,1", b"PAR1,1", b"ORC,1", b"", b"\0\0\0\0\x2a{}"] {
            assert_eq!(Damage::of_text(start), None);
        }
    }

    #[test]
    fn it_travels_through_an_io_error() {
        let damage = Damage::new(17, "cut off");
        assert_eq!(Damage::of(damage.clone().into()).unwrap(), damage);
        assert!(Damage::of(io::ErrorKind::NotFound.into()).is_err());
    }
}
