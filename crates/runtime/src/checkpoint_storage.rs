//! Where the checkpoints of a job are kept: in memory, or in a storage with a log.

mod memory;
mod stored;

pub(crate) use memory::Memory;
pub(crate) use stored::{Stored, read};

use std::sync::Arc;

use millstream_protocol::checkpoint_stats::{CheckpointKind, RestoredStats};
use millstream_protocol::checkpointing::Logged;
use millstream_protocol::log::CheckpointRef;
use millstream_record::Result;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::Nanos;

use crate::setup::Setup;
use crate::snapshot::JobSnapshot;

/// What one subtask froze, and how long that took.
pub(crate) struct SubtaskSnapshot {
    pub(crate) frozen: Frozen,
    /// From the first barrier to the last one.
    pub(crate) alignment: Nanos,
    /// From the last barrier to the frozen state.
    pub(crate) sync: Nanos,
}

/// All that a snapshot consists of.
pub(crate) struct Snapshot {
    pub(crate) id: CheckpointId,
    pub(crate) epoch: u64,
    pub(crate) kind: CheckpointKind,
    /// Somebody asked for it.
    pub(crate) requested: bool,
    /// Of a savepoint: the URL below which it goes.
    pub(crate) dir: Option<String>,
    /// By subtask.
    pub(crate) frozen: Vec<Frozen>,
    /// By stage.
    pub(crate) enumerators: Vec<Option<Vec<u8>>>,
}

/// A snapshot that was stored, and is not complete yet.
#[derive(Clone)]
pub(crate) struct WrittenCheckpoint {
    /// What the log is told of it; none where it is in memory.
    pub(crate) stored: Option<millstream_checkpoint::store::WrittenCheckpoint>,
    /// Its URL.
    pub(crate) url: Option<String>,
    /// Where it is in memory: itself.
    pub(crate) snapshot: Option<Arc<JobSnapshot>>,
    /// How large it is.
    pub(crate) bytes: u64,
    /// What was written for it alone.
    pub(crate) bytes_written: u64,
    /// By subtask: how long writing its part took, and its size.
    pub(crate) parts: Vec<(Nanos, u64)>,
}

/// What a new attempt begins with.
pub(crate) struct Claim {
    pub(crate) epoch: u64,
    pub(crate) next_checkpoint: CheckpointId,
    pub(crate) from: Option<Arc<JobSnapshot>>,
    pub(crate) restored: Option<RestoredStats>,
    /// What it goes on from, as the log knows it.
    pub(crate) reference: Option<CheckpointRef>,
    /// Newer ones that cannot be read: to be retired once the job runs without them.
    pub(crate) passed_over: Vec<CheckpointId>,
    pub(crate) checkpoint_store: Arc<dyn CompletedCheckpointStore>,
}

/// Where the checkpoints of a job are kept, through all of its attempts.
pub(crate) trait CheckpointStorage: Send {
    /// Claims an epoch and reads what to go on from, but for these checkpoints.
    ///
    /// # Errors
    /// A place that cannot be written, or holds nothing that can be read.
    fn claim(&mut self, setup: &Setup, given_up: &[CheckpointId]) -> Result<Claim>;
    /// Somebody cancelled the job, or it failed: its checkpoints go, where its options say so.
    fn ended(&mut self, setup: &Setup, cancelled: bool);
}

/// The checkpoints of one attempt. Its calls may take long: they are made on threads of their own.
pub(crate) trait CompletedCheckpointStore: Send + Sync {
    /// Whether the next process can go on from what is stored here.
    fn outlives_the_process(&self) -> bool;
    /// Stores a snapshot.
    ///
    /// # Errors
    /// Returns the errors of reading the frozen state and of the storage.
    fn write(&self, setup: &Setup, snapshot: Snapshot) -> Result<WrittenCheckpoint>;
    /// Logs that a snapshot is complete. `last`: the job ends with it, and goes on from it.
    fn log(&self, setup: &Setup, written: &WrittenCheckpoint, last: bool) -> Logged;
    /// Logs that the job has read everything.
    fn finish(&self, setup: &Setup) -> Logged;
    /// Deletes what is retained no more or was given up; gives the numbers of the checkpoints that were
    /// retained until then.
    fn clean(&self) -> Vec<CheckpointId>;
    /// Logs that these are retained no more.
    ///
    /// # Errors
    /// Returns the errors of the storage, and a *fenced* error when a newer attempt has taken over.
    fn retire(&self, ids: Vec<CheckpointId>) -> Result<()>;
    /// What is retained, oldest first.
    fn retained(&self) -> Vec<CheckpointRef>;
}

/// What a job begins with where it has no checkpoint of its own.
pub(crate) enum StartFrom {
    /// Nothing.
    Latest,
    /// This snapshot.
    Snapshot(Arc<JobSnapshot>),
    /// The savepoint at this URL.
    Savepoint(String),
}
