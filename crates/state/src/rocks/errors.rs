//! What RocksDB's errors mean here.

use std::path::Path;

use millstream_record::{Error, ErrorKind};
use rocksdb::ErrorKind as Cause;

/// A database that runs failed: its files are only a copy of the checkpoint, so going back to that mends
/// nearly everything.
pub(crate) fn running(doing: &str, folder: &Path, error: rocksdb::Error) -> Error {
    let kind = match error.kind() {
        Cause::NotSupported
        | Cause::InvalidArgument
        | Cause::ColumnFamilyDropped
        | Cause::MergeInProgress => ErrorKind::Bug,
        Cause::NotFound
        | Cause::Corruption
        | Cause::IOError
        | Cause::Incomplete
        | Cause::ShutdownInProgress
        | Cause::TimedOut
        | Cause::Aborted
        | Cause::Busy
        | Cause::Expired
        | Cause::TryAgain
        | Cause::CompactionTooLarge
        | Cause::Unknown => ErrorKind::Restart,
    };
    Error::new(kind, text(doing, folder)).caused_by(error)
}

/// Files of a checkpoint could not be read: they are damaged, or the disk is.
pub(crate) fn restoring(doing: &str, folder: &Path, error: rocksdb::Error) -> Error {
    let kind = match error.kind() {
        Cause::Corruption | Cause::NotFound => ErrorKind::Data,
        Cause::NotSupported
        | Cause::InvalidArgument
        | Cause::ColumnFamilyDropped
        | Cause::MergeInProgress
        | Cause::IOError
        | Cause::Incomplete
        | Cause::ShutdownInProgress
        | Cause::TimedOut
        | Cause::Aborted
        | Cause::Busy
        | Cause::Expired
        | Cause::TryAgain
        | Cause::CompactionTooLarge
        | Cause::Unknown => return running(doing, folder, error),
    };
    Error::new(kind, text(doing, folder)).caused_by(error)
}

/// A file or folder below the local directory failed.
pub(crate) fn local(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::restart(text(doing, path)).caused_by(error)
}

fn text(doing: &str, path: &Path) -> String {
    format!(
        "RocksDB cannot {doing} in {} (state.backend.rocksdb.localdir: is the disk full or gone?)",
        path.display()
    )
}
