//! Whole files between a storage, this machine and another storage.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use millstream_record::{Error, Result};

use super::Storage;
use super::disk::Draft;
use super::file::failure;
use super::store::{StorageFailure, StoreUpload};

/// How many ranges of one file are read ahead.
const READ_AHEAD: usize = 4;

impl Storage {
    /// Writes a local file here, over one that is there; it becomes visible whole.
    ///
    /// # Errors
    /// See the [module](super).
    pub async fn upload_file(&self, path: &str, local: &Path) -> Result<()> {
        let bytes = local_call(local, |local| local.metadata().map(|file| file.len())).await?;
        if bytes <= self.part_bytes as u64 {
            return self.put(path, local_call(local, |local| std::fs::read(local)).await?.into()).await;
        }
        let full = self.full(path)?;
        let sent = self.store.upload_file(&full, local, self.part_bytes).await;
        self.about("write", &full, sent)
    }

    /// Writes a file of this storage to the local one, which becomes visible whole; returns its size.
    ///
    /// # Errors
    /// See the [module](super); [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when there is no such
    /// file here.
    pub async fn download(&self, path: &str, local: &Path) -> Result<u64> {
        let bytes = self.size_of(path).await?;
        let chance = self.chance().clone();
        let mut draft = local_call(local, move |local| Draft::of(local.to_owned(), &chance)).await?;
        let mut pieces = self.pieces(path, bytes);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            draft = local_call(local, move |_| draft.write(&piece).map(|()| draft)).await?;
        }
        local_call(local, move |_| draft.replace()).await?;
        Ok(bytes)
    }

    /// Copies a file to `other`, over one that is there; returns its size. Within one storage that is
    /// [`Storage::copy`].
    ///
    /// # Errors
    /// See the [module](super); [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when there is no such
    /// file here.
    pub async fn copy_to(&self, path: &str, other: &Self, to: &str) -> Result<u64> {
        let bytes = self.size_of(path).await?;
        if Arc::ptr_eq(&self.store, &other.store) {
            let (from, to) = (self.full(path)?, other.full(to)?);
            let copied = self.patience.for_bytes(bytes).attempts(|| self.store.copy(&from, &to)).await;
            return self.about("copy", &from, copied).map(|()| bytes);
        }
        let mut upload = other.upload(to).await?;
        let mut pieces = self.pieces(path, bytes);
        while let Some(piece) = pieces.next().await {
            upload.write(piece?).await?;
        }
        upload.finish().await
    }

    async fn size_of(&self, path: &str) -> Result<u64> {
        let size = self.size(path).await?;
        size.ok_or_else(|| self.missing(path))
    }

    fn missing(&self, path: &str) -> Error {
        Error::data(format!("there is no file {}/{path}", self.url()))
    }

    /// The content in order, some ranges read ahead.
    fn pieces<'a>(
        &'a self,
        path: &'a str,
        bytes: u64,
    ) -> impl futures::Stream<Item = Result<Bytes>> + Send + Unpin + 'a {
        let read = move |range| async move {
            let piece = self.get_range(path, range).await?;
            piece.ok_or_else(|| self.missing(path))
        };
        Box::pin(stream::iter(ranges(bytes, self.part_bytes as u64)).map(read).buffered(READ_AHEAD))
    }
}

/// Sends a local file piece by piece and finishes the upload.
pub(super) async fn send(mut upload: Box<dyn StoreUpload>, local: &Path, part_bytes: usize) -> Result<()> {
    let mut file = local_call(local, |local| File::open(local)).await?;
    loop {
        let (rest, piece) = local_call(local, move |_| next_piece(file, part_bytes)).await?;
        if piece.is_empty() {
            return upload.finish().await;
        }
        upload.write(piece).await?;
        file = rest;
    }
}

/// `bytes` cut into ranges of `part` bytes.
fn ranges(bytes: u64, part: u64) -> impl Iterator<Item = Range<u64>> {
    (0..bytes.div_ceil(part)).map(move |index| index * part..((index + 1) * part).min(bytes))
}

fn next_piece(mut file: File, bytes: usize) -> io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(bytes);
    (&mut file).take(bytes as u64).read_to_end(&mut piece)?;
    Ok((file, piece.into()))
}

/// A blocking call about a file of this machine.
async fn local_call<T: Send + 'static>(
    local: &Path,
    call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let path = local.to_owned();
    let ended = tokio::task::spawn_blocking(move || call(&path)).await;
    let outcome = ended.unwrap_or_else(|cause| Err(io::Error::other(cause)));
    outcome.map_err(|error| {
        let error: StorageFailure = failure(error);
        error.into_error().in_context(format_args!("local file {}", local.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        let cut = |bytes| ranges(bytes, 10).collect::<Vec<_>>();
        assert!(cut(0).is_empty());
        assert_eq!(cut(20), [0..10, 10..20]);
        assert_eq!(cut(25), [0..10, 10..20, 20..25]);
    }
}
