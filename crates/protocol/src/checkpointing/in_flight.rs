//! The snapshot that is under way.

use std::time::Duration;

use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::{Nanos, nanos};

use crate::checkpoint_stats::CheckpointKind;

/// The first pause before a log entry in doubt is tried again, and the longest.
const LOG_RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The snapshot that is under way.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) id: CheckpointId,
    pub(super) kind: CheckpointKind,
    /// Operators commit by it.
    pub(super) commits: bool,
    /// The job ends with it.
    pub(super) last: bool,
    pub(super) request: Option<u64>,
    pub(super) began: Nanos,
    pub(super) step: Step,
}

/// How far it has come.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// By subtask, whether its part is frozen.
    Freezing(Vec<bool>),
    Writing,
    Logging(Doubt),
}

/// What is known of a log entry that was asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    tries: u32,
    /// When it is to be tried again.
    pub(super) retry_at: Option<Nanos>,
    /// When it last counted as a failure.
    pub(super) counted_at: Option<Nanos>,
}

impl Doubt {
    /// It is still not known.
    pub(super) fn persists(&mut self, now: Nanos) {
        let pause = (LOG_RETRY[0] * 2_u32.saturating_pow(self.tries.min(10))).min(LOG_RETRY[1]);
        self.tries += 1;
        self.retry_at = Some(now.saturating_add(nanos(pause)));
    }

    /// Whether it is to be tried now.
    pub(super) fn due(&mut self, now: Nanos) -> bool {
        self.retry_at.take_if(|at| *at <= now).is_some()
    }
}

impl InFlight {
    /// A subtask's part is frozen; whether all are now.
    pub(super) fn frozen(&mut self, subtask: usize) -> bool {
        let Step::Freezing(frozen) = &mut self.step else { return false };
        if let Some(part) = frozen.get_mut(subtask) {
            *part = true;
        }
        frozen.iter().all(|frozen| *frozen)
    }

    /// Whether a subtask has not given its part yet.
    pub(super) fn is_freezing(&self) -> bool {
        matches!(self.step, Step::Freezing(_))
    }

    /// Whether its entry may stand already.
    pub(super) fn is_in_doubt(&self) -> bool {
        matches!(self.step, Step::Logging(_))
    }

    /// When it expires. One whose entry may stand does not.
    pub(super) fn expires_at(&self, timeout: Duration) -> Option<Nanos> {
        (!self.is_in_doubt()).then(|| self.began.saturating_add(nanos(timeout)))
    }
}
