//! Reads checkpoints and savepoints.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_snapshot::{JobSnapshot, StagePart};
use millstream_protocol::log::CheckpointRef;
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::plan::Plan;
use millstream_stage::snapshot::{Committable, KeyedPart, NativeReader, OperatorList, StageSnapshot};
use millstream_storage::{Storage, StorageOptions};

use super::check;
use super::native_part::{NativePart, NativePartFile};
use super::stored_part::StoredPart;
use crate::flink_savepoint;
use crate::format::{FileSummary, StateFile};
use crate::manifest::{
    CHECKPOINT_MANIFEST, FileManifest, Items, Manifest, NativeFileManifest, NativeManifest,
    SAVEPOINT_MANIFEST, SubtaskManifest,
};

/// How many subtasks' parts are opened at a time.
const PARALLEL: usize = 8;

/// How files of cold stores are read.
#[derive(Clone, Default)]
pub struct ReadOptions {
    /// The local folder that they are brought to, best on the file system of the cold store; `None`: they
    /// stay where they are, and can be looked at but not restored.
    pub local: Option<PathBuf>,
    /// Reads them entry by entry where they cannot be taken over as they are.
    pub natives: Option<Arc<dyn NativeReader>>,
    /// The names of the job's operators: savepoints of Flink know stages by hashes of them alone.
    pub operators: Vec<String>,
}

impl ReadOptions {
    /// The same for a job of this plan.
    #[must_use]
    pub fn for_plan(self, plan: &Plan) -> Self {
        let operators = plan.stages.iter().flat_map(|stage| &stage.operators);
        Self { operators: operators.map(|operator| operator.name.clone()).collect(), ..self }
    }
}

/// A checkpoint or savepoint that is whole. Entries are read when a subtask asks for them.
#[derive(Debug)]
pub struct Opened {
    /// What it is. For a savepoint the path is its URL.
    pub reference: CheckpointRef,
    /// Where it is.
    pub url: String,
    /// What it consists of; none for one that Flink wrote.
    pub manifest: Option<Arc<Manifest>>,
    /// Its state.
    pub snapshot: JobSnapshot,
}

/// Reads the savepoint or checkpoint at `url`: its folder, or the manifest in it. It may be one that the same
/// pipeline wrote in Flink.
///
/// # Errors
/// See [`read`]; [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when there is
/// none.
pub async fn open(url: &str, storage: &StorageOptions, options: &ReadOptions) -> Result<Opened> {
    let folder = folder_of(url);
    let place = Storage::open(folder, storage)?;
    if let Some(metadata) = place.get(SAVEPOINT_MANIFEST).await? {
        if flink_savepoint::is_one(&metadata) {
            return flink_savepoint::open(&metadata, &place, storage, options).await;
        }
        return read(&place, "", options).await;
    }
    if place.size(CHECKPOINT_MANIFEST).await?.is_none() {
        return Err(Error::configuration(format!(
            "{folder} is neither a savepoint nor a checkpoint: there is no {SAVEPOINT_MANIFEST} and no {CHECKPOINT_MANIFEST} in it"
        )));
    }
    let (job, name) = folder.rsplit_once('/').unwrap_or(("", folder));
    read(&Storage::open(job, storage)?, name, options).await
}

/// Reads the checkpoint in the folder `path` of `base`, or the savepoint at `base` if `path` is empty.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the file, when one is missing, cut or
/// damaged (blocks of entries are looked at when they are read); those of the storage.
pub async fn read(base: &Storage, path: &str, options: &ReadOptions) -> Result<Opened> {
    let url = base.child(path).url();
    let opened = whole(base, path, options).await;
    let (manifest, snapshot) = opened.map_err(|error| error.in_context(format_args!("snapshot {url}")))?;
    let Manifest { checkpoint: id, epoch, kind, time, bytes, .. } = manifest;
    let path = if kind == CheckpointKind::Savepoint { url.clone() } else { path.to_owned() };
    let reference = CheckpointRef { id, epoch, kind, path, time, bytes };
    Ok(Opened { reference, url, manifest: Some(Arc::new(manifest)), snapshot })
}

/// Reads a checkpoint's or savepoint's manifest alone; see [`read`].
///
/// # Errors
/// See [`read`].
pub async fn read_manifest(base: &Storage, path: &str) -> Result<Manifest> {
    let name = if path.is_empty() { SAVEPOINT_MANIFEST } else { CHECKPOINT_MANIFEST };
    let folder = base.child(path);
    let bytes = folder.get(name).await?;
    let bytes = bytes.ok_or_else(|| Error::data(format!("{}/{name} is missing", folder.url())))?;
    Manifest::decode(&bytes).map_err(|error| error.in_context(format_args!("{}/{name}", folder.url())))
}

