//! A file that waits for its checkpoint.

use millstream_record::{Record, Result, record};

/// What is needed to show a file, by whoever restores the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
pub(crate) struct PendingFile {
    /// Its name when it is visible, within the sink's directory.
    pub(crate) name: String,
    /// How many of the staged bytes belong to it.
    pub(crate) length: u64,
    /// Whether more was written behind them: the file was still open.
    pub(crate) open: bool,
}

impl PendingFile {
    pub(crate) fn to_handle(&self) -> Vec<u8> {
        record::to_bytes(self)
    }

    pub(crate) fn of_handle(handle: &[u8]) -> Result<Self> {
        record::from_bytes(handle)
    }
}
