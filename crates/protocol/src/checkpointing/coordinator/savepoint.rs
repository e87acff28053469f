//! When savepoints are taken: on request, by interval, and as the last snapshot of a job that is stopped or
//! drained.

use millstream_record::ErrorKind;
use millstream_stage::time::{Nanos, nanos};

use super::super::messages::{AbortReason, CoordinatorDecision, Request, Wanted};
use super::{CheckpointCoordinator, Last, Phase};
use crate::checkpoint_stats::CheckpointKind;

/// Whether operators commit by a snapshot. A savepoint commits nothing, unless the job ends with it: what its
/// operators froze belongs to the next checkpoint.
pub(super) fn commits(kind: CheckpointKind, last: Last) -> bool {
    kind != CheckpointKind::Savepoint || last != Last::No
}

impl CheckpointCoordinator {
    /// Begins the snapshot that somebody asked for.
    pub(super) fn begin_requested(&mut self, Request { token, wanted }: Request, now: Nanos) {
        let (kind, last) = match (wanted, self.all_ended()) {
            (Wanted::Checkpoint, true) => (CheckpointKind::Final, Last::Ended),
            (Wanted::Checkpoint, false) => (CheckpointKind::Checkpoint, Last::No),
            (Wanted::Savepoint, _) => (CheckpointKind::Savepoint, Last::No),
            (Wanted::Stop { .. }, true) => (CheckpointKind::Savepoint, Last::Ended),
            (Wanted::Stop { drain: false }, false) => (CheckpointKind::Savepoint, Last::Held),
            (Wanted::Stop { drain: true }, false) => return self.drain(token),
        };
        self.trigger(kind, last, Some(token), now);
    }

    /// Begins a savepoint whose interval is over.
    pub(super) fn begin_periodic_savepoint(&mut self, now: Nanos) {
        self.savepoint_at = self.options.savepoint_interval.map(|every| now.saturating_add(nanos(every)));
        self.trigger(CheckpointKind::Savepoint, Last::No, None, now);
    }

    // The sources end first, so that all windows fire; the savepoint comes last.
    fn drain(&mut self, token: u64) {
        self.phase = Phase::Draining { token };
        self.decisions.push(CoordinatorDecision::StopSources { drain: true });
    }

    /// Begins the savepoint of a job whose sources have ended for it.
    pub(super) fn begin_drained(&mut self, token: u64, now: Nanos) {
        self.trigger(CheckpointKind::Savepoint, Last::Ended, Some(token), now);
    }

    /// The savepoint of a drained job has failed: the job cannot go on, for its windows cannot be unfired.
    pub(super) fn drained_in_vain(&mut self, reason: &AbortReason) {
        let message = format!(
            "the job was drained, and its savepoint failed: {reason}. It goes back to its latest checkpoint"
        );
        // Whoever asked has been answered.
        self.phase = Phase::Running;
        self.fail_job(ErrorKind::Restart, message);
    }
}
