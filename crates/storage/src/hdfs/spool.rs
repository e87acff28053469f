//! A file in pieces: kept on this machine's disk until it is complete.
//!
//! When a DataNode dies, the whole file must be written again, so that what was written must still be there.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::Result;

use super::HdfsStore;
use super::draft::Content;
use crate::file::failure;
use crate::store::{StorageFailure, StorageResult, StoreUpload};

/// How much is read from the disk and sent at once.
const PIECE: usize = 1 << 20;

/// Bytes in a file of the temporary directory that has no name: it vanishes with this value.
pub(super) struct Spool {
    store: HdfsStore,
    path: String,
    file: Arc<File>,
}

impl Spool {
    pub(super) async fn new(store: HdfsStore, path: &str) -> StorageResult<Self> {
        let file = Arc::new(blocking(tempfile::tempfile).await?);
        Ok(Self { store, path: path.to_owned(), file })
    }
}

#[async_trait]
impl StoreUpload for Spool {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let file = Arc::clone(&self.file);
        blocking(move || (&*file).write_all(&bytes)).await.map_err(StorageFailure::into_error)
    }

    async fn finish(&mut self) -> Result<()> {
        let content = Content::Unnamed { file: Arc::clone(&self.file), part_bytes: PIECE };
        self.store.write_whole(&self.path, &content).await
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> StorageResult<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|cause| Err(io::Error::other(cause))).map_err(failure)
}
