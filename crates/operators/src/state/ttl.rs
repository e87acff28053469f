//! How long a state is kept that nobody touches, as Flink's `StateTtlConfig`.

use std::fmt;
use std::time::Duration;

use millstream_stage::time::{MIN_TIME, Time, millis};

use super::TimerKind;

/// A time to live. What is past it is never returned, is left out of snapshots, and is cleaned up a few keys
/// at a time.
///
/// A list or a map lives and expires as a whole, where Flink keeps a time for each of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    after: Time,
    clock: TimerKind,
    on_read: bool,
}

impl Ttl {
    /// By the wall clock, since the state of a key was last written (`OnCreateAndWrite`). At least 1 ms.
    pub fn processing_time(after: Duration) -> Self {
        Self { after: millis(after).max(1), clock: TimerKind::ProcessingTime, on_read: false }
    }

    /// By the watermark, since the time of the record that last wrote it. At least 1 ms.
    pub fn event_time(after: Duration) -> Self {
        Self { clock: TimerKind::EventTime, ..Self::processing_time(after) }
    }

    /// Reading counts as well (`OnReadAndWrite`).
    #[must_use]
    pub fn updated_on_read(self) -> Self {
        Self { on_read: true, ..self }
    }

    pub(super) fn clock(&self) -> TimerKind {
        self.clock
    }

    /// Whether such an access starts the time anew.
    pub(super) fn counts(&self, access: Access) -> bool {
        self.on_read || access == Access::Write
    }

    /// When what was touched at `updated` is over.
    pub(super) fn expiry(&self, updated: Time) -> Time {
        updated.saturating_add(self.after)
    }

    pub(super) fn is_over(&self, updated: Time, moment: &Moment) -> bool {
        updated != UNKNOWN && self.expiry(updated) <= moment.of(self.clock)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = match self.clock {
            TimerKind::EventTime => "event",
            TimerKind::ProcessingTime => "processing",
        };
        let touched = if self.on_read { "read or written" } else { "written" };
        let after = Duration::from_millis(self.after.unsigned_abs());
        write!(f, "for {after:?} of {clock} time since it was last {touched}")
    }
}

/// The time of a cell that was stored before the state had a time to live: it starts when the cell is next
/// seen.
pub(super) const UNKNOWN: Time = MIN_TIME;

/// How a state is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Where both clocks stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) now: Time,
    pub(super) watermark: Time,
    /// The time of the record at hand.
    pub(super) record: Time,
}

impl Moment {
    pub(super) fn of(&self, clock: TimerKind) -> Time {
        match clock {
            TimerKind::EventTime => self.watermark,
            TimerKind::ProcessingTime => self.now,
        }
    }

    /// What is touched now is as old as that.
    pub(super) fn stamp(&self, clock: TimerKind) -> Time {
        match clock {
            TimerKind::EventTime => self.watermark.max(self.record),
            TimerKind::ProcessingTime => self.now,
        }
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self { now: MIN_TIME, watermark: MIN_TIME, record: MIN_TIME }
    }
}
