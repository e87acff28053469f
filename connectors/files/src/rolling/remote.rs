//! Files of an object store or of HDFS, by URL. What is not to be seen yet lies below `_staged`: readers pass
//! such names over.

use bytes::Bytes;
use millstream_record::{Error, Result};
use millstream_storage::{Storage, StorageOptions, Upload};

use super::name::FileName;
use super::pending_file::PendingFile;

/// The place.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    storage: Storage,
}

/// A file that grows.
#[derive(Debug)]
pub(crate) struct Growing {
    upload: Upload,
    name: String,
}

impl Remote {
    pub(crate) fn new(url: &str, options: &StorageOptions) -> Result<Self> {
        Ok(Self { storage: Storage::open(url, options)? })
    }

    /// Begins a file.
    pub(crate) async fn begin(&self, name: String) -> Result<Growing> {
        Ok(Growing { upload: self.storage.upload(&staged(&name)).await?, name })
    }

    /// Appends to it.
    pub(crate) async fn append(&self, growing: &mut Growing, bytes: Vec<u8>) -> Result<()> {
        growing.upload.write(Bytes::from(bytes)).await
    }

    /// Ends it: it is durable then.
    pub(crate) async fn finish(&self, growing: Growing) -> Result<PendingFile> {
        let length = growing.upload.finish().await?;
        Ok(PendingFile { name: growing.name, length, open: false })
    }

    /// Shows a file. Does nothing where that was done before.
    pub(crate) async fn show(&self, pending: PendingFile) -> Result<()> {
        let staged = staged(&pending.name);
        if self.storage.size(&staged).await?.is_some() {
            self.storage.copy(&staged, &pending.name).await?;
            return self.storage.delete(&[staged]).await;
        }
        match self.storage.size(&pending.name).await? {
            Some(_) => Ok(()),
            None => Err(Error::data(format!(
                "{}/{staged} is gone, which a checkpoint refers to: its records are lost",
                self.storage.url()
            ))),
        }
    }

    /// Removes the unfinished files that this writer inherits.
    pub(crate) async fn clean(&self, mine: FileName) -> Result<()> {
        for file in self.storage.list(STAGED).await? {
            if file.path.strip_prefix("_staged/").is_some_and(|name| mine.inherits(name)) {
                self.storage.delete(&[file.path]).await?;
            }
        }
        Ok(())
    }
}

const STAGED: &str = "_staged";

fn staged(name: &str) -> String {
    format!("{STAGED}/{name}")
}
