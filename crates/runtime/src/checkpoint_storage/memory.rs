//! Checkpoints in memory: they survive the attempts of a process, not the process.

use std::sync::Arc;

use millstream_protocol::checkpoint_stats::{CheckpointKind, RestoredStats};
use millstream_protocol::checkpointing::Logged;
use millstream_protocol::log::CheckpointRef;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::CheckpointId;
use parking_lot::{Mutex, MutexGuard};

use super::{CheckpointStorage, Claim, CompletedCheckpointStore, Snapshot, WrittenCheckpoint};
use crate::epoch;
use crate::setup::Setup;
use crate::snapshot::JobSnapshot;

/// Keeps the latest checkpoint.
pub(crate) struct Memory {
    epoch: u64,
    place: Arc<LatestSnapshot>,
}

#[derive(Default)]
struct LatestSnapshot(Mutex<Option<Arc<JobSnapshot>>>);

impl Memory {
    /// Begins with a snapshot where there is one.
    pub(crate) fn new(from: Option<Arc<JobSnapshot>>) -> Self {
        Self { epoch: 0, place: Arc::new(LatestSnapshot(Mutex::new(from))) }
    }
}

impl CheckpointStorage for Memory {
    fn claim(&mut self, setup: &Setup, _: &[CheckpointId]) -> Result<Claim> {
        let options = &setup.options;
        self.epoch = match (options.epoch, &options.job_dir) {
            (None, Some(dir)) => epoch::claim(dir)?,
            (given, _) => given.unwrap_or(1).max(self.epoch + 1),
        };
        let from = self.place.lock().clone();
        let restored = from.as_ref().map(|from| RestoredStats {
            id: from.checkpoint,
            epoch: from.epoch,
            time: setup.clock.now(),
            savepoint: false,
            url: String::new(),
        });
        let next_checkpoint = from.as_ref().map_or(1, |from| from.checkpoint + 1);
        let checkpoint_store = Arc::clone(&self.place) as Arc<dyn CompletedCheckpointStore>;
        Ok(Claim {
            epoch: self.epoch,
            next_checkpoint,
            from,
            restored,
            reference: None,
            passed_over: Vec::new(),
            checkpoint_store,
        })
    }

    fn ended(&mut self, _: &Setup, _: bool) {}
}

impl CompletedCheckpointStore for LatestSnapshot {
    fn outlives_the_process(&self) -> bool {
        false
    }

    fn write(&self, setup: &Setup, snapshot: Snapshot) -> Result<WrittenCheckpoint> {
        let Snapshot { id, epoch, kind, requested, frozen, enumerators, .. } = snapshot;
        if kind == CheckpointKind::Savepoint {
            return Err(Error::configuration(
                "this job keeps its checkpoints in memory: set state.checkpoints.dir to take savepoints",
            ));
        }
        let parts = vec![(0, 0); frozen.len()];
        // Nobody can go on from the last one: it is there for the sinks alone.
        let wanted = kind != CheckpointKind::Final || requested;
        let frozen = setup.places.iter().copied().zip(frozen);
        let assemble = || JobSnapshot::assemble(&setup.plan, id, epoch, frozen, enumerators);
        let snapshot = wanted.then(assemble).transpose()?.map(Arc::new);
        Ok(WrittenCheckpoint { stored: None, url: None, snapshot, bytes: 0, bytes_written: 0, parts })
    }

    fn log(&self, _: &Setup, written: &WrittenCheckpoint, _: bool) -> Logged {
        if let Some(snapshot) = &written.snapshot {
            *self.lock() = Some(Arc::clone(snapshot));
        }
        Logged::Stands
    }

    fn finish(&self, _: &Setup) -> Logged {
        Logged::Stands
    }

    fn clean(&self) -> Vec<CheckpointId> {
        Vec::new()
    }

    fn retire(&self, _: Vec<CheckpointId>) -> Result<()> {
        Ok(())
    }

    fn retained(&self) -> Vec<CheckpointRef> {
        Vec::new()
    }
}

impl LatestSnapshot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<JobSnapshot>>> {
        self.0.lock()
    }
}
