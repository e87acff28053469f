//! One attempt to run a job: what it may write, and what stands.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::drive::checkpoint_stats::CheckpointKind;
use millstream_core::drive::job_snapshot::JobSnapshot;
use millstream_core::drive::log::{Base, Change, CheckpointRef, JobLog, LogEntry};
use millstream_core::plan::Plan;
use millstream_core::snapshot::CheckpointId;
use millstream_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex as AsyncMutex;

use super::read::{self, Opened};
use super::writer::{CheckpointWriter, Writing, Written};
use super::{CheckpointStore, paths};
use crate::job_log::LogFolder;
use crate::manifest::{Manifest, StageManifest};
use crate::storage::Storage;

/// An attempt whose claim stands: the only one that may write, until a newer one claims.
pub struct Attempt {
    pub(super) store: CheckpointStore,
    log: LogFolder,
    // One entry at a time: while it is not known whether the last one stands there must be no other.
    entries: AsyncMutex<JobLog>,
    claimed: LogEntry,
    damaged: Vec<u64>,
    pub(super) in_flight: Mutex<BTreeSet<CheckpointId>>,
}

/// What an attempt goes on from.
#[derive(Debug)]
pub struct Recovered {
    /// The checkpoint or savepoint.
    pub reference: CheckpointRef,
    /// Where it is.
    pub url: String,
    /// Its state.
    pub snapshot: JobSnapshot,
    /// Newer checkpoints that could not be read, and why: what came after this one is computed again.
    pub passed_over: Vec<(CheckpointRef, Error)>,
}

impl Attempt {
    pub(super) async fn claim(store: CheckpointStore, base: Base) -> Result<Self> {
        let log = LogFolder::of(store.folder());
        let append = JobLog::claim(&store.inner.process, base, store.inner.options.clock.now());
        let done = log.append(append).await?;
        if !done.damaged.is_empty() {
            let (log, entries) = (store.folder().url(), &done.damaged);
            tracing::error!(log, ?entries, "damaged entries of the job's log were passed over");
        }
        let entries = AsyncMutex::new(JobLog::new(done.entry.clone()));
        let (claimed, damaged) = (done.entry, done.damaged);
        Ok(Self { store, log, entries, claimed, damaged, in_flight: Mutex::default() })
    }

    /// The attempt's number: higher than that of any attempt before.
    pub fn epoch(&self) -> u64 {
        self.claimed.epoch
    }

    /// The log's entry that claimed it: what stood when the attempt began.
    pub fn claimed(&self) -> &LogEntry {
        &self.claimed
    }

    /// The number of the first checkpoint that this attempt takes.
    pub fn next_checkpoint(&self) -> CheckpointId {
        self.claimed.next_checkpoint
    }

    /// Numbers of entries of the log that were damaged and passed over.
    pub fn damaged(&self) -> &[u64] {
        &self.damaged
    }

