//! Savepoints and checkpoints that a pipeline wrote in Flink, for a job that goes on in one process.
//!
//! Flink's `_metadata` says of each operator where the state of its subtasks is. An operator of Flink is a
//! stage (`flink_form` says what it keeps), or what brings splits to the stage of a source. Both are found by
//! the hash of the stage's uid, which is the name of its first operator. State names its operators itself.

mod canonical;
mod coordinator;
mod files;
mod handles;
mod lists;
mod metadata;
mod operator_id;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_snapshot::{JobSnapshot, StagePart};
use millstream_protocol::log::CheckpointRef;
use millstream_record::record::to_bytes;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{OperatorList, Redistribute, StageSnapshot};
use millstream_stage::source::SPLITS;
use millstream_storage::{Storage, StorageOptions};

use self::coordinator::EnumeratorState;
use self::files::Files;
pub(crate) use self::files::StoredFile;
use self::handles::{KeyedHandle, ListOffsets};
use self::metadata::{Metadata, OperatorState, SubtaskState, foreign};
use self::operator_id::OperatorId;
use crate::flink_form::SPLITS_SUFFIX;
use crate::keyed_files::{self, KeyedOperator};
use crate::store::{Opened, ReadOptions, merge};

/// How many subtasks' parts are opened at a time.
const PARALLEL: usize = 8;

/// The list of Flink's own in the operator that brings splits. The harness keeps nothing there.
const READER_STATE: &str = "SourceReaderState";

/// Whether a file `_metadata` is one of Flink's.
pub(crate) fn is_one(metadata: &[u8]) -> bool {
    metadata.starts_with(&metadata::MAGIC)
}

/// Reads the savepoint or checkpoint in a folder.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when a file is missing, cut or damaged,
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for one that is not of this
/// pipeline, or cannot be gone on from; those of the storage.
pub(crate) async fn open(
    metadata: &Bytes,
    folder: &Storage,
    storage: &StorageOptions,
    options: &ReadOptions,
) -> Result<Opened> {
    let url = folder.url();
    let read = read(metadata, folder, storage, options).await;
    let (snapshot, bytes) = read.map_err(|error| error.in_context(format_args!("Flink's snapshot {url}")))?;
    let JobSnapshot { checkpoint: id, epoch, .. } = snapshot;
    let kind = CheckpointKind::Savepoint;
    let reference = CheckpointRef { id, epoch, kind, path: url.clone(), time: 0, bytes };
    Ok(Opened { reference, url, manifest: None, snapshot })
}

async fn read(
    metadata: &Bytes,
    folder: &Storage,
    storage: &StorageOptions,
    options: &ReadOptions,
) -> Result<(JobSnapshot, u64)> {
    let read = Metadata::read(metadata).map_err(|error| error.in_context("its _metadata"));
    let Metadata { checkpoint, operators } = read?;
    let stages = stages(operators, &options.operators)?;
    let mut files = Files::new(folder, storage);
    let mut opened = Vec::new();
    let (mut epoch, mut key_groups) = (0, 0);
    for stage in stages {
        key_groups = stage.key_groups;
        epoch = epoch.max(stage.epoch);
        let subtasks = stage.subtasks.iter().map(|subtask| SubtaskFiles::find(subtask, &mut files));
        opened.push((stage.part, subtasks.collect::<Result<Vec<_>>>()?));
    }
    files.complete().await?;
    let mut stages = Vec::new();
    for (mut part, subtasks) in opened {
        // Collected first: else the compiler does not see that the whole can be sent to another thread.
        let read: Vec<_> = subtasks.into_iter().map(|subtask| subtask.read(options)).collect();
        let read: Vec<_> = stream::iter(read).buffered(PARALLEL).try_collect().await?;
        read.into_iter().for_each(|read| merge(&mut part.state, read));
        part.operators.extend(part.state.operators().into_iter().map(str::to_owned));
        stages.push(part);
    }
    // Flink does not write down the job's name.
    let snapshot = JobSnapshot { job: String::new(), checkpoint, epoch, key_groups, stages };
    Ok((snapshot, files.total() + metadata.len() as u64))
}

/// What one subtask keeps, and where.
struct SubtaskFiles {
    lists: Option<(Vec<ListOffsets>, StoredFile)>,
    keyed: Option<KeyedFiles>,
}

enum KeyedFiles {
    Canonical { first: u16, offsets: Vec<u64>, file: StoredFile },
    Native { manifest: StoredFile, files: BTreeMap<String, StoredFile> },
}

impl SubtaskFiles {
    fn find(subtask: &SubtaskState, files: &mut Files<'_>) -> Result<Self> {
        let lists = subtask.lists.as_ref();
        let lists = lists.map(|lists| Ok((lists.states.clone(), files.find(&lists.file)?))).transpose()?;
        let keyed = subtask.keyed.as_ref().map(|keyed| KeyedFiles::find(keyed, files)).transpose()?;
        Ok(Self { lists, keyed })
    }

    async fn read(self, options: &ReadOptions) -> Result<StageSnapshot> {
        let mut state = match self.lists {
            None => StageSnapshot::default(),
            Some((states, file)) => lists::read(&states, &file.read().await?)?,
        };
        let keyed = match self.keyed {
            None => Vec::new(),
            Some(keyed) => keyed.read(options).await?,
        };
        for (operator, part) in keyed {
            state.keyed.entry(operator).or_default().push(part);
        }
        Ok(state)
    }
}

