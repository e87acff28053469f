//! A storage that fails once, at a chosen call.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::{Error, Result};
use millstream_storage::{
    Created, Listed, Storage, StorageFailure, StorageOptions, StorageResult, Store, StoreUpload, Upload,
};

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StorageFault {
    /// Nothing is done, and the caller hears of an error.
    Refused,
    /// It is done, and the caller hears of an error all the same.
    AnswerLost,
    /// Nothing is done, from now on.
    Outage,
}

/// The storage below, with a fault in front.
#[derive(Clone, Debug)]
struct Faulty {
    inner: Storage,
    fault: StorageFault,
    at: usize,
    calls: Arc<AtomicUsize>,
}

/// `inner` with a fault at its call number `at`; and how many calls there were so far.
pub(crate) fn faulty(inner: &Storage, fault: StorageFault, at: usize) -> Result<(Storage, Arc<AtomicUsize>)> {
    let calls = Arc::new(AtomicUsize::new(0));
    let store = Faulty { inner: inner.clone(), fault, at, calls: Arc::clone(&calls) };
    let options = StorageOptions { max_retries: 0, ..StorageOptions::default() };
    Ok((Storage::over(Arc::new(store), &inner.url(), &options)?, calls))
}

impl Faulty {
    async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> StorageResult<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let failure = || StorageFailure::lasting(Error::retry(format!("{:?} at call {number}", self.fault)));
        match self.fault {
            StorageFault::Refused if number == self.at => Err(failure()),
            StorageFault::Outage if number >= self.at => Err(failure()),
            StorageFault::AnswerLost if number == self.at => {
                call.await.map_err(StorageFailure::lasting).and(Err(failure()))
            }
            _ => call.await.map_err(StorageFailure::lasting),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn create(&self, path: &str, bytes: Bytes) -> StorageResult<Created> {
        self.call(self.inner.create(path, bytes)).await
    }

    async fn put(&self, path: &str, bytes: Bytes) -> StorageResult<()> {
        self.call(self.inner.put(path, bytes)).await
    }

    async fn upload(&self, path: &str) -> StorageResult<Box<dyn StoreUpload>> {
        let upload = self.call(self.inner.upload(path)).await?;
        Ok(Box::new(FaultyUpload { inner: Some(upload), faulty: self.clone() }))
    }

    async fn size(&self, path: &str) -> StorageResult<Option<u64>> {
        self.call(self.inner.size(path)).await
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>> {
        match range {
            None => self.call(self.inner.get(path)).await,
            Some(range) => self.call(self.inner.get_range(path, range)).await,
        }
    }

    async fn list(&self, directory: &str) -> StorageResult<Vec<Listed>> {
        self.call(self.inner.list(directory)).await
    }

    async fn delete(&self, path: &str) -> StorageResult<()> {
        self.call(self.inner.delete(&[path])).await
    }

    async fn copy(&self, from: &str, to: &str) -> StorageResult<()> {
        self.call(self.inner.copy(from, to)).await
    }

    async fn sweep(&self, directory: &str, before: SystemTime) -> StorageResult<u64> {
        self.call(self.inner.sweep(directory, before)).await
    }

    async fn upload_file(&self, path: &str, local: &Path, _: usize) -> Result<()> {
        self.call(self.inner.upload_file(path, local)).await.map_err(StorageFailure::into_error)
    }
}

struct FaultyUpload {
    inner: Option<Upload>,
    faulty: Faulty,
}

fn over() -> Error {
    Error::bug("the upload is over")
}

#[async_trait]
impl StoreUpload for FaultyUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let upload = self.inner.as_mut().ok_or_else(over)?;
        self.faulty.call(upload.write(bytes)).await.map_err(StorageFailure::into_error)
    }

    async fn finish(&mut self) -> Result<()> {
        let upload = self.inner.take().ok_or_else(over)?;
        self.faulty.call(upload.finish()).await.map(drop).map_err(StorageFailure::into_error)
    }

    async fn abort(&mut self) -> Result<()> {
        let upload = self.inner.take().ok_or_else(over)?;
        self.faulty.call(upload.abort()).await.map_err(StorageFailure::into_error)
    }
}