    /// Reads what the attempt goes on from: the newest retained checkpoint that is whole, else the savepoint that it was told to begin
    /// from; `None` for a job that begins from nothing. A damaged checkpoint is passed over with a loud word.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when there are checkpoints, and none is whole; those of the storage.
    pub async fn restore(&self) -> Result<Option<Recovered>> {
        self.store.build_on_nothing();
        let mut passed_over = Vec::new();
        for reference in self.claimed.retained.iter().rev() {
            match self.read(reference).await {
                Ok(opened) => return Ok(Some(self.recovered(reference.clone(), opened, passed_over))),
                Err(error) if error.kind() == ErrorKind::Data => {
                    let (id, reason) = (reference.id, error.chain());
                    tracing::error!(
                        checkpoint = id,
                        reason,
                        "a checkpoint is damaged: an older one is taken"
                    );
                    passed_over.push((reference.clone(), error));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some((reference, error)) = passed_over.into_iter().next() {
            return Err(error.in_context(format_args!(
                "no retained checkpoint is whole, the newest ({}) is damaged: start from a savepoint, or under another name",
                reference.id
            )));
        }
        let Some(url) = &self.claimed.base else { return Ok(None) };
        let opened = self.store.read(url).await?;
        let reference = opened.reference.clone();
        Ok(Some(self.recovered(reference, opened, Vec::new())))
    }

    async fn read(&self, reference: &CheckpointRef) -> Result<Opened> {
        let options = &self.store.inner.options;
        if reference.kind == CheckpointKind::Savepoint {
            return read::open(&reference.path, &options.storage, &options.read).await;
        }
        let opened = read::read(self.store.folder(), &reference.path, &options.read).await?;
        self.store.build_on(&opened.manifest);
        Ok(opened)
    }

    fn recovered(
        &self,
        reference: CheckpointRef,
        opened: Opened,
        passed_over: Vec<(CheckpointRef, Error)>,
    ) -> Recovered {
        tracing::info!(from = opened.url, epoch = self.epoch(), "the job goes on from a checkpoint");
        Recovered { reference, url: opened.url, snapshot: opened.snapshot, passed_over }
    }

    /// Begins to write a checkpoint.
    pub fn checkpoint(&self, id: CheckpointId, kind: CheckpointKind, plan: &Plan) -> CheckpointWriter {
        self.lock().insert(id);
        let folder = paths::checkpoint(id, self.epoch());
        let native = self.store.inner.options.incremental;
        self.writer(self.manifest(id, kind, plan), self.store.folder().clone(), folder, native)
    }

    /// Begins to write a savepoint into a new folder below `dir`, or below `state.savepoints.dir`. It holds entries alone, refers to
    /// nothing outside its folder, and is nobody's to delete but the user's.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when there is no folder for it, or its URL is wrong.
    pub fn savepoint(&self, id: CheckpointId, dir: Option<&str>, plan: &Plan) -> Result<CheckpointWriter> {
        let options = &self.store.inner.options;
        let dir = dir.or(options.savepoints.as_deref()).ok_or_else(|| {
            Error::configuration(
                "no folder for savepoints: set state.savepoints.dir, or name one with the request",
            )
        })?;
        let storage = Storage::open(dir, &options.storage)?.child(&paths::savepoint(self.store.job_id()));
        let manifest = self.manifest(id, CheckpointKind::Savepoint, plan);
        Ok(self.writer(manifest, storage, String::new(), false))
    }

    fn writer(&self, manifest: Manifest, base: Storage, folder: String, native: bool) -> CheckpointWriter {
        CheckpointWriter::new(Writing {
            manifest,
            base,
            folder,
            native,
            shared: self.store.shared(),
            clock: Arc::clone(&self.store.inner.options.clock),
            parts: Mutex::default(),
        })
    }

    fn manifest(&self, checkpoint: CheckpointId, kind: CheckpointKind, plan: &Plan) -> Manifest {
        let stage = |stage: &millstream_core::plan::StageSpec| StageManifest {
            name: stage.name.clone(),
            operators: stage.operators.iter().map(|operator| operator.name.clone()).collect(),
            parallelism: stage.parallelism,
            enumerator: None,
            subtasks: Vec::new(),
        };
        Manifest {
            job: self.store.inner.job.clone(),
            job_id: self.store.job_id(),
            checkpoint,
            epoch: self.epoch(),
            kind,
            time: 0,
            key_groups: plan.key_groups,
            bytes: 0,
            stages: plan.stages.iter().map(stage).collect(),
        }
    }

    /// Makes a written checkpoint stand, and retains the newest `keep`; gives those that are retained no more. Also for the savepoint
    /// that the job is stopped with, which the next attempt goes on from.
    ///
    /// # Errors
    /// See [`LogFolder::append`]: with [`ErrorKind::Fenced`] the attempt must end at once; with [`ErrorKind::Restart`] it may stand or
    /// not, and a new attempt finds out.
    pub async fn complete(&self, written: &Written, keep: usize) -> Result<Vec<CheckpointRef>> {
        let retired = self.append(Change::Complete(written.reference.clone(), keep)).await?;
        if written.reference.kind != CheckpointKind::Savepoint {
            self.store.build_on(&written.manifest);
        }
        self.lock().remove(&written.reference.id);
        Ok(retired)
    }

    /// Notes that a savepoint is complete. It is not retained: it belongs to the user.
    ///
    /// # Errors
    /// See [`complete`](Self::complete).
    pub async fn savepoint_complete(&self, written: &Written) -> Result<()> {
        self.append(Change::Savepoint(written.reference.id)).await.map(drop)
    }

    /// Retains these no more.
    ///
    /// # Errors
    /// See [`complete`](Self::complete).
    pub async fn retire(&self, ids: Vec<CheckpointId>) -> Result<Vec<CheckpointRef>> {
        self.append(Change::Retire(ids)).await
    }

    /// Notes that all input was read and all output committed: the next attempt begins from the start.
    ///
    /// # Errors
    /// See [`complete`](Self::complete).
    pub async fn finish(&self) -> Result<Vec<CheckpointRef>> {
        self.append(Change::Finish).await
    }

    /// A checkpoint was given up: once nothing writes to it any more, [`clean`](Self::clean) removes what it left.
    pub fn abandon(&self, id: CheckpointId) {
        self.lock().remove(&id);
    }

    /// The checkpoints that are retained now, oldest first.
    pub async fn retained(&self) -> Vec<CheckpointRef> {
        self.entries.lock().await.last().retained.clone()
    }

    async fn append(&self, change: Change) -> Result<Vec<CheckpointRef>> {
        let mut entries = self.entries.lock().await;
        let before = entries.last().clone();
        let done = self.log.append(entries.propose(change, self.store.inner.options.clock.now())).await?;
        let retired = before.retired_by(&done.entry).cloned().collect();
        entries.stands(done.entry);
        Ok(retired)
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<CheckpointId>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("store", &self.store).field("epoch", &self.epoch()).finish()
    }
}
