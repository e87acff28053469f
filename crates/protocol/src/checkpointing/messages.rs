//! The events that the coordinator takes, and the decisions that it makes.

use std::fmt;
use std::time::Duration;

use millstream_record::{Error, ErrorKind};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;

use crate::checkpoint_stats::CheckpointKind;

/// A request for a checkpoint, a savepoint or a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number by which decisions refer to this request.
    pub token: u64,
    /// What is requested.
    pub wanted: Wanted,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A checkpoint, now.
    Checkpoint,
    /// A savepoint; the job goes on.
    Savepoint,
    /// A savepoint, and then the end of the job.
    Stop {
        /// Whether event time ends before it, so that every window fires.
        drain: bool,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorEvent {
    /// All subtasks run.
    Started,
    /// A time that was asked for has come.
    Tick,
    /// A request has come.
    Requested(Request),
    /// A subtask's part is frozen.
    Frozen {
        /// The snapshot.
        id: CheckpointId,
        /// The subtask's number among all of the job.
        subtask: usize,
    },
    /// A subtask cannot take part: the snapshot cannot be completed, the job runs on.
    Declined {
        /// The snapshot.
        id: CheckpointId,
        /// For people.
        why: String,
    },
    /// All files of the snapshot are stored, or could not be.
    Written {
        /// The snapshot.
        id: CheckpointId,
        /// Why not.
        result: Result<(), String>,
    },
    /// What came of the snapshot's log entry.
    Logged {
        /// The snapshot.
        id: CheckpointId,
        /// What came of it.
        logged: Logged,
    },
    /// A subtask has done all its work.
    Ended {
        /// Its number among all of the job.
        subtask: usize,
        /// How.
        end: End,
    },
    /// A subtask that has ended has also done what it had to after `completed` of the last snapshot: its
    /// output is committed. The driver says this of each subtask after the last
    /// [`CoordinatorDecision::Complete`].
    Settled {
        /// Its number among all of the job.
        subtask: usize,
    },
    /// The job is to stop in order, without a savepoint.
    Stop,
    /// What came of [`CoordinatorDecision::LogFinish`].
    FinishLogged(Logged),
    /// The job fails, for whatever reason.
    Failed,
}

/// What came of a log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// It stands.
    Stands,
    /// A newer attempt has taken over.
    Fenced(String),
    /// It is not known.
    Unknown(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoordinatorDecision {
    /// Snapshot the enumerators, then tell all subtasks.
    Trigger {
        /// The snapshot.
        id: CheckpointId,
        /// What it is for.
        kind: CheckpointKind,
        /// Sources read nothing behind the barrier until they hear how it ended.
        hold: bool,
        /// Who asked for it.
        request: Option<u64>,
    },
    /// All parts are frozen: store them.
    Write(CheckpointId),
    /// All is stored: append the entry that makes it complete. Asked again while the answer is unknown.
    Log(CheckpointId),
    /// It stands. Tell who asked, delete what is retained no more, and tell the operators.
    Complete {
        /// The snapshot.
        id: CheckpointId,
        /// Operators hear `completed` (true), or `aborted` (false) because it is a savepoint and commits
        /// nothing.
        commits: bool,
        /// It is the last one: after it each subtask says when it has settled.
        last: bool,
        /// Who asked for it.
        request: Option<u64>,
    },
    /// It will not complete: operators hear `aborted`, its files may be deleted.
    Abort {
        /// The snapshot.
        id: CheckpointId,
        /// Why.
        reason: AbortReason,
        /// Who asked for it.
        request: Option<u64>,
    },
    /// A request that is not met.
    Refuse {
        /// Who asked.
        token: u64,
        /// For people.
        why: String,
    },
    /// Tell the sources to end.
    StopSources {
        /// As if everything were read: event time ends, every window fires ([`End::Finished`]). Else open
        /// windows are left alone ([`End::Stopped`]).
        drain: bool,
    },
    /// Log that the job has finished.
    LogFinish,
    /// All is done, or what is not done is in the last checkpoint: close the subtasks.
    Release,
    /// The job must fail; its [restart strategy](crate::restart_strategy) decides what follows.
    FailJob {
        /// What may be done about it.
        kind: ErrorKind,
        /// For people.
        message: String,
    },
}

impl CoordinatorDecision {
    /// The error of [`FailJob`](Self::FailJob).
    pub fn into_error(self) -> Option<Error> {
        match self {
            Self::FailJob { kind, message } => Some(Error::new(kind, message)),
            _ => None,
        }
    }
}

/// Why a snapshot is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// It took longer than this.
    Expired(Duration),
    /// A subtask could not take part.
    Declined(String),
    /// It could not be stored.
    Write(String),
    /// A savepoint's entry could not be logged.
    Log(String),
    /// The job failed.
    JobFailed,
}

impl AbortReason {
    /// Whether it counts against the tolerable failures.
    pub fn counts(&self) -> bool {
        match self {
            Self::Expired(_) | Self::Declined(_) | Self::Write(_) | Self::Log(_) => true,
            Self::JobFailed => false,
        }
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(after) => write!(
                f,
                "it was not complete within {after:?} (execution.checkpointing.timeout): the alignment times of its subtasks say which of them held the barrier"
            ),
            Self::Declined(why) => write!(f, "a part of it could not be taken: {why}"),
            Self::Write(why) => write!(f, "it could not be stored: {why}"),
            Self::Log(why) => write!(f, "it could not be logged: {why}"),
            Self::JobFailed => f.write_str("the job failed"),
        }
    }
}