async fn whole(base: &Storage, path: &str, options: &ReadOptions) -> Result<(Manifest, JobSnapshot)> {
    let manifest = read_manifest(base, path).await?;
    check::complete(base, &manifest).await?;
    let mut stages = Vec::new();
    for stage in &manifest.stages {
        // Collected first: else the compiler does not see that the whole can be sent to another thread.
        let parts: Vec<_> = stage.subtasks.iter().map(|subtask| part(base, subtask, options)).collect();
        let parts: Vec<_> = stream::iter(parts).buffered(PARALLEL).try_collect().await?;
        let mut state = StageSnapshot::default();
        parts.into_iter().for_each(|part| merge(&mut state, part));
        let enumerator = stage.enumerator.clone().map(|encoded| encoded.0);
        stages.push(StagePart {
            name: stage.name.clone(),
            operators: stage.operators.clone(),
            state,
            enumerator,
        });
    }
    let Manifest { job, checkpoint, epoch, key_groups, .. } = &manifest;
    let snapshot = JobSnapshot {
        job: job.clone(),
        checkpoint: *checkpoint,
        epoch: *epoch,
        key_groups: *key_groups,
        stages,
    };
    Ok((manifest, snapshot))
}

async fn part(base: &Storage, subtask: &SubtaskManifest, options: &ReadOptions) -> Result<StageSnapshot> {
    let file = match &subtask.file {
        None => None,
        Some(file) => {
            let written = FileSummary { bytes: file.bytes, checksum: file.xxh3 };
            Some(Arc::new(StateFile::open(base, &file.path, written).await?))
        }
    };
    let mut keyed: BTreeMap<String, Vec<Arc<dyn KeyedPart>>> = BTreeMap::new();
    for stored in &subtask.keyed {
        let part = StoredPart::new(file.clone(), stored);
        keyed.entry(stored.operator.clone()).or_default().push(Arc::new(part));
    }
    for stored in &subtask.native {
        let NativeManifest { tables, format, groups, .. } = stored.clone();
        let tables = tables.into_iter().map(Into::into).collect();
        let part = NativePart::here(tables, format, groups, Vec::new(), options.natives.clone());
        let files = stored.files.iter().map(|file| native_file(base, file)).collect();
        let part = part.bring(files, options).await?;
        keyed.entry(stored.operator.clone()).or_default().push(Arc::new(part));
    }
    let mut all = StageSnapshot { keyed, ..StageSnapshot::default() };
    for list in &subtask.lists {
        let (operator, state) = (list.operator.clone(), list.state.clone());
        let items = items(file.as_deref(), &list.items).await?;
        all.lists.push(OperatorList { operator, state, items, redistribute: list.redistribute.into() });
    }
    for commit in &subtask.commits {
        let handles = items(file.as_deref(), &commit.handles).await?.into_iter();
        let subtask = commit.subtask;
        let commits =
            handles.map(|handle| Committable { operator: commit.operator.clone(), subtask, handle });
        all.commits.extend(commits);
    }
    Ok(all)
}

fn native_file(base: &Storage, stored: &NativeFileManifest) -> NativePartFile {
    let NativeFileManifest { id, name, shared, file } = stored.clone();
    let FileManifest { path, bytes, xxh3 } = file;
    NativePartFile { storage: base.clone(), path, id, name, shared, bytes, xxh3: Some(xxh3) }
}

async fn items(file: Option<&StateFile>, items: &Items) -> Result<Vec<Vec<u8>>> {
    match (items, file) {
        (Items::Here(items), _) => Ok(items.iter().map(|item| item.0.clone()).collect()),
        (Items::Section(_), None) => Ok(Vec::new()),
        (Items::Section(section), Some(file)) => {
            let mut items = Vec::new();
            let mut blocks = file.blocks(*section, &(0..KeyGroup::MAX));
            while let Some(run) = blocks.try_next().await? {
                let mut take = |_, _, item: &[u8]| {
                    items.push(item.to_vec());
                    Ok(())
                };
                run.iter().try_for_each(|block| block.emit(&mut take))?;
            }
            Ok(items)
        }
    }
}

/// Adds the part of a subtask.
pub(crate) fn merge(all: &mut StageSnapshot, part: StageSnapshot) {
    for (operator, parts) in part.keyed {
        all.keyed.entry(operator).or_default().extend(parts);
    }
    all.lists.extend(part.lists);
    all.commits.extend(part.commits);
}

fn folder_of(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    let manifest = url.strip_suffix(SAVEPOINT_MANIFEST).or_else(|| url.strip_suffix(CHECKPOINT_MANIFEST));
    manifest.and_then(|folder| folder.strip_suffix('/')).unwrap_or(url)
}

impl fmt::Debug for ReadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOptions").field("local", &self.local).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::folder_of;

    #[test]
    fn a_snapshot_may_be_named_by_its_manifest() {
        for url in ["s3://b/savepoint-1", "s3://b/savepoint-1/", "s3://b/savepoint-1/_metadata"] {
            assert_eq!(folder_of(url), "s3://b/savepoint-1");
        }
        assert_eq!(folder_of("file:///c/chk-1-2/manifest"), "file:///c/chk-1-2");
        assert_eq!(folder_of("file:///c/my_metadata"), "file:///c/my_metadata");
    }
}
