//! Writes a subtask's state file: encoded on a blocking thread, sent by the runtime, a few pieces in between.

use bytes::{Bytes, BytesMut};
use millstream_record::{Error, Result};
use millstream_stage::snapshot::FrozenState;
use millstream_storage::{Storage, Upload};
use tokio::sync::mpsc;

use crate::format::{FileSummary, SectionSummary, StateFileWriter};
use crate::manifest::FileManifest;

/// Pieces, of about a block each, between the two threads.
const PIECES: usize = 16;

/// A smaller file is sent in one request.
const SMALL_BYTES: usize = 4 << 20;

/// What becomes one section.
pub(super) enum Source {
    /// Keyed state.
    Keyed(Box<dyn FrozenState>),
    /// Items of a list, in their order.
    Items(Vec<Vec<u8>>),
}

/// What was written.
pub(super) struct Stored {
    /// By source.
    pub(super) sections: Vec<SectionSummary>,
    /// None if there was no entry.
    pub(super) file: Option<FileManifest>,
}

/// Writes the sources to a new file, which is visible afterwards.
pub(super) async fn write(storage: &Storage, path: &str, sources: Vec<Source>) -> Result<Stored> {
    if sources.is_empty() {
        return Ok(Stored { sections: Vec::new(), file: None });
    }
    let (pieces, arrived) = mpsc::channel(PIECES);
    let encoding = tokio::task::spawn_blocking(move || encode(sources, &pieces));
    // Where sending fails its receiver is dropped, and encoding ends as well.
    let pending = send(storage, path, arrived).await?;
    let ended =
        encoding.await.map_err(|cause| Error::bug("encoding a snapshot panicked").caused_by(cause))?;
    let (sections, FileSummary { bytes, checksum }) = ended?;
    if sections.iter().all(|section| section.entries == 0) {
        return Ok(Stored { sections, file: None });
    }
    pending.finish(storage, path).await?;
    let file = FileManifest { path: path.to_owned(), bytes, xxh3: checksum };
    Ok(Stored { sections, file: Some(file) })
}

fn encode(sources: Vec<Source>, pieces: &mpsc::Sender<Bytes>) -> Result<(Vec<SectionSummary>, FileSummary)> {
    let gone = |_| Error::retry("the checkpoint was given up");
    let mut writer = StateFileWriter::new(|bytes| pieces.blocking_send(bytes).map_err(gone))?;
    let mut sections = Vec::with_capacity(sources.len());
    for source in sources {
        match source {
            Source::Keyed(state) => {
                state.entries(&mut |group, table, entry| writer.entry(group, table, entry))?;
            }
            Source::Items(items) => items.iter().try_for_each(|item| writer.entry(0, 0, item))?,
        }
        sections.push(writer.end_section()?);
    }
    Ok((sections, writer.finish()?))
}

/// All bytes of a file, not yet visible.
enum UnfinishedFile {
    Small(Bytes),
    Large(Upload),
}

impl UnfinishedFile {
    async fn finish(self, storage: &Storage, path: &str) -> Result<()> {
        match self {
            Self::Small(bytes) => storage.put(path, bytes).await,
            Self::Large(upload) => upload.finish().await.map(drop),
        }
    }
}

async fn send(storage: &Storage, path: &str, mut pieces: mpsc::Receiver<Bytes>) -> Result<UnfinishedFile> {
    let mut first = BytesMut::new();
    while let Some(piece) = pieces.recv().await {
        first.extend_from_slice(&piece);
        if first.len() >= SMALL_BYTES {
            let mut upload = storage.upload(path).await?;
            upload.write(first.freeze()).await?;
            while let Some(piece) = pieces.recv().await {
                upload.write(piece).await?;
            }
            return Ok(UnfinishedFile::Large(upload));
        }
    }
    Ok(UnfinishedFile::Small(first.freeze()))
}
