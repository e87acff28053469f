//! Checkpoints in a storage, with a log: they survive the process.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use millstream_checkpoint::store::{
    AttemptStore, CheckpointStore, CheckpointWriter, ReadOptions, Recovered, StoreOptions, open,
};
use millstream_protocol::checkpoint_options::Retention;
use millstream_protocol::checkpoint_stats::{CheckpointKind, RestoredStats};
use millstream_protocol::checkpointing::Logged;
use millstream_protocol::layout::SubtaskId;
use millstream_protocol::log::{Base, CheckpointRef};
use millstream_record::{ErrorKind, Result};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::{Nanos, nanos};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};

use super::{CheckpointStorage, Claim, CompletedCheckpointStore, Snapshot, StartFrom, WrittenCheckpoint};
use crate::setup::Setup;
use crate::snapshot::JobSnapshot;
use crate::{epoch, io};

// How many subtasks' parts are stored at a time.
const PARTS_AT_A_TIME: usize = 4;
// How long what is under way may take when the job has ended.
const GRACE: Duration = Duration::from_secs(2);
// Threads that wait for storages; what is heavy runs on others.
const THREADS: usize = 1;

/// A job's checkpoints below a URL.
pub(crate) struct Stored {
    store: CheckpointStore,
    threads: Arc<Threads>,
    start_from: StartFrom,
    probed: bool,
    attempt: Option<Arc<AttemptStore>>,
}

impl Stored {
    /// Below this URL. No I/O.
    ///
    /// # Errors
    /// A URL or options that are wrong.
    pub(crate) fn new(url: &str, setup: &Setup, start_from: StartFrom, read: ReadOptions) -> Result<Self> {
        let options = StoreOptions {
            storage: setup.options.storage.clone(),
            savepoints: setup.options.savepoints_dir.clone(),
            incremental: setup.options.incremental,
            read,
            clock: Arc::clone(&setup.clock),
        };
        let store = CheckpointStore::open(url, &setup.plan.name, options)?;
        Ok(Self { store, threads: Arc::new(Threads::start()?), start_from, probed: false, attempt: None })
    }

    fn base(&self) -> Base {
        match &self.start_from {
            StartFrom::Savepoint(url) => Base::Savepoint(url.clone()),
            StartFrom::Latest | StartFrom::Snapshot(_) => Base::Latest,
        }
    }

    // Epochs that were claimed without a log count too: stores remember them in versions.
    fn claim_above(&self, floor: u64) -> Result<AttemptStore> {
        loop {
            let attempt = self.threads.wait(self.store.claim(self.base()))?;
            if attempt.epoch() > floor {
                return Ok(attempt);
            }
        }
    }

    fn recover(
        &self,
        setup: &Setup,
        attempt: &AttemptStore,
        given_up: &[CheckpointId],
    ) -> Result<Option<Recovered>> {
        let Some(recovered) = self.threads.wait(attempt.restore_without(given_up))? else { return Ok(None) };
        recovered.snapshot.validate_allowing(&setup.plan, setup.allow_non_restored)?;
        Ok(Some(recovered))
    }
}

impl CheckpointStorage for Stored {
    fn claim(&mut self, setup: &Setup, given_up: &[CheckpointId]) -> Result<Claim> {
        if !self.probed {
            self.threads.wait(self.store.probe())?;
            self.probed = true;
        }
        let dir = setup.options.job_dir.as_deref();
        let mut attempt = self.claim_above(dir.map_or(Ok(0), epoch::latest)?)?;
        remember(dir, attempt.epoch());
        let recovered = self.recover(setup, &attempt, given_up)?;
        let before = recovered.as_ref().map_or(0, |recovered| epoch_before(setup, &recovered.snapshot));
        if attempt.epoch() <= before {
            attempt = self.claim_above(before)?;
            remember(dir, attempt.epoch());
        }
        let attempt = Arc::new(attempt);
        self.attempt = Some(Arc::clone(&attempt));
        let restored = recovered.as_ref().map(|recovered| RestoredStats {
            id: recovered.reference.id,
            epoch: recovered.reference.epoch,
            time: setup.clock.now(),
            savepoint: recovered.reference.kind == CheckpointKind::Savepoint,
            url: recovered.url.clone(),
        });
        let reference = recovered.as_ref().map(|recovered| recovered.reference.clone());
        let mut passed_over = given_up.to_vec();
        let damaged = recovered.iter().flat_map(|recovered| &recovered.passed_over);
        passed_over.extend(damaged.map(|(reference, _)| reference.id));
        let from = match (recovered, &self.start_from) {
            (Some(recovered), _) => Some(Arc::new(recovered.snapshot)),
            (None, StartFrom::Snapshot(snapshot)) => Some(Arc::clone(snapshot)),
            (None, _) => None,
        };
        let (epoch, next_checkpoint) = (attempt.epoch(), attempt.next_checkpoint());
        let checkpoint_store =
            Arc::new(Pages { attempt, threads: Arc::clone(&self.threads), retained: Mutex::default() });
        Ok(Claim { epoch, next_checkpoint, from, restored, reference, passed_over, checkpoint_store })
    }

    fn ended(&mut self, setup: &Setup, cancelled: bool) {
        let gone = match setup.options.checkpointing.retention {
            Retention::RetainOnCancellation => false,
            Retention::DeleteOnCancellation => cancelled,
            Retention::NoExternalizedCheckpoints => true,
        };
        let Some(attempt) = self.attempt.clone().filter(|_| gone) else { return };
        let removed = self.threads.wait(async {
            let ids = attempt.retained().await.iter().map(|reference| reference.id).collect();
            attempt.retire(ids).await?;
            attempt.clean().await
        });
        if let Err(error) = removed {
            tracing::warn!("the job's checkpoints could not be deleted: {}", error.chain());
        }
    }
}

