//! The checkpoints of a job as one attempt may write them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_protocol::log::{Append, Base, Change, CheckpointRef, JobLog, LogEntry};
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::plan::Plan;
use millstream_stage::snapshot::CheckpointId;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Mutex as AsyncMutex;

use super::in_flight::InFlight;
use super::read::{self, Opened};
use super::writer::{CheckpointWriter, Writing, WrittenCheckpoint};
use super::{CheckpointStore, paths};
use crate::job_log::LogFolder;
use crate::manifest::{Manifest, StageManifest};

/// The checkpoints of a job as one attempt writes them. Its claim stands: it is the only one that may write,
/// until a newer attempt claims.
pub struct AttemptStore {
    pub(super) store: CheckpointStore,
    log: LogFolder,
    // One entry at a time: while it is not known whether the last one stands there must be no other.
    entries: AsyncMutex<Entries>,
    claimed: LogEntry,
    damaged: Vec<u64>,
    in_flight: Mutex<InFlight>,
    // The manifests of checkpoints that are retained or were until recently.
    manifests: Mutex<BTreeMap<(CheckpointId, u64), Arc<Manifest>>>,
    cleaning: Mutex<Cleaning>,
}

struct Entries {
    log: JobLog,
    /// An entry that may stand or not.
    doubtful: Option<DoubtfulEntry>,
}

struct DoubtfulEntry {
    change: Change,
    append: Append,
    /// What it completes.
    written: Option<WrittenCheckpoint>,
}

