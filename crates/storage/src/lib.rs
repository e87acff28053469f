//! Storage by URL: local files, S3 and HDFS behind one small API.
//!
//! Every call has a time-out and is repeated, with growing and jittered waits, where the error may pass. What
//! comes out in the end has a kind that says what to do: [`ErrorKind::Retry`] (the store is away or full: a
//! later checkpoint may succeed), [`ErrorKind::Configuration`] (no such bucket, refused credentials, a store
//! that cannot do what exactly-once needs) or [`ErrorKind::Data`] (a file is shorter than it should be).
//!
//! Files are immutable to readers: a file becomes visible whole, under its name, or not at all.
//!
//! ```
//! use millstream_storage::{Created, Storage, StorageOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> millstream_record::Result<()> {
//! # let dir = tempfile::tempdir().expect("a directory");
//! # let url = format!("file://{}", dir.path().display());
//! let storage = Storage::open(&url, &StorageOptions::default())?;
//! storage.probe().await?;
//! let log = storage.child("log");
//! assert_eq!(log.create("0000000001", "epoch 1".into()).await?, Created::New);
//! assert_eq!(log.create("0000000001", "epoch 2".into()).await?, Created::Exists);
//! assert_eq!(storage.get("log/0000000001").await?.as_deref(), Some(&b"epoch 1"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! What owns what: `location` reads URLs, [`Store`] is what a kind of storage must do in one attempt,
//! `patience` repeats attempts, `reports` says what lasts, `probe` tests a store, `transfer` moves whole
//! files.
//!
//! [`ErrorKind::Retry`]: millstream_record::ErrorKind::Retry
//! [`ErrorKind::Configuration`]: millstream_record::ErrorKind::Configuration
//! [`ErrorKind::Data`]: millstream_record::ErrorKind::Data

mod disk;
mod file;
#[cfg(feature = "hdfs")]
mod hdfs;
mod location;
mod options;
mod path;
mod patience;
mod probe;
mod reports;
#[cfg(feature = "s3")]
mod s3;
mod store;
mod transfer;
mod upload;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_record::Result;
use millstream_stage::chance::Chance;

use self::location::Location;
use self::path::{checked, join};
use self::patience::Patience;

pub use self::options::StorageOptions;
pub use self::reports::Reports;
pub use self::store::{StorageFailure, StorageResult, Store, StoreUpload};
pub use self::upload::Upload;

/// How many single-file requests one call has in flight.
const PARALLEL: usize = 8;

/// What an exclusive create found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// Nothing: the file is now there, with these bytes, and of all who tried only this caller hears so.
    New,
    /// The file was there. It may be this caller's own, if the answer to an earlier attempt was lost: read it
    /// to know.
    Exists,
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the storage that was asked, `/` between segments.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it became visible, by the store's clock.
    pub modified: SystemTime,
}

/// A place for files: a directory, a bucket with a prefix, or a directory of HDFS. Cheap to clone.
///
/// Paths are relative, with `/` between segments; a segment does not begin with a dot.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn Store>,
    patience: Arc<Patience>,
    /// The URL of the store's root, without a slash at the end.
    root: Arc<str>,
    /// This storage within the store; empty or a path.
    base: String,
    part_bytes: usize,
}

/// Refuses a URL that names no storage, without a look at whether it is there.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), with an example of what would do.
pub fn validate_url(url: &str) -> Result<()> {
    Location::parse(url).map(drop)
}

impl Storage {
    /// The storage at `url`: `file:///var/checkpoints`, `s3://bucket/prefix` (also `s3a://` and `s3p://`; feature `s3`) or
    /// `hdfs://namenode:8020/path` (feature `hdfs`). No I/O: [`Storage::probe`] tells whether it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when the URL or an option is
    /// wrong.
    pub fn open(url: &str, options: &StorageOptions) -> Result<Self> {
        options.validate()?;
        let location = Location::parse(url)?;
        let patience = Arc::new(Patience::new(options, &location.url()));
        let store = location.open(options, &patience)?;
        Ok(Self {
            store,
            patience,
            root: location.url().into(),
            base: String::new(),
            part_bytes: options.part_bytes,
        })
    }

    /// A storage over another kind of store, called `url` in messages.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when an option is wrong.
    pub fn over(store: Arc<dyn Store>, url: &str, options: &StorageOptions) -> Result<Self> {
        options.validate()?;
        let patience = Arc::new(Patience::new(options, url));
        let root = url.trim_end_matches('/').into();
        Ok(Self { store, patience, root, base: String::new(), part_bytes: options.part_bytes })
    }

    /// Where names in this storage get their randomness from.
    pub fn chance(&self) -> &Chance {
        self.patience.chance()
    }

    /// The storage below `path`. Nothing is created.
    #[must_use]
    pub fn child(&self, path: &str) -> Self {
        Self { base: join(&self.base, path.trim_matches('/')), ..self.clone() }
    }

    /// Where this is, without a slash at the end; [`Storage::open`] reads it. No credentials are in it.
    pub fn url(&self) -> String {
        join(&self.root, &self.base)
    }

