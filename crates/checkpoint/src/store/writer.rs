//! One checkpoint or savepoint in the making.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use millstream_protocol::layout::SubtaskId;
use millstream_protocol::log::CheckpointRef;
use millstream_record::{Error, Result};
use millstream_stage::plan::StageId;
use millstream_stage::snapshot::{Frozen, FrozenState, TableSchema};
use millstream_stage::time::Clock;
use millstream_storage::Storage;
use parking_lot::Mutex;

use super::in_flight::Ticket;
use super::items::Outgoing;
use super::native::{self, StoredNative};
use super::paths;
use super::state_file::{self, Source};
use crate::manifest::{
    CHECKPOINT_MANIFEST, Encoded, KeyedManifest, Manifest, SAVEPOINT_MANIFEST, SubtaskManifest,
};

/// Writes one checkpoint or savepoint. Cheap to clone: parts may be written at the same time. What is dropped
/// before it has finished leaves files behind that the next [`AttemptStore::clean`](super::AttemptStore::clean)
/// removes.
#[derive(Clone)]
pub struct CheckpointWriter {
    writing: Arc<Writing>,
}

pub(super) struct Writing {
    /// What is known of it so far: all but its subtasks.
    pub(super) manifest: Manifest,
    /// What paths are relative to.
    pub(super) base: Storage,
    /// The checkpoint's folder within the base; empty for a savepoint, whose folder is the base.
    pub(super) folder: String,
    /// Whether cold stores hand over files instead of entries.
    pub(super) native: bool,
    /// Where it is a checkpoint: keeps its files from being cleaned up.
    pub(super) ticket: Option<Arc<Ticket>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) parts: Mutex<BTreeMap<(StageId, u16), SubtaskManifest>>,
}

/// What became of one subtask's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartMetrics {
    /// How large it is, files that it shares with earlier checkpoints included.
    pub bytes: u64,
    /// What was written for it.
    pub written: u64,
    /// How long that took.
    pub took: Duration,
}

/// A checkpoint or savepoint that is there whole. It does not stand before the log says so.
#[derive(Clone)]
pub struct WrittenCheckpoint {
    /// For the log.
    pub reference: CheckpointRef,
    /// Where it is.
    pub url: String,
    /// What it consists of.
    pub manifest: Arc<Manifest>,
    pub(super) ticket: Option<Arc<Ticket>>,
}

impl CheckpointWriter {
    pub(super) fn new(writing: Writing) -> Self {
        Self { writing: Arc::new(writing) }
    }

    /// Where it will be.
    pub fn url(&self) -> String {
        self.writing.base.child(&self.writing.folder).url()
    }

    /// Stores what one subtask froze. Call it from the runtime; what is heavy is done on its blocking
    /// threads.
    ///
    /// # Errors
    /// Returns the errors of the storage and of reading the frozen state: the checkpoint cannot be finished
    /// then.
    pub async fn part(&self, place: SubtaskId, frozen: Frozen) -> Result<PartMetrics> {
        let begun = self.writing.clock.nanos();
        let stored = self.writing.store(place, frozen).await;
        let (manifest, mut metrics) =
            stored.map_err(|error| error.in_context(format_args!("checkpoint at {}", self.url())))?;
        self.writing.lock().insert((place.stage, place.subtask), manifest);
        metrics.took = Duration::from_nanos(self.writing.clock.nanos().saturating_sub(begun));
        Ok(metrics)
    }

    /// Writes the manifest, with the states of the enumerators by stage. All parts must be there.
    ///
    /// # Errors
    /// Returns the errors of the storage; [`ErrorKind::Bug`](millstream_record::ErrorKind::Bug) when parts
    /// are missing.
    pub async fn finish(self, enumerators: Vec<Option<Vec<u8>>>) -> Result<WrittenCheckpoint> {
        let mut manifest = self.writing.complete(enumerators)?;
        manifest.bytes += manifest.encode()?.len() as u64;
        let manifest = Arc::new(manifest);
        let name = if self.writing.folder.is_empty() { SAVEPOINT_MANIFEST } else { CHECKPOINT_MANIFEST };
        self.writing.base.put(&self.writing.own(name), manifest.encode()?.into()).await?;
        let url = self.url();
        let path = if self.writing.folder.is_empty() { url.clone() } else { self.writing.folder.clone() };
        let Manifest { checkpoint: id, epoch, kind, time, bytes, .. } = *manifest;
        let reference = CheckpointRef { id, epoch, kind, path, time, bytes };
        Ok(WrittenCheckpoint { reference, url, manifest, ticket: self.writing.ticket.clone() })
    }

