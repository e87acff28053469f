//! Windows: an [`AggregateFunction`] says what is computed, a [`WindowAssigner`] for which spans of event
//! time, and a [`Trigger`] when the result goes out.

pub mod aligned;
pub mod allowed_lateness;
pub mod assigner;
mod calendar;
mod cold;
mod emit;
mod frozen;
pub mod operator;
mod pane;
pub mod session;
mod session_merge;
pub mod spec;
pub mod trigger;

pub use crate::aggregate_function::{
    AggregateFunction, Average, Collect, Count, Max, Min, Reduce, Sum, TopN,
};
pub use assigner::{Cumulative, Global, Session, Sliding, Tumbling, WindowAssigner};
pub use calendar::Calendar;
pub use emit::WindowFunction;
pub use operator::{SessionOperator, WindowOperator};
pub use spec::WindowSpec;
pub use trigger::{
    CountTrigger, DefaultTrigger, EventTimeTrigger, Never, ProcessingTimeTrigger, Purging, Trigger,
    TriggerContext, TriggerResult,
};

use millstream_stage::time::{MAX_TIME, Time};

/// A window of time, `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, millstream_record::Record)]
pub struct Window {
    /// The first millisecond in it.
    pub start: Time,
    /// The first millisecond behind it.
    pub end: Time,
}

impl Window {
    /// The one window of all time.
    pub const GLOBAL: Self = Self { start: Time::MIN, end: MAX_TIME };

    /// The last millisecond in it; results carry it as their event time.
    pub fn max_timestamp(&self) -> Time {
        if self.end == MAX_TIME { MAX_TIME } else { self.end.saturating_sub(1) }
    }

    /// Whether a time is in it.
    pub fn contains(&self, time: Time) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether the two overlap or touch, as Flink's `TimeWindow.intersects`: such session windows merge.
    pub fn intersects(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest window that covers both.
    #[must_use]
    pub fn cover(&self, other: &Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}
