//! How a job is doing, in Flink's words.

use std::fmt;

use millstream_record::ErrorKind;
use millstream_stage::time::Time;
use serde::{Deserialize, Serialize};

/// The status of a job. Names and meanings are Flink's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// The first attempt is being prepared.
    Initializing,
    /// All subtasks run.
    Running,
    /// An attempt failed; its subtasks are being ended.
    Failing,
    /// An attempt failed; the next one is waited for or prepared.
    Restarting,
    /// Somebody cancelled it; its subtasks are being ended.
    Cancelling,
    /// It was cancelled.
    Canceled,
    /// Everything was read, or it was stopped with a savepoint.
    Finished,
    /// It failed and is not started again.
    Failed,
    /// It was stopped in order and goes on when it is started again.
    Suspended,
}

impl JobStatus {
    /// Flink's name, such as `RUNNING`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Restarting => "RESTARTING",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Suspended => "SUSPENDED",
        }
    }

    /// Whether nothing more happens.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::Finished | Self::Failed | Self::Suspended)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One failure of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// When, in epoch milliseconds.
    pub time: Time,
    /// The message and every cause below it.
    pub error: String,
    /// What was to be done about it.
    pub kind: ErrorKind,
    /// The subtask, such as ``stage `sum` (subtask 1 of 2)``; none where it was none.
    pub task: Option<String>,
    /// The attempt.
    pub epoch: u64,
}
