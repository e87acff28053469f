//! What can be asked of a job's checkpoints, and the answer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::snapshot::CheckpointId;
use serde::Serialize;

use crate::snapshot::JobSnapshot;

/// A request for a checkpoint, a savepoint or a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A checkpoint for recovery.
    Checkpoint,
    /// A savepoint below this URL.
    Savepoint(String),
    /// The same, and the end of the job; with the final watermark before, where it is to drain.
    Stop { dir: String, drain: bool },
}

/// Where the answer goes; with the snapshot itself, where it is kept in memory.
pub(crate) type ReplyTo = Sender<CheckpointResult>;

type CheckpointResult = Result<(CheckpointDone, Option<Arc<JobSnapshot>>)>;

/// A checkpoint or savepoint that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointDone {
    /// Its number.
    pub id: CheckpointId,
    /// The attempt that took it.
    pub epoch: u64,
    /// What it is for.
    pub kind: CheckpointKind,
    /// Where it is; none where it is in memory alone.
    pub url: Option<String>,
    /// How large it is; 0 where it is in memory alone.
    pub bytes: u64,
}

/// A checkpoint or savepoint that was asked for.
#[derive(Debug)]
pub struct Pending(Receiver<CheckpointResult>);

impl Pending {
    /// Something that is on its way, and where to say how it went.
    pub(crate) fn channel() -> (ReplyTo, Self) {
        let (reply, answer) = channel();
        (reply, Self(answer))
    }

    /// Waits for it.
    ///
    /// # Errors
    /// Why there is none; [`ErrorKind::Restart`] when the attempt ended before it was complete.
    pub fn wait(self) -> Result<CheckpointDone> {
        self.answer().map(|(done, _)| done)
    }

    /// Waits for it and the snapshot.
    pub(crate) fn answer(self) -> CheckpointResult {
        self.0.recv().unwrap_or_else(|_| Err(job_is_over()))
    }
}

/// The answer to whoever wants something of a job that has ended.
pub(crate) fn job_is_over() -> Error {
    Error::new(ErrorKind::Restart, "the job has ended or failed: no checkpoint can be taken")
}
