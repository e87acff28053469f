//! Bytes within the metadata, as a file: Flink keeps small files there.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::{Error, Result};
use millstream_storage::{
    Created, Listed, Storage, StorageFailure, StorageOptions, StorageResult, Store, StoreUpload,
};

use super::StoredFile;

/// The name of the only file.
const NAME: &str = "inline";

/// A storage of one file that can only be read.
#[derive(Debug)]
pub(super) struct InlineStore(Bytes);

impl InlineStore {
    /// The bytes as a file.
    pub(super) fn file(data: &Bytes, options: &StorageOptions) -> Result<StoredFile> {
        let storage = Storage::over(Arc::new(Self(data.clone())), "_metadata", options)?;
        Ok(StoredFile { storage, name: NAME.to_owned(), bytes: data.len() as u64 })
    }
}

fn read_only<T>() -> StorageResult<T> {
    Err(StorageFailure::lasting(Error::bug("the metadata of a checkpoint is only read")))
}

#[async_trait]
impl Store for InlineStore {
    async fn size(&self, _: &str) -> StorageResult<Option<u64>> {
        Ok(Some(self.0.len() as u64))
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>> {
        let Some(range) = range else { return Ok(Some(self.0.clone())) };
        if range.start > range.end || range.end > self.0.len() as u64 {
            return Err(StorageFailure::lasting(Error::data(format!(
                "{path} ends before byte {}",
                range.end
            ))));
        }
        Ok(Some(self.0.slice(range.start as usize..range.end as usize)))
    }

    async fn list(&self, _: &str) -> StorageResult<Vec<Listed>> {
        Ok(vec![Listed {
            path: NAME.to_owned(),
            bytes: self.0.len() as u64,
            modified: SystemTime::UNIX_EPOCH,
        }])
    }

    async fn create(&self, _: &str, _: Bytes) -> StorageResult<Created> {
        read_only()
    }

    async fn put(&self, _: &str, _: Bytes) -> StorageResult<()> {
        read_only()
    }

    async fn upload(&self, _: &str) -> StorageResult<Box<dyn StoreUpload>> {
        read_only()
    }

    async fn delete(&self, _: &str) -> StorageResult<()> {
        read_only()
    }

    async fn copy(&self, _: &str, _: &str) -> StorageResult<()> {
        read_only()
    }

    async fn sweep(&self, _: &str, _: SystemTime) -> StorageResult<u64> {
        read_only()
    }
}
