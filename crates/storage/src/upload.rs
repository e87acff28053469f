//! A file of any size in the making.

use std::fmt;

use bytes::{Bytes, BytesMut};
use millstream_record::Result;

use super::StoreUpload;

/// A file that is written piece by piece and becomes visible with [`Upload::finish`]. Dropped before, it
/// leaves nothing.
pub struct Upload {
    inner: Box<dyn StoreUpload>,
    url: String,
    buffer: BytesMut,
    part_bytes: usize,
    written: u64,
}

impl Upload {
    pub(super) fn new(inner: Box<dyn StoreUpload>, url: String, part_bytes: usize) -> Self {
        Self { inner, url, buffer: BytesMut::new(), part_bytes, written: 0 }
    }

    /// Adds bytes at the end. They are sent in larger pieces, so that an error may come with a later call.
    ///
    /// # Errors
    /// See the [module](super). The file cannot be finished then.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.written += bytes.len() as u64;
        while self.buffer.len() + bytes.len() >= self.part_bytes {
            let piece = bytes.split_to(self.part_bytes - self.buffer.len());
            let part = if self.buffer.is_empty() { piece } else { self.joined(&piece) };
            self.send(part).await?;
        }
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }

    /// How many bytes were written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Makes the file visible and durable; returns its size.
    ///
    /// # Errors
    /// See the [module](super). If the answer was lost, the file may be visible nevertheless.
    pub async fn finish(mut self) -> Result<u64> {
        let rest = self.buffer.split().freeze();
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        let finished = self.inner.finish().await;
        finished.map_err(|error| error.in_context(format_args!("cannot finish {}", self.url)))?;
        Ok(self.written)
    }

    /// Gives up, and returns when nothing of it is left. Dropping does the same in the background.
    ///
    /// # Errors
    /// See the [module](super).
    pub async fn abort(mut self) -> Result<()> {
        let aborted = self.inner.abort().await;
        aborted.map_err(|error| error.in_context(format_args!("cannot remove the parts of {}", self.url)))
    }

    fn joined(&mut self, piece: &[u8]) -> Bytes {
        self.buffer.extend_from_slice(piece);
        self.buffer.split().freeze()
    }

    async fn send(&mut self, part: Bytes) -> Result<()> {
        let sent = self.inner.write(part).await;
        sent.map_err(|error| error.in_context(format_args!("cannot write {}", self.url)))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("url", &self.url)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