impl KeyedFiles {
    fn find(handle: &KeyedHandle, files: &mut Files<'_>) -> Result<Self> {
        Ok(match handle {
            KeyedHandle::Canonical { first, offsets, file } => {
                Self::Canonical { first: *first, offsets: offsets.clone(), file: files.find(file)? }
            }
            KeyedHandle::Native { manifest, files: named } => {
                let found = named.iter().map(|(name, file)| Ok((name.clone(), files.find(file)?)));
                Self::Native { files: found.collect::<Result<_>>()?, manifest: files.find(manifest)? }
            }
        })
    }

    async fn read(self, options: &ReadOptions) -> Result<Vec<KeyedOperator>> {
        match self {
            Self::Canonical { first, offsets, file } => canonical::open(first, &offsets, file).await,
            Self::Native { manifest, files } => {
                let manifest = manifest.read().await?;
                if !manifest.starts_with(b"{") {
                    return Err(foreign("keyed state of Flink's own backends"));
                }
                keyed_files::read_stored(&manifest, &files, options).await
            }
        }
    }
}

/// A stage, whose state is still to be read.
#[derive(Default)]
struct Stage {
    part: StagePart,
    subtasks: Vec<SubtaskState>,
    epoch: u64,
    key_groups: u16,
}

/// Which of a stage's two operators in Flink it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Stage,
    Splits,
}

/// Puts the operators of Flink together to stages.
fn stages(operators: Vec<OperatorState>, names: &[String]) -> Result<Vec<Stage>> {
    let known = known(names);
    if !operators.iter().any(|operator| known.contains_key(&operator.id)) {
        return Err(foreign(&format!("{} operators of which none is of this pipeline", operators.len())));
    }
    let mut stages: BTreeMap<String, Stage> = BTreeMap::new();
    for operator in operators {
        let is_known = known.contains_key(&operator.id);
        let (name, role) = known.get(&operator.id).cloned().unwrap_or_else(|| named(&operator));
        let stage = stages.entry(name.clone()).or_default();
        stage.part.name.clone_from(&name);
        stage.key_groups = operator.key_groups;
        if is_known && !stage.part.operators.contains(&name) {
            stage.part.operators.push(name.clone());
        }
        let added = match role {
            Role::Stage => stage.add(operator),
            Role::Splits => stage.add_splits(&name, operator, is_known),
        };
        added.map_err(|error| error.in_context(format_args!("stage `{name}`")))?;
    }
    Ok(stages.into_values().collect())
}

/// The operators that the job may have in Flink.
fn known(names: &[String]) -> BTreeMap<OperatorId, (String, Role)> {
    let both = names.iter().flat_map(|name| {
        let splits = OperatorId::of_uid(&format!("{name}{SPLITS_SUFFIX}"));
        [(OperatorId::of_uid(name), (name.clone(), Role::Stage)), (splits, (name.clone(), Role::Splits))]
    });
    both.collect()
}

/// What an operator is that the job does not have.
fn named(operator: &OperatorState) -> (String, Role) {
    let uid = operator.uid.clone().unwrap_or_else(|| operator.id.to_string());
    let lists = operator.subtasks.iter().flatten().filter_map(|subtask| subtask.lists.as_ref());
    let mut states = lists.flat_map(|lists| &lists.states);
    if !states.any(|state| state.name == READER_STATE) {
        return (uid, Role::Stage);
    }
    (uid.strip_suffix(SPLITS_SUFFIX).map_or_else(|| uid.clone(), str::to_owned), Role::Splits)
}

impl Stage {
    fn add(&mut self, operator: OperatorState) -> Result<()> {
        self.epoch = operator.coordinator.as_ref().map_or(Ok(0), coordinator::epoch)?;
        self.subtasks = operator.subtasks.unwrap_or_default();
        Ok(())
    }

    /// The part that finds splits. Splits that no reader had yet are given to the stage.
    fn add_splits(&mut self, name: &str, operator: OperatorState, is_known: bool) -> Result<()> {
        let Some(subtasks) = operator.subtasks else {
            return if is_known { Err(finished()) } else { Ok(()) };
        };
        for lists in subtasks.iter().filter_map(|subtask| subtask.lists.as_ref()) {
            lists::check(&lists.states, &[])?;
        }
        let state = operator.coordinator.ok_or_else(|| foreign("a source without an enumerator"))?;
        let EnumeratorState { snapshot, on_their_way } = EnumeratorState::read(&state)?;
        self.part.enumerator = Some(snapshot);
        if !on_their_way.is_empty() {
            self.part.state.lists.push(OperatorList {
                operator: name.to_owned(),
                state: SPLITS.to_owned(),
                items: on_their_way.iter().map(to_bytes).collect(),
                redistribute: Redistribute::Split,
            });
        }
        Ok(())
    }
}

fn finished() -> Error {
    Error::configuration(
        "the source had read everything and ended, and Flink keeps nothing of a source that has ended: a job that goes on from here \
         would read everything again. Let the job end in Flink, or take an earlier checkpoint",
    )
}

#[cfg(test)]
mod tests;
