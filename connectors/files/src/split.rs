//! A file as a split of the source.

use millstream_core::Record;

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
