//! What a kind of storage must do, in one attempt per call.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::{Error, ErrorKind, Result};

use super::{Created, Listed, transfer};

/// The outcome of one attempt.
pub type StorageResult<T> = Result<T, StorageFailure>;

/// A kind of storage. Paths are relative to its root, `/` between segments; `""` is the root itself.
///
/// One call is one attempt: [`Storage`](super::Storage) adds time-outs and repetitions. Dropping a call's
/// future is a time-out: what it was about may happen or not, also later.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Writes a file that must not be there, atomically, and returns when it is durable.
    async fn create(&self, path: &str, bytes: Bytes) -> StorageResult<Created>;

    /// Writes a file, over one that is there, and returns when it is durable. Readers see the old one or the
    /// new one.
    async fn put(&self, path: &str, bytes: Bytes) -> StorageResult<()>;

    /// Begins a file that is written piece by piece.
    async fn upload(&self, path: &str) -> StorageResult<Box<dyn StoreUpload>>;

    /// The size of a file; `None` if there is none.
    async fn size(&self, path: &str) -> StorageResult<Option<u64>>;

    /// A file, or a range of it; `None` if there is none. A range beyond its end is an error of kind
    /// [`Data`](millstream_record::ErrorKind::Data).
    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>>;

    /// All visible files below a directory, at any depth and in any order, by their paths from the root.
    /// Empty if there is no such directory.
    async fn list(&self, directory: &str) -> StorageResult<Vec<Listed>>;

    /// Deletes a file; fine if there is none.
    async fn delete(&self, path: &str) -> StorageResult<()>;

    /// Copies a file, over one that is there. An error of kind [`Data`](millstream_record::ErrorKind::Data)
    /// if there is none.
    async fn copy(&self, from: &str, to: &str) -> StorageResult<()>;

    /// Removes files in the making below a directory that nobody has written to since `before`, and counts
    /// them.
    async fn sweep(&self, directory: &str, before: SystemTime) -> StorageResult<u64>;

    /// Writes a local file here, in pieces of `part_bytes`; repeats what it needs to repeat by itself.
    async fn upload_file(&self, path: &str, local: &Path, part_bytes: usize) -> Result<()> {
        let upload = self.upload(path).await.map_err(StorageFailure::into_error)?;
        transfer::send(upload, local, part_bytes).await
    }
}

/// A file in the making. It repeats failed requests by itself, since it alone knows what can be repeated.
/// Dropped before it is finished, it leaves nothing.
#[async_trait]
pub trait StoreUpload: Send {
    /// Adds a piece; may return before it is stored.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the file visible; it is durable then. Called once, last.
    async fn finish(&mut self) -> Result<()>;

    /// Removes what was written, and returns when it is gone. Called once, last.
    async fn abort(&mut self) -> Result<()>;
}

/// Why an attempt failed, and whether another one may succeed within seconds.
#[derive(Debug)]
pub struct StorageFailure {
    error: Error,
    may_pass: bool,
}

impl StorageFailure {
    /// Worth another attempt: the store is busy, restarting or out of reach.
    pub fn passing(error: Error) -> Self {
        Self { error, may_pass: true }
    }

    /// The next attempt would fail too.
    pub fn lasting(error: Error) -> Self {
        Self { error, may_pass: false }
    }

    /// Whether another attempt may succeed.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// What to tell the caller in the end.
    pub fn into_error(self) -> Error {
        self.error
    }

    /// The same with its cause.
    #[cfg(any(feature = "s3", feature = "hdfs"))]
    pub(super) fn caused_by(self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { error: self.error.caused_by(cause), ..self }
    }

    pub(super) fn kind(&self) -> ErrorKind {
        self.error.kind()
    }

    pub(super) fn chain(&self) -> String {
        self.error.chain()
    }

    /// There is no file to copy.
    pub(super) fn nothing_to_copy(path: &str) -> Self {
        Self::lasting(Error::data(format!("there is no file {path} to copy")))
    }

    /// The file ends before the range that was asked for.
    pub(super) fn too_short(path: &str, range: &Range<u64>) -> Self {
        let wanted = format!("{path} ends before byte {}: it is damaged or was cut off", range.end);
        Self::lasting(Error::data(wanted))
    }
}
