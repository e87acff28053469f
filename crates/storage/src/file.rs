//! `file://`: a directory of this machine, or a mounted one.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::chance::Chance;

use super::disk::{self, Draft};
use super::store::{StorageFailure, StorageResult, Store, StoreUpload};
use super::{Created, Listed};

/// A directory. Blocking calls run on threads for such calls.
#[derive(Clone, Debug)]
pub(super) struct FileStore {
    root: PathBuf,
    chance: Chance,
}

impl FileStore {
    pub(super) fn new(root: PathBuf, chance: Chance) -> Self {
        Self { root, chance }
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

#[async_trait]
impl Store for FileStore {
    async fn create(&self, path: &str, bytes: Bytes) -> StorageResult<Created> {
        let (target, chance) = (self.at(path), self.chance.clone());
        blocking(move || draft(target, &bytes, &chance)?.claim()).await
    }

    async fn put(&self, path: &str, bytes: Bytes) -> StorageResult<()> {
        let (target, chance) = (self.at(path), self.chance.clone());
        blocking(move || draft(target, &bytes, &chance)?.replace()).await
    }

    async fn upload(&self, path: &str) -> StorageResult<Box<dyn StoreUpload>> {
        let (target, chance) = (self.at(path), self.chance.clone());
        let draft = blocking(move || Draft::of(target, &chance)).await?;
        Ok(Box::new(FileUpload { draft: Some(draft) }))
    }

    async fn size(&self, path: &str) -> StorageResult<Option<u64>> {
        let path = self.at(path);
        blocking(move || disk::size(&path)).await
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>> {
        let place = self.at(path);
        let wanted = range.clone();
        let outcome = spawned(move || disk::read(&place, wanted)).await;
        outcome.map_err(|error| match (error.kind(), range) {
            (io::ErrorKind::UnexpectedEof, Some(range)) => StorageFailure::too_short(path, &range),
            _ => failure(error),
        })
    }

    async fn list(&self, directory: &str) -> StorageResult<Vec<Listed>> {
        let (root, directory) = (self.root.clone(), self.at(directory));
        blocking(move || disk::list(&root, &directory)).await
    }

    async fn delete(&self, path: &str) -> StorageResult<()> {
        let (root, path) = (self.root.clone(), self.at(path));
        blocking(move || disk::delete(&root, &path)).await
    }

    async fn copy(&self, from: &str, to: &str) -> StorageResult<()> {
        let (source, target, chance) = (self.at(from), self.at(to), self.chance.clone());
        let copied = blocking(move || disk::copy(&source, target, &chance)).await?;
        copied.ok_or_else(|| StorageFailure::nothing_to_copy(from))
    }

    async fn sweep(&self, directory: &str, before: SystemTime) -> StorageResult<u64> {
        let directory = self.at(directory);
        blocking(move || disk::sweep(&directory, before)).await
    }
}

/// A draft that grows. A piece that failed cannot be repeated: some of it may be written.
struct FileUpload {
    /// Lent to the thread that writes.
    draft: Option<Draft>,
}

#[async_trait]
impl StoreUpload for FileUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let mut draft = self.take()?;
        let written = blocking(move || draft.write(&bytes).map(|()| draft)).await;
        self.draft = Some(written.map_err(StorageFailure::into_error)?);
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        let draft = self.take()?;
        blocking(move || draft.replace()).await.map_err(StorageFailure::into_error)
    }

    async fn abort(&mut self) -> Result<()> {
        drop(self.draft.take());
        Ok(())
    }
}

impl FileUpload {
    fn take(&mut self) -> Result<Draft> {
        self.draft.take().ok_or_else(|| Error::retry("an earlier piece of this file could not be written"))
    }
}

fn draft(target: PathBuf, bytes: &[u8], chance: &Chance) -> io::Result<Draft> {
    let mut draft = Draft::of(target, chance)?;
    draft.write(bytes)?;
    Ok(draft)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> StorageResult<T> {
    spawned(work).await.map_err(failure)
}

async fn spawned<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|cause| Err(io::Error::other(cause)))
}

/// What an error of the file system means.
pub(super) fn failure(error: io::Error) -> StorageFailure {
    use io::ErrorKind as Io;
    let (kind, advice) = match error.kind() {
        Io::StorageFull => (ErrorKind::Retry, "the disk is full: free some space"),
        Io::QuotaExceeded => (ErrorKind::Retry, "the quota is used up: free some space"),
        Io::PermissionDenied => (ErrorKind::Configuration, "this user may not do that: change owner or mode"),
        Io::ReadOnlyFilesystem => (ErrorKind::Configuration, "the file system is mounted for reading only"),
        Io::Unsupported => {
            (ErrorKind::Configuration, "the file system cannot do that (hard links?): use another")
        }
        Io::NotADirectory => (ErrorKind::Configuration, "a file is where a directory should be"),
        Io::IsADirectory => (ErrorKind::Configuration, "a directory is where a file should be"),
        Io::FileTooLarge => {
            (ErrorKind::Configuration, "the file is larger than this file system or user may write")
        }
        _ => return StorageFailure::passing(Error::retry("the file system failed").caused_by(error)),
    };
    StorageFailure::lasting(Error::new(kind, advice).caused_by(error))
}
