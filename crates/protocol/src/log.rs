//! The log of a job: who may run it, and which checkpoints stand.
//!
//! One folder per job holds numbered entries, each made by **exclusive create**, the one step that every
//! storage has. Each entry carries the whole state, so the highest one says all:
//!
//! - An attempt to run *claims* an epoch, higher than all before. Whoever still runs under a lower one is
//!   **fenced**: its next entry loses the race for its number, or a higher number is found beside it, and it
//!   must stop and touch nothing more.
//! - A checkpoint is complete when its entry stands, neither before nor after. Retention moves in that same
//!   entry; files are deleted afterwards ([`checkpoint_retention`](super::checkpoint_retention)).
//!
//! An answer of the storage may be lost, late or come twice, a write may be torn by a crash. So after a
//! doubtful create the same entry is created again and what is there is read: the same writer and the same
//! content mean that it worked. And as old entries are pruned, a writer that slept for long might create a
//! low number anew: after each create the folder is listed, and a readable higher entry fences.
//!
//! Nothing here does I/O: [`Append`] asks and is answered.
//!
//! ```
//! use millstream_protocol::log::{LogResponse, Append, LogRequest, Base, JobLog};
//!
//! // A storage that is empty and works.
//! let mut claim = JobLog::claim("00112233445566778899aabbccddeeff", Base::Latest, 1_511_500_000_000);
//! assert!(matches!(claim.ask(), LogRequest::List));
//! claim.on(LogResponse::Listed(vec![]));
//! let LogRequest::Create(1, bytes) = claim.ask() else { panic!("the first entry") };
//! claim.on(LogResponse::Created);
//! claim.on(LogResponse::Listed(vec![1])); // it looks again
//! let LogRequest::Done(done) = claim.ask() else { panic!("claimed") };
//! assert_eq!(done.entry.epoch, 1);
//! ```

mod append;
mod entry;

pub use append::{Append, Done, LogRequest, LogResponse};
pub use entry::{CheckpointRef, LogEntry, LogEvent, Unreadable};

use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::Time;

/// What a new attempt goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The latest checkpoint of the job, where there is one.
    Latest,
    /// The savepoint or foreign checkpoint at this URL, unless the job has begun from this very one before:
    /// then its latest checkpoint, so that a start command with a savepoint in it can be repeated after a
    /// crash.
    Savepoint(String),
}

/// What is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new attempt.
    Claim(Base),
    /// A checkpoint was stored whole and is complete; of all checkpoints the newest `keep` are retained.
    Complete(CheckpointRef, usize),
    /// A savepoint was stored whole. It is not retained: it belongs to the user.
    Savepoint(CheckpointId),
    /// These checkpoints are retained no more.
    Retire(Vec<CheckpointId>),
    /// All input was read and all output committed: the next attempt begins from the start.
    Finish,
}

/// The log as the attempt that holds it knows it.
#[derive(Clone, Debug)]
pub struct JobLog {
    last: LogEntry,
}

impl JobLog {
    /// Claims the next epoch. `writer` is 32 random hexadecimal digits, others for each process: by them it
    /// knows its own entries.
    pub fn claim(writer: &str, base: Base, now: Time) -> Append {
        Append::claim(writer, base, now)
    }

    /// Claims the next epoch for a process that had one before, and fails when another process has taken over
    /// since: it may have been frozen, and its time-outs must not win the job back.
    pub fn claim_again(writer: &str, base: Base, now: Time) -> Append {
        Append::claim(writer, base, now).unless_taken_over()
    }

    /// The log for the attempt whose claim stands.
    pub fn new(claimed: LogEntry) -> Self {
        Self { last: claimed }
    }

    /// Proposes a change. One at a time: while it is not known whether the last one stands, there must be no
    /// other.
    pub fn propose(&self, change: Change, now: Time) -> Append {
        Append::after(&self.last, change, now)
    }

    /// The proposal stands.
    pub fn stands(&mut self, entry: LogEntry) {
        self.last = entry;
    }

    /// The last entry that stands.
    pub fn last(&self) -> &LogEntry {
        &self.last
    }
}
