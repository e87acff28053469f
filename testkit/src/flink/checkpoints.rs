//! What Flink's REST interface says of checkpoints.

use serde::Deserialize;

/// Whether a savepoint can be read by another state backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavepointFormat {
    /// One format for all state backends.
    Canonical,
    /// The state backend's own.
    Native,
}

/// Statistics of a job's checkpoints.
#[derive(Clone, Debug, Deserialize)]
pub struct Checkpoints {
    /// How many there were under the present leader.
    pub counts: CheckpointCounts,
    /// The latest one of each kind.
    pub latest: LatestCheckpoints,
}

/// Numbers of checkpoints under the present leader.
#[derive(Clone, Debug, Deserialize)]
pub struct CheckpointCounts {
    /// How often the job was restored.
    pub restored: u64,
    /// All that were triggered.
    pub total: u64,
    /// Those that are under way.
    pub in_progress: u64,
    /// Those that were completed.
    pub completed: u64,
    /// Those that failed.
    pub failed: u64,
}

/// The latest checkpoint of each kind.
#[derive(Clone, Debug, Deserialize)]
pub struct LatestCheckpoints {
    /// Completed; not a savepoint.
    pub completed: Option<Checkpoint>,
    /// A savepoint that was completed.
    pub savepoint: Option<Checkpoint>,
    /// One that failed.
    pub failed: Option<FailedCheckpoint>,
    /// The one that the job was restored from.
    pub restored: Option<RestoredCheckpoint>,
}

/// A checkpoint that was completed.
#[derive(Clone, Debug, Deserialize)]
pub struct Checkpoint {
    /// Its id, which grows over leaders and restarts.
    pub id: u64,
    /// Where it can be restored from.
    #[serde(default)]
    pub external_path: Option<String>,
    /// The size of the whole state, in bytes.
    pub state_size: u64,
    /// What of it was written for this checkpoint and was not there before, in bytes.
    pub checkpointed_size: u64,
    /// How long it took, in ms.
    pub end_to_end_duration: u64,
}

/// A checkpoint that failed.
#[derive(Clone, Debug, Deserialize)]
pub struct FailedCheckpoint {
    /// Its id.
    pub id: u64,
    /// Why.
    #[serde(default)]
    pub failure_message: Option<String>,
}

/// The checkpoint that a job was restored from.
#[derive(Clone, Debug, Deserialize)]
pub struct RestoredCheckpoint {
    /// Its id.
    pub id: u64,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// Where it is.
    #[serde(default)]
    pub external_path: Option<String>,
}

impl SavepointFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Canonical => "CANONICAL",
            Self::Native => "NATIVE",
        }
    }
}

impl Checkpoints {
    /// The id of the latest checkpoint that this attempt knows: completed, or restored from.
    pub fn latest_id(&self) -> Option<u64> {
        let completed = self.latest.completed.as_ref().map(|checkpoint| checkpoint.id);
        completed.max(self.latest.restored.as_ref().map(|checkpoint| checkpoint.id))
    }
}