    /// Proves that files can be written, read, listed and deleted, and that of several that create one file
    /// at the same time exactly one succeeds. Leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), saying what the store
    /// lacks; [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when it does not answer.
    pub async fn probe(&self) -> Result<()> {
        probe::run(self).await
    }

    /// Writes a file that must not be there yet: the atomic step on which exactly-once rests.
    ///
    /// # Errors
    /// See the [module](self). The file may be there nevertheless.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Created> {
        let full = self.full(path)?;
        let patience = self.patience.for_bytes(bytes.len() as u64);
        let created = patience.attempts(|| self.store.create(&full, bytes.clone())).await;
        self.about("create", &full, created)
    }

    /// Writes a file, over one that is there.
    ///
    /// # Errors
    /// See the [module](self).
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let full = self.full(path)?;
        let patience = self.patience.for_bytes(bytes.len() as u64);
        let written = patience.attempts(|| self.store.put(&full, bytes.clone())).await;
        self.about("write", &full, written)
    }

    /// Begins a file of any size, written piece by piece, over one that is there. It becomes visible with
    /// [`Upload::finish`]; if dropped before, nothing of it stays.
    ///
    /// # Errors
    /// See the [module](self).
    pub async fn upload(&self, path: &str) -> Result<Upload> {
        let full = self.full(path)?;
        let upload = self.attempts("begin", &full, || self.store.upload(&full)).await?;
        Ok(Upload::new(upload, self.url_of(&full), self.part_bytes))
    }

    /// The whole file, which fits into memory; `None` if there is none. Large ones better come by
    /// [`Storage::download`].
    ///
    /// # Errors
    /// See the [module](self).
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let full = self.full(path)?;
        self.attempts("read", &full, || self.store.get(&full, None)).await
    }

    /// These bytes of a file; `None` if there is none.
    ///
    /// # Errors
    /// See the [module](self); [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when the file ends
    /// before the range.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Option<Bytes>> {
        let full = self.full(path)?;
        self.attempts("read", &full, || self.store.get(&full, Some(range.clone()))).await
    }

    /// The size of a file; `None` if there is none.
    ///
    /// # Errors
    /// See the [module](self).
    pub async fn size(&self, path: &str) -> Result<Option<u64>> {
        let full = self.full(path)?;
        self.attempts("ask for", &full, || self.store.size(&full)).await
    }

    /// All files below `prefix` (whole segments; empty for all), at any depth, ordered by path. A directory
    /// that is not there is empty.
    ///
    /// # Errors
    /// See the [module](self).
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let full = self.directory(prefix)?;
        let listed = self.patience.for_bytes(0).attempts(|| self.store.list(&full)).await;
        let mut files = self.about("list", &full, listed)?;
        let cut = if self.base.is_empty() { 0 } else { self.base.len() + 1 };
        for file in &mut files {
            file.path.drain(..cut.min(file.path.len()));
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Deletes files; one that is not there is fine.
    ///
    /// # Errors
    /// See the [module](self). Others than the one in the message may be gone or not.
    pub async fn delete<P: AsRef<str> + Sync>(&self, paths: &[P]) -> Result<()> {
        let full: Vec<String> = paths.iter().map(|path| self.full(path.as_ref())).collect::<Result<_>>()?;
        let deletions = full.into_iter().map(|full| self.delete_one(full));
        stream::iter(deletions).buffer_unordered(PARALLEL).try_collect().await
    }

    /// Copies a file within this storage, over one that is there, without moving it through this machine
    /// where the store can.
    ///
    /// # Errors
    /// See the [module](self); [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when there is no such
    /// file.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.copy_to(from, self, to).await.map(drop)
    }

    /// Removes what writers that died left of files that never became visible, if nobody has written to it
    /// since `before`; returns how many. S3 shows no such parts here: a lifecycle rule of the bucket
    /// (`AbortIncompleteMultipartUpload`) removes them.
    ///
    /// # Errors
    /// See the [module](self).
    pub async fn sweep(&self, prefix: &str, before: SystemTime) -> Result<u64> {
        let full = self.directory(prefix)?;
        self.attempts("sweep", &full, || self.store.sweep(&full, before)).await
    }

    async fn delete_one(&self, full: String) -> Result<()> {
        self.attempts("delete", &full, || self.store.delete(&full)).await
    }

    fn full(&self, path: &str) -> Result<String> {
        Ok(join(&self.base, checked(path)?))
    }

    fn directory(&self, prefix: &str) -> Result<String> {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() { Ok(self.base.clone()) } else { self.full(prefix) }
    }

    fn url_of(&self, full: &str) -> String {
        join(&self.root, full)
    }

    async fn attempts<T, F>(&self, verb: &str, full: &str, attempt: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = StorageResult<T>> + Send,
    {
        self.about(verb, full, self.patience.attempts(attempt).await)
    }

    /// An outcome whose error says what it is about.
    fn about<T>(&self, verb: &str, full: &str, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| error.in_context(format_args!("cannot {verb} {}", self.url_of(full))))
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.url()).finish()
    }
}
