//! A file as a split of the source.

use millstream_record::Record;

/// Where a reader stands in a file.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
pub(crate) struct FileSplit {
    /// The file.
    pub(crate) path: String,
    /// Bytes of text (unpacked) that were read: a multiple of whole lines.
    pub(crate) offset: u64,
    /// Lines that were read.
    pub(crate) lines: u64,
}

impl FileSplit {
    /// The beginning of a file.
    pub(crate) fn start_of(path: String) -> Self {
        Self { path, offset: 0, lines: 0 }
    }
}

#[cfg(test)]
mod tests {
    use millstream_record::record::from_bytes;

    use super::*;

    #[test]
    fn a_position_that_the_first_version_wrote_is_read_for_ever() {
        let split: FileSplit = from_bytes(b"\x12/in/a.csv\xd8\x04\x18").unwrap();
        assert_eq!(split, FileSplit { path: "/in/a.csv".into(), offset: 300, lines: 12 });
    }
}