/// What clean-up has to do.
#[derive(Default)]
pub(super) struct Cleaning {
    /// Retained no more.
    pub(super) retired: Vec<CheckpointRef>,
    /// Whether all of the folder was looked at.
    pub(super) swept: bool,
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

impl AttemptStore {
    pub(super) async fn claim(store: CheckpointStore, base: Base) -> Result<Self> {
        let log = LogFolder::of(store.folder());
        let again = store.inner.claimed.load(Relaxed);
        let claim = if again { JobLog::claim_again } else { JobLog::claim };
        let mut append = claim(&store.inner.process, base, store.inner.options.clock.now());
        let done = log.append(&mut append).await?;
        store.inner.claimed.store(true, Relaxed);
        if !done.damaged.is_empty() {
            let (log, entries) = (store.folder().url(), &done.damaged);
            tracing::error!(log, ?entries, "damaged entries of the job's log were passed over");
        }
        Ok(Self {
            store,
            log,
            entries: AsyncMutex::new(Entries { log: JobLog::new(done.entry.clone()), doubtful: None }),
            claimed: done.entry,
            damaged: done.damaged,
            in_flight: Mutex::default(),
            manifests: Mutex::default(),
            cleaning: Mutex::default(),
        })
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

    /// Reads what the attempt goes on from: the newest retained checkpoint that is whole, else the savepoint
    /// that it was told to begin from; `None` for a job that begins from nothing. A damaged checkpoint is
    /// passed over, and a warning is logged.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when there are checkpoints, and none is whole; those of the storage.
    pub async fn restore(&self) -> Result<Option<Recovered>> {
        self.restore_without(&[]).await
    }

    /// The same, without the checkpoints whose damage came to light only when operators read them.
    ///
    /// # Errors
    /// See [`restore`](Self::restore).
    pub async fn restore_without(&self, given_up: &[CheckpointId]) -> Result<Option<Recovered>> {
        self.store.build_on_nothing();
        let mut passed_over = Vec::new();
        for reference in self.claimed.retained.iter().rev().filter(|it| !given_up.contains(&it.id)) {
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
        if !given_up.is_empty() {
            return Err(Error::data(
                "no retained checkpoint is left that could be read: start from a savepoint",
            ));
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
        if let Some(manifest) = &opened.manifest {
            self.store.build_on(manifest);
            self.remember(reference, manifest);
        }
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

    /// Begins to write a checkpoint. While the writer, or what comes of it, is alive its files are left
    /// alone; once both are dropped without [`complete`](Self::complete), [`clean`](Self::clean) removes
    /// them.
    pub fn checkpoint(&self, id: CheckpointId, kind: CheckpointKind, plan: &Plan) -> CheckpointWriter {
        let ticket = self.in_flight().begin(id, self.store.shared());
        CheckpointWriter::new(Writing {
            manifest: self.manifest(id, kind, plan),
            base: self.store.folder().clone(),
            folder: paths::checkpoint(id, self.epoch()),
            native: self.store.inner.options.incremental,
            ticket: Some(ticket),
            clock: Arc::clone(&self.store.inner.options.clock),
            parts: Mutex::default(),
        })
    }

    pub(super) fn manifest(&self, checkpoint: CheckpointId, kind: CheckpointKind, plan: &Plan) -> Manifest {
        let stage = |stage: &millstream_stage::plan::StageSpec| StageManifest {
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

    /// Makes a written checkpoint stand, and retains the newest `keep`; gives those that are retained no
    /// more. Also for the savepoint that the job is stopped with, which the next attempt goes on from.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`]: a newer attempt runs the job, this one must end at once and touch nothing more. **With any other error the
    /// checkpoint may stand or not**: call again with the same until it is known; a new attempt finds out as
    /// well.
    pub async fn complete(&self, written: &WrittenCheckpoint, keep: usize) -> Result<Vec<CheckpointRef>> {
        self.append(Change::Complete(written.reference.clone(), keep), Some(written.clone())).await
    }

    /// Retains these no more.
    ///
    /// # Errors
    /// See [`complete`](Self::complete).
    pub async fn retire(&self, ids: Vec<CheckpointId>) -> Result<Vec<CheckpointRef>> {
        self.append(Change::Retire(ids), None).await
    }

    /// Notes that all input was read and all output committed: the next attempt begins from the start.
    ///
    /// # Errors
    /// See [`complete`](Self::complete).
    pub async fn finish(&self) -> Result<Vec<CheckpointRef>> {
        self.append(Change::Finish, None).await
    }

    /// The checkpoints that are retained now, oldest first.
    pub async fn retained(&self) -> Vec<CheckpointRef> {
        self.entries.lock().await.log.last().retained.clone()
    }

    pub(super) async fn append(
        &self,
        change: Change,
        written: Option<WrittenCheckpoint>,
    ) -> Result<Vec<CheckpointRef>> {
        let mut entries = self.entries.lock().await;
        let before = entries.log.last().clone();
        let doubtful = entries.doubtful.take();
        let same = doubtful.as_ref().is_some_and(|doubtful| doubtful.change == change);
        if let Some(doubtful) = doubtful {
            self.stand(&mut entries, doubtful).await?;
        }
        if !same && !stands(&change, entries.log.last()) {
            let append = entries.log.propose(change.clone(), self.store.inner.options.clock.now());
            self.stand(&mut entries, DoubtfulEntry { change, append, written }).await?;
        }
        let retired: Vec<_> = before.retired_by(entries.log.last()).cloned().collect();
        self.cleaning().retired.extend(retired.iter().cloned());
        Ok(retired)
    }

    async fn stand(&self, entries: &mut Entries, mut pending: DoubtfulEntry) -> Result<()> {
        match self.log.append(&mut pending.append).await {
            Ok(done) => entries.log.stands(done.entry),
            Err(error) => {
                entries.doubtful = Some(pending);
                return Err(error);
            }
        }
        if let Some(WrittenCheckpoint { reference, manifest, ticket: Some(ticket), .. }) = &pending.written {
            ticket.stands();
            self.remember(reference, manifest);
            self.store.build_on(manifest);
        }
        Ok(())
    }

    /// Whether it is not known of an entry whether it stands.
    pub(super) async fn in_doubt(&self) -> bool {
        self.entries.lock().await.doubtful.is_some()
    }

    pub(super) fn cleaning(&self) -> MutexGuard<'_, Cleaning> {
        self.cleaning.lock()
    }

    pub(super) fn in_flight(&self) -> MutexGuard<'_, InFlight> {
        self.in_flight.lock()
    }

    pub(super) fn known_manifest(&self, reference: &CheckpointRef) -> Option<Arc<Manifest>> {
        let manifests = self.manifests.lock();
        manifests.get(&(reference.id, reference.epoch)).cloned()
    }

    pub(super) fn remember(&self, reference: &CheckpointRef, manifest: &Arc<Manifest>) {
        let mut manifests = self.manifests.lock();
        manifests.insert((reference.id, reference.epoch), Arc::clone(manifest));
    }

    pub(super) fn forget(&self, retired: &[CheckpointRef]) {
        let mut manifests = self.manifests.lock();
        retired.iter().for_each(|reference| drop(manifests.remove(&(reference.id, reference.epoch))));
    }
}

/// Asked for once more, after another entry has settled the doubt.
fn stands(change: &Change, last: &LogEntry) -> bool {
    matches!(change, Change::Complete(reference, _) if last.retained.contains(reference))
}

impl fmt::Debug for AttemptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptStore").field("store", &self.store).field("epoch", &self.epoch()).finish()
    }
}
