//! The snapshot that is under way, and who waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_protocol::checkpoint_stats::{CheckpointKind, SubtaskStats};
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::Nanos;

use crate::ask::{Ask, CheckpointDone, ReplyTo};
use crate::checkpoint_storage::{Snapshot, SubtaskSnapshot, WrittenCheckpoint};
use crate::setup::Setup;
use crate::snapshot::JobSnapshot;

/// The snapshot that is under way.
pub(super) struct Flight {
    pub(super) id: CheckpointId,
    pub(super) epoch: u64,
    pub(super) kind: CheckpointKind,
    pub(super) requested: bool,
    // The job ends with it.
    pub(super) last: bool,
    pub(super) dir: Option<String>,
    pub(super) enumerators: Vec<Option<Vec<u8>>>,
    pub(super) parts: Vec<Option<Frozen>>,
    pub(super) written: Option<WrittenCheckpoint>,
}

impl Flight {
    /// Takes a subtask's part; gives its metrics.
    pub(super) fn add(&mut self, setup: &Setup, index: usize, part: SubtaskSnapshot) -> SubtaskStats {
        let SubtaskSnapshot { frozen, alignment, sync } = part;
        self.parts[index] = Some(frozen);
        SubtaskStats {
            stage: setup.stage(index).name.clone(),
            subtask: setup.places[index].subtask,
            alignment: millis(alignment),
            sync: millis(sync),
            asynchronous: 0,
            bytes: 0,
        }
    }

    /// Everything that came, to be stored.
    pub(super) fn take(&mut self) -> Snapshot {
        let frozen = self.parts.drain(..).flatten().collect();
        let enumerators = std::mem::take(&mut self.enumerators);
        let (id, epoch, kind, requested) = (self.id, self.epoch, self.kind, self.requested);
        Snapshot { id, epoch, kind, requested, dir: self.dir.clone(), frozen, enumerators }
    }

    /// The answer to who asked for it.
    pub(super) fn done(&self) -> (CheckpointDone, Option<Arc<JobSnapshot>>) {
        let (id, epoch, kind) = (self.id, self.epoch, self.kind);
        let (url, bytes) = self.written.as_ref().map_or((None, 0), |w| (w.url.clone(), w.bytes));
        let snapshot = self.written.as_ref().and_then(|written| written.snapshot.clone());
        (CheckpointDone { id, epoch, kind, url, bytes }, snapshot)
    }
}

/// Who waits for a snapshot.
#[derive(Default)]
pub(super) struct Askers {
    last: u64,
    waiting: BTreeMap<u64, (Ask, ReplyTo)>,
}

impl Askers {
    /// Gives somebody a number.
    pub(super) fn add(&mut self, ask: Ask, reply: ReplyTo) -> u64 {
        self.last += 1;
        self.waiting.insert(self.last, (ask, reply));
        self.last
    }

    /// Whether the job is to end with it.
    pub(super) fn is_stop(&self, token: u64) -> bool {
        matches!(self.waiting.get(&token), Some((Ask::Stop { .. }, _)))
    }

    /// Where a savepoint is to go.
    pub(super) fn dir(&self, token: u64) -> Option<String> {
        match &self.waiting.get(&token)?.0 {
            Ask::Checkpoint => None,
            Ask::Savepoint(dir) | Ask::Stop { dir, .. } => Some(dir.clone()),
        }
    }

    /// Answers; nobody may wait any more.
    pub(super) fn answer(
        &mut self,
        token: Option<u64>,
        answer: Result<(CheckpointDone, Option<Arc<JobSnapshot>>), String>,
    ) {
        if let Some((_, reply)) = token.and_then(|token| self.waiting.remove(&token)) {
            let _ = reply.send(answer.map_err(Error::retry));
        }
    }
}

/// Nanoseconds as milliseconds.
pub(super) fn millis(nanos: Nanos) -> u64 {
    nanos / 1_000_000
}