/// The attempt of the same job that a snapshot is of; its log may have been another one. Snapshots of Flink
/// do not tell the job's name.
fn epoch_before(setup: &Setup, snapshot: &JobSnapshot) -> u64 {
    if snapshot.job.is_empty() || snapshot.job == setup.plan.name { snapshot.epoch } else { 0 }
}

/// The threads that wait for a storage. They end with the last who needs them: a clean-up may outlast its
/// job.
struct Threads {
    handle: Handle,
    // Taken when dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    fn start() -> Result<Self> {
        let runtime = io::runtime(THREADS)?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(GRACE);
        }
    }
}

/// Reads a savepoint for a job that keeps its checkpoints in memory.
///
/// # Errors
/// Returns the errors of the storage, and an error for a snapshot that is damaged or does not fit.
pub(crate) fn read(url: &str, setup: &Setup, options: &ReadOptions) -> Result<JobSnapshot> {
    let runtime = io::runtime(THREADS)?;
    let opened = runtime.block_on(open(url, &setup.options.storage, options))?;
    // Its parts are read later, by the subtasks' own means.
    Ok(opened.snapshot)
}

/// The log of one attempt.
struct Pages {
    attempt: Arc<AttemptStore>,
    threads: Arc<Threads>,
    // Checkpoints that stood before the last entry.
    retained: Mutex<BTreeSet<CheckpointId>>,
}

impl Pages {
    async fn store(&self, setup: &Setup, snapshot: Snapshot) -> Result<WrittenCheckpoint> {
        let Snapshot { id, kind, dir, frozen, enumerators, .. } = snapshot;
        let writer = match kind {
            CheckpointKind::Savepoint => self.attempt.savepoint(id, dir.as_deref(), &setup.plan)?,
            CheckpointKind::Checkpoint | CheckpointKind::Final => {
                self.attempt.checkpoint(id, kind, &setup.plan)
            }
        };
        let parts = setup.places.iter().copied().zip(frozen);
        let parts = stream::iter(parts).map(|(place, frozen)| part(&writer, place, frozen));
        let metrics: Vec<_> = match parts.buffered(PARTS_AT_A_TIME).try_collect().await {
            Ok(metrics) => metrics,
            Err(error) => {
                if let Err(left) = writer.discard().await {
                    tracing::warn!(
                        "files that were written for a checkpoint are left behind: {}",
                        left.chain()
                    );
                }
                return Err(error);
            }
        };
        let bytes_written = metrics.iter().map(|(_, _, written)| written).sum();
        let parts = metrics.iter().map(|(took, bytes, _)| (*took, *bytes)).collect();
        let written = writer.finish(enumerators).await?;
        let (url, bytes) = (Some(written.url.clone()), written.reference.bytes);
        Ok(WrittenCheckpoint { stored: Some(written), url, snapshot: None, bytes, bytes_written, parts })
    }
}

async fn part(writer: &CheckpointWriter, place: SubtaskId, frozen: Frozen) -> Result<(Nanos, u64, u64)> {
    let metrics = writer.part(place, frozen).await?;
    Ok((nanos(metrics.took), metrics.bytes, metrics.written))
}

impl CompletedCheckpointStore for Pages {
    fn outlives_the_process(&self) -> bool {
        true
    }

    fn write(&self, setup: &Setup, snapshot: Snapshot) -> Result<WrittenCheckpoint> {
        self.threads.wait(self.store(setup, snapshot))
    }

    fn log(&self, setup: &Setup, written: &WrittenCheckpoint, last: bool) -> Logged {
        let Some(stored) = &written.stored else { return Logged::Stands };
        let keep = setup.options.checkpointing.num_retained;
        let logged = self.threads.wait(async {
            if stored.reference.kind == CheckpointKind::Savepoint && !last {
                return self.attempt.savepoint_complete(stored).await.map(|()| Vec::new());
            }
            self.attempt.complete(stored, keep).await
        });
        self.outcome(logged)
    }

    fn finish(&self, _: &Setup) -> Logged {
        let finished = self.threads.wait(self.attempt.finish());
        let logged = self.outcome(finished);
        if logged == Logged::Stands {
            self.clean();
        }
        logged
    }

    fn clean(&self) -> Vec<CheckpointId> {
        if let Err(error) = self.threads.wait(self.attempt.clean()) {
            // The next one tries again.
            tracing::warn!("{}", error.chain());
        }
        std::mem::take(&mut *self.retained.lock()).into_iter().collect()
    }

    fn retire(&self, ids: Vec<CheckpointId>) -> Result<()> {
        self.threads.wait(self.attempt.retire(ids)).map(drop)
    }

    fn retained(&self) -> Vec<CheckpointRef> {
        self.threads.wait(self.attempt.retained())
    }
}

impl Pages {
    fn outcome(&self, logged: Result<Vec<CheckpointRef>>) -> Logged {
        match logged {
            Ok(retired) => {
                let mut gone = self.retained.lock();
                gone.extend(retired.iter().map(|reference| reference.id));
                Logged::Stands
            }
            Err(error) if error.kind() == ErrorKind::Fenced => Logged::Fenced(error.chain()),
            Err(error) => Logged::Unknown(error.chain()),
        }
    }
}

// So that a job that goes on without a log claims a higher one.
fn remember(job_dir: Option<&Path>, epoch: u64) {
    if let Some(dir) = job_dir
        && let Err(error) = epoch::remember(dir, epoch)
    {
        tracing::debug!("{}", error.chain());
    }
}
