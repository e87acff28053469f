//! The probe finds stores that are careless in less obvious ways than any server we can start.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use millstream_record::{Error, ErrorKind};
use millstream_storage::{
    Created, Listed, Storage, StorageFailure, StorageOptions, StorageResult, Store, StoreUpload,
};

/// How a store breaks the promise.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    /// Looks whether the file is there, and writes it a moment later.
    LooksThenWrites,
    /// Refuses everybody.
    RefusesAll,
    /// Lists nothing that is new.
    ForgetsToList,
    /// Does not know the request.
    Unsupported,
}

/// Local files with a flaw.
#[derive(Debug)]
struct Flawed {
    files: Storage,
    flaw: Flaw,
}

fn attempt<T>(outcome: millstream_record::Result<T>) -> StorageResult<T> {
    outcome.map_err(StorageFailure::lasting)
}

#[async_trait]
impl Store for Flawed {
    async fn create(&self, path: &str, bytes: Bytes) -> StorageResult<Created> {
        match self.flaw {
            Flaw::LooksThenWrites => {
                if attempt(self.files.get(path).await)?.is_some() {
                    return Ok(Created::Exists);
                }
                tokio::task::yield_now().await;
                attempt(self.files.put(path, bytes).await)?;
                Ok(Created::New)
            }
            Flaw::RefusesAll => Ok(Created::Exists),
            Flaw::ForgetsToList => attempt(self.files.create(path, bytes).await),
            Flaw::Unsupported => Err(StorageFailure::lasting(Error::configuration("501"))),
        }
    }

    async fn put(&self, path: &str, bytes: Bytes) -> StorageResult<()> {
        attempt(self.files.put(path, bytes).await)
    }

    async fn upload(&self, _: &str) -> StorageResult<Box<dyn StoreUpload>> {
        Err(StorageFailure::lasting(Error::bug("the probe uploads nothing")))
    }

    async fn size(&self, path: &str) -> StorageResult<Option<u64>> {
        attempt(self.files.size(path).await)
    }

    async fn get(&self, path: &str, range: Option<Range<u64>>) -> StorageResult<Option<Bytes>> {
        attempt(match range {
            None => self.files.get(path).await,
            Some(range) => self.files.get_range(path, range).await,
        })
    }

    async fn list(&self, directory: &str) -> StorageResult<Vec<Listed>> {
        match self.flaw {
            Flaw::ForgetsToList => Ok(Vec::new()),
            _ => attempt(self.files.list(directory).await),
        }
    }

    async fn delete(&self, path: &str) -> StorageResult<()> {
        attempt(self.files.delete(&[path]).await)
    }

    async fn copy(&self, from: &str, to: &str) -> StorageResult<()> {
        attempt(self.files.copy(from, to).await)
    }

    async fn sweep(&self, directory: &str, before: SystemTime) -> StorageResult<u64> {
        attempt(self.files.sweep(directory, before).await)
    }
}

fn flawed(dir: &Path, flaw: Flaw) -> Result<Storage> {
    let files = Storage::open(&format!("file://{}", dir.display()), &StorageOptions::default())?;
    let store = Arc::new(Flawed { files, flaw });
    Ok(Storage::over(store, "flawed://store", &StorageOptions::default())?)
}

#[tokio::test]
async fn every_flaw_is_found_and_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (flaw, named) in [
        (Flaw::LooksThenWrites, "that created the same file at once were told they had"),
        (Flaw::RefusesAll, "creating a file"),
        (Flaw::ForgetsToList, "not listed right after"),
        (Flaw::Unsupported, "501"),
    ] {
        let probed = flawed(dir.path(), flaw)?.probe().await;
        let error = probed.err().with_context(|| format!("{flaw:?} was not found"))?;
        assert_eq!(error.kind(), ErrorKind::Configuration, "{flaw:?}: {}", error.chain());
        assert!(error.to_string().contains("storage flawed://store cannot be used"), "{}", error.chain());
        assert!(error.chain().contains(named), "{flaw:?}: {}", error.chain());
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 0, "{flaw:?} leaves something behind");
    }
    Ok(())
}
