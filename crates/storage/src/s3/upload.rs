//! A file in pieces.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::{Error, Result};
use object_store::multipart::{MultipartStore, PartId};
use object_store::{MultipartId, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::S3Store;
use super::refusal::{Meaning, meaning};
use crate::store::{StorageFailure, Store, StoreUpload};

/// How many parts travel at the same time.
const IN_FLIGHT: usize = 4;

/// A multipart upload; a plain PUT if there is but one piece.
pub(super) struct S3Upload {
    store: S3Store,
    path: String,
    /// The only piece so far.
    first: Option<Bytes>,
    /// Begun with the second piece, over when finished or aborted.
    id: Option<Arc<MultipartId>>,
    sending: JoinSet<Result<(usize, PartId)>>,
    sent: Vec<(usize, PartId)>,
    parts: usize,
    bytes: u64,
}

impl S3Upload {
    pub(super) fn new(store: S3Store, path: &str) -> Self {
        Self {
            store,
            path: path.to_owned(),
            first: None,
            id: None,
            sending: JoinSet::new(),
            sent: Vec::new(),
            parts: 0,
            bytes: 0,
        }
    }

    async fn begin(&mut self) -> Result<Arc<MultipartId>> {
        if let Some(id) = &self.id {
            return Ok(Arc::clone(id));
        }
        let location = self.store.at(&self.path);
        let begun = self.store.patience.attempts(|| async {
            let begun = self.store.bucket.create_multipart(&location).await;
            begun.map_err(|error| meaning(error).failure(&self.path))
        });
        let id = Arc::new(begun.await?);
        self.id = Some(Arc::clone(&id));
        Ok(id)
    }

    async fn send(&mut self, bytes: Bytes) -> Result<()> {
        let id = self.begin().await?;
        while self.sending.len() >= IN_FLIGHT {
            self.sent_one().await?;
        }
        let (store, path, part) = (self.store.clone(), self.path.clone(), self.parts);
        self.parts += 1;
        self.sending.spawn(async move {
            let location = store.at(&path);
            let attempt = || async {
                let payload = PutPayload::from_bytes(bytes.clone());
                let sent = store.bucket.put_part(&location, &id, part, payload).await;
                sent.map_err(|error| meaning(error).failure(&path))
            };
            let patience = store.patience.for_bytes(bytes.len() as u64);
            Ok((part, patience.attempts(attempt).await?))
        });
        Ok(())
    }

    /// Waits for one part; false if none is on its way.
    async fn sent_one(&mut self) -> Result<bool> {
        let Some(ended) = self.sending.join_next().await else {
            return Ok(false);
        };
        let ended = ended.map_err(|cause| Error::bug("sending a part panicked").caused_by(cause))?;
        self.sent.push(ended?);
        Ok(true)
    }

    async fn complete(&mut self, id: &MultipartId) -> Result<()> {
        while self.sent_one().await? {}
        self.sent.sort_unstable_by_key(|(part, _)| *part);
        let parts: Vec<PartId> = self.sent.drain(..).map(|(_, id)| id).collect();
        let (store, path, bytes) = (&self.store, &self.path, self.bytes);
        let location = store.at(path);
        let attempt = || async {
            match store.bucket.complete_multipart(&location, id, parts.clone()).await {
                Ok(_) => Ok(()),
                Err(error) => match meaning(error) {
                    // The answer to an earlier attempt may have been lost: then the file is there.
                    Meaning::NoUpload if store.size(path).await? == Some(bytes) => Ok(()),
                    other => Err(other.failure(path)),
                },
            }
        };
        store.patience.attempts(attempt).await
    }
}

#[async_trait]
impl StoreUpload for S3Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.first.is_none() && self.id.is_none() {
            self.first = Some(bytes);
            return Ok(());
        }
        if let Some(first) = self.first.take() {
            self.send(first).await?;
        }
        self.send(bytes).await
    }

    async fn finish(&mut self) -> Result<()> {
        let Some(id) = self.id.clone() else {
            let bytes = self.first.take().unwrap_or_default();
            let patience = self.store.patience.for_bytes(bytes.len() as u64);
            return patience.attempts(|| self.store.put(&self.path, bytes.clone())).await;
        };
        self.complete(&id).await?;
        self.id = None;
        Ok(())
    }

    async fn abort(&mut self) -> Result<()> {
        self.sending.shutdown().await;
        self.first = None;
        match self.id.take() {
            Some(id) => remove(&self.store, &self.path, &id).await,
            None => Ok(()),
        }
    }
}

impl Drop for S3Upload {
    /// In the background, if the runtime still runs.
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) else {
            return;
        };
        self.sending.abort_all();
        let (store, path) = (self.store.clone(), std::mem::take(&mut self.path));
        runtime.spawn(async move {
            if let Err(error) = remove(&store, &path, &id).await {
                tracing::warn!(
                    path,
                    error = error.chain(),
                    "parts of an upload that was given up stay behind"
                );
            }
        });
    }
}

async fn remove(store: &S3Store, path: &str, id: &MultipartId) -> Result<()> {
    let location = store.at(path);
    let attempt = || async {
        match store.bucket.abort_multipart(&location, id).await.map_err(meaning) {
            Ok(()) | Err(Meaning::NoUpload | Meaning::NoFile) => Ok(()),
            Err(other) => Err::<(), StorageFailure>(other.failure(path)),
        }
    };
    store.patience.attempts(attempt).await
}
