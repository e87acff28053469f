//! Stores the files of cold stores: those that the last checkpoint did not have.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use millstream_protocol::layout::SubtaskId;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{FrozenState, NativeFile};
use xxhash_rust::xxh3::Xxh3Default;

use super::paths;
use super::writer::Writing;
use crate::manifest::{FileManifest, NativeFileManifest, NativeManifest};

/// How many files of one cold store travel at a time.
const PARALLEL: usize = 4;

/// What was stored of one cold store.
pub(super) struct StoredNative {
    pub(super) manifest: NativeManifest,
    /// Bytes that travelled.
    pub(super) written: u64,
}

/// Stores an operator's frozen cold store; `None` where it has none.
pub(super) async fn store(
    writing: &Writing,
    place: SubtaskId,
    operator: &str,
    state: Box<dyn FrozenState>,
) -> Result<Result<StoredNative, Box<dyn FrozenState>>> {
    let Some(native) = state.native() else { return Ok(Err(state)) };
    let (format, groups) = (native.format.to_owned(), native.groups.clone());
    let files = native.files.to_vec();
    let tables = state.tables().into_iter().map(Into::into).collect();
    let sent = stream::iter(files).map(|file| send(writing, place, file)).buffered(PARALLEL);
    let sent: Vec<(NativeFileManifest, u64)> = sent.try_collect().await?;
    // Its folder goes with it: many files, perhaps.
    let dropped = tokio::task::spawn_blocking(move || drop(state)).await;
    dropped.map_err(|cause| Error::bug("dropping a frozen store panicked").caused_by(cause))?;
    let written = sent.iter().map(|(_, written)| written).sum();
    let files = sent.into_iter().map(|(file, _)| file).collect();
    let operator = operator.to_owned();
    Ok(Ok(StoredNative { manifest: NativeManifest { operator, tables, format, groups, files }, written }))
}

async fn send(writing: &Writing, place: SubtaskId, native: NativeFile) -> Result<(NativeFileManifest, u64)> {
    let NativeFile { id, name, path: local, bytes, shared } = native;
    let ticket = writing.ticket.as_ref().filter(|_| shared);
    if let Some(file) = ticket.and_then(|ticket| ticket.base.get(&id)) {
        return Ok((NativeFileManifest { id, name, shared, file: file.clone() }, 0));
    }
    let path = match ticket {
        Some(ticket) => {
            let path = paths::shared(writing.manifest.checkpoint, writing.manifest.epoch, &id);
            ticket.brings(&path);
            path
        }
        None => writing.own(&paths::own(place, &id)),
    };
    let (found, xxh3) = checksum(&local).await?;
    if found != bytes {
        let local = local.display();
        return Err(Error::bug(format!("{local} has {found} bytes and not {bytes}: it is not immutable")));
    }
    writing.base.upload_file(&path, &local).await?;
    Ok((NativeFileManifest { id, name, shared, file: FileManifest { path, bytes, xxh3 } }, bytes))
}

/// The length and XXH3 of a local file.
pub(super) async fn checksum(local: &Path) -> Result<(u64, u64)> {
    let path = local.to_owned();
    let ended = tokio::task::spawn_blocking(move || sum(&path)).await;
    let outcome = ended.unwrap_or_else(|cause| Err(io::Error::other(cause)));
    outcome.map_err(|error| Error::retry(format!("cannot read {}", local.display())).caused_by(error))
}

fn sum(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Xxh3Default::new(), 0);
    let mut piece = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, hash.digest()));
        }
        hash.update(&piece[..read]);
        bytes += read as u64;
    }
}