    /// Gives up. An unfinished savepoint is deleted; a checkpoint's files are left to the clean-up.
    ///
    /// # Errors
    /// Returns the errors of the storage: files may be left in the savepoint's folder.
    pub async fn discard(self) -> Result<()> {
        if self.writing.ticket.is_some() {
            return Ok(());
        }
        let files = self.writing.base.list("").await?;
        let files: Vec<_> = files.into_iter().map(|file| file.path).collect();
        self.writing.base.delete(&files).await
    }
}

impl Writing {
    /// A file of its own, relative to the base.
    pub(super) fn own(&self, name: &str) -> String {
        if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) }
    }

    async fn store(&self, place: SubtaskId, frozen: Frozen) -> Result<(SubtaskManifest, PartMetrics)> {
        let Frozen { keyed, lists, commits } = frozen;
        let (natives, keyed) = self.natives(place, keyed).await?;
        let (mut sources, mut named) = (Vec::new(), Vec::new());
        for (operator, state) in keyed {
            named.push((operator, state.tables()));
            sources.push(Source::Keyed(state));
        }
        let outgoing = Outgoing::new(lists, commits, &mut sources);
        let stored = state_file::write(&self.base, &self.own(&paths::state(place)), sources).await?;
        let written = outgoing.here + stored.file.as_ref().map_or(0, |file| file.bytes);
        let mut metrics = PartMetrics { bytes: written, written, took: Duration::ZERO };
        for native in &natives {
            metrics.written += native.written;
            metrics.bytes += native.manifest.files.iter().map(|file| file.file.bytes).sum::<u64>();
        }
        let manifest = SubtaskManifest {
            subtask: place.subtask,
            keyed: named.into_iter().zip(stored.sections).map(keyed_manifest).collect(),
            file: stored.file,
            native: natives.into_iter().map(|native| native.manifest).collect(),
            lists: outgoing.lists,
            commits: outgoing.commits,
        };
        Ok((manifest, metrics))
    }

    /// Stores what cold stores hand over as files; gives back what is to be written as entries.
    async fn natives(
        &self,
        place: SubtaskId,
        keyed: Vec<(String, Box<dyn FrozenState>)>,
    ) -> Result<(Vec<StoredNative>, Vec<(String, Box<dyn FrozenState>)>)> {
        if !self.native {
            return Ok((Vec::new(), keyed));
        }
        let (mut natives, mut entries) = (Vec::new(), Vec::new());
        // Collected first: else the compiler does not see that the whole can be sent to another thread.
        let stores: Vec<_> = keyed.into_iter().map(|(name, state)| self.native(place, name, state)).collect();
        let stored: Vec<_> = stream::iter(stores).buffered(2).try_collect().await?;
        for (operator, stored) in stored {
            match stored {
                Ok(native) => natives.push(native),
                Err(state) => entries.push((operator, state)),
            }
        }
        Ok((natives, entries))
    }

    async fn native(
        &self,
        place: SubtaskId,
        operator: String,
        state: Box<dyn FrozenState>,
    ) -> Result<(String, Result<StoredNative, Box<dyn FrozenState>>)> {
        let stored = native::store(self, place, &operator, state).await?;
        Ok((operator, stored))
    }

    fn complete(&self, enumerators: Vec<Option<Vec<u8>>>) -> Result<Manifest> {
        let mut parts = std::mem::take(&mut *self.lock());
        let mut manifest = self.manifest.clone();
        let mut enumerators = enumerators.into_iter();
        for (id, stage) in (0..).zip(&mut manifest.stages) {
            stage.enumerator = enumerators.next().flatten().map(Encoded);
            for subtask in 0..stage.parallelism {
                let part = parts.remove(&(id, subtask));
                let missing =
                    || Error::bug(format!("stage `{}` has no part of subtask {subtask}", stage.name));
                stage.subtasks.push(part.ok_or_else(missing)?);
            }
        }
        manifest.bytes = manifest.files().map(|file| file.bytes).sum();
        manifest.time = self.clock.now();
        Ok(manifest)
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, BTreeMap<(StageId, u16), SubtaskManifest>> {
        self.parts.lock()
    }
}

fn keyed_manifest(
    ((operator, tables), section): ((String, Vec<TableSchema>), crate::format::SectionSummary),
) -> KeyedManifest {
    KeyedManifest {
        operator,
        tables: tables.into_iter().map(Into::into).collect(),
        groups: section.groups,
        entries: section.entries,
        section: section.section,
    }
}

impl fmt::Debug for WrittenCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenCheckpoint")
            .field("reference", &self.reference)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckpointWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckpointWriter").field(&self.url()).finish()
    }
}
