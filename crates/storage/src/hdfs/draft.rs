//! A file that is being written, or is complete and waits for its name.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use hdfs_native::client::WriteOptions;
use hdfs_native::file::{FileReader, FileWriter};
use hdfs_native::{Client, HdfsError};
use tokio::runtime::Handle;

use super::refusal::failure;
use crate::Created;
use crate::file::failure as local_failure;
use crate::path::draft_name;
use crate::patience::Patience;
use crate::store::StorageResult;

/// What to write: readable from its beginning as often as needed.
pub(super) enum Content {
    /// From memory.
    Bytes(Bytes),
    /// From a file of this machine.
    Local { path: PathBuf, part_bytes: usize },
    /// From an open file of this machine that has no name.
    Unnamed { file: Arc<File>, part_bytes: usize },
    /// From another file of HDFS.
    Remote(Box<FileReader>),
}

/// A complete file under a hidden name; removed when dropped.
pub(super) struct Draft {
    guard: Guard,
    target: String,
}

/// Removes the draft, in the background, unless it took its name.
struct Guard {
    client: Client,
    path: String,
    armed: bool,
}

impl Draft {
    /// Writes a draft of `target`, each piece within the time-out.
    pub(super) async fn write(
        client: &Client,
        target: &str,
        content: &Content,
        patience: &Patience,
    ) -> StorageResult<Self> {
        let directory = target.rsplit_once('/').map_or("", |(directory, _)| directory);
        let path = format!("{directory}/{}", draft_name(patience.chance()));
        let guard = Guard { client: client.clone(), path, armed: true };
        let created = async { client.create(&guard.path, WriteOptions::default()).await.map_err(failure) };
        let mut writer = patience.within(created).await?;
        fill(&mut writer, content, patience).await?;
        patience.within(async { writer.close().await.map_err(failure) }).await?;
        Ok(Self { guard, target: target.to_owned() })
    }

    /// Takes the place of whatever has the name.
    pub(super) async fn replace(mut self) -> StorageResult<()> {
        self.rename(true).await.map_err(failure)
    }

    /// Takes the name if it is free.
    pub(super) async fn claim(mut self) -> StorageResult<Created> {
        match self.rename(false).await {
            Ok(()) => Ok(Created::New),
            Err(HdfsError::AlreadyExists(_)) => {
                self.guard.remove().await?;
                Ok(Created::Exists)
            }
            Err(error) => Err(failure(error)),
        }
    }

    async fn rename(&mut self, overwrite: bool) -> Result<(), HdfsError> {
        self.guard.client.rename(&self.guard.path, &self.target, overwrite).await?;
        self.guard.armed = false;
        Ok(())
    }
}

impl Guard {
    async fn remove(&mut self) -> StorageResult<()> {
        self.client.delete(&self.path, false).await.map_err(failure)?;
        self.armed = false;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (true, Ok(runtime)) = (self.armed, Handle::try_current()) else {
            return;
        };
        let (client, path) = (self.client.clone(), std::mem::take(&mut self.path));
        runtime.spawn(async move {
            if let Err(error) = client.delete(&path, false).await {
                tracing::debug!(path, %error, "a draft stays behind until it is swept");
            }
        });
    }
}

async fn fill(writer: &mut FileWriter, content: &Content, patience: &Patience) -> StorageResult<()> {
    match content {
        Content::Bytes(bytes) if bytes.is_empty() => Ok(()),
        Content::Bytes(bytes) => add(writer, bytes.clone(), patience).await,
        Content::Local { path, part_bytes } => {
            let path = path.clone();
            let file = blocking(move || File::open(path)).await?;
            from_file(writer, Arc::new(file), *part_bytes, patience).await
        }
        Content::Unnamed { file, part_bytes } => {
            let file = Arc::clone(file);
            let rewound = blocking(move || (&*file).rewind().map(|()| file)).await?;
            from_file(writer, rewound, *part_bytes, patience).await
        }
        Content::Remote(reader) => {
            let mut pieces = Box::pin(reader.read_range_stream(0, reader.file_length()));
            while let Some(piece) = pieces.next().await {
                add(writer, piece.map_err(failure)?, patience).await?;
            }
            Ok(())
        }
    }
}

async fn from_file(
    writer: &mut FileWriter,
    file: Arc<File>,
    part_bytes: usize,
    patience: &Patience,
) -> StorageResult<()> {
    loop {
        let source = Arc::clone(&file);
        let piece = blocking(move || {
            let mut piece = Vec::with_capacity(part_bytes);
            (&*source).take(part_bytes as u64).read_to_end(&mut piece)?;
            Ok(Bytes::from(piece))
        });
        let piece = piece.await?;
        if piece.is_empty() {
            return Ok(());
        }
        add(writer, piece, patience).await?;
    }
}

async fn add(writer: &mut FileWriter, piece: Bytes, patience: &Patience) -> StorageResult<()> {
    let patience = patience.for_bytes(piece.len() as u64);
    patience.within(async { writer.write_bytes(piece).await.map(drop).map_err(failure) }).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> StorageResult<T> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|cause| Err(io::Error::other(cause))).map_err(local_failure)
}
