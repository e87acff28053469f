//! The timers of both clocks: those of event time come first.

use millstream_record::Result;
use millstream_stage::state_backend::FIRST_INDEX;
use millstream_stage::time::Time;

use super::TimerKind;
use super::timer_index::{OfKey, TimerIndex};
use crate::cold::Cache;

/// All timers of an operator.
pub(crate) struct ClockTimers<X> {
    event: TimerIndex<X>,
    processing: TimerIndex<X>,
}

impl<X> Default for ClockTimers<X> {
    fn default() -> Self {
        Self { event: TimerIndex::default(), processing: TimerIndex::default() }
    }
}

impl<X: OfKey> ClockTimers<X> {
    /// Timers that are in tables of a cold store.
    pub(crate) fn above(cache: &Cache) -> Self {
        Self {
            event: TimerIndex::above(FIRST_INDEX, cache),
            processing: TimerIndex::above(FIRST_INDEX + 1, cache),
        }
    }

    /// Those of one clock.
    pub(crate) fn of(&mut self, kind: TimerKind) -> &mut TimerIndex<X> {
        match kind {
            TimerKind::EventTime => &mut self.event,
            TimerKind::ProcessingTime => &mut self.processing,
        }
    }

    /// Whether one of those in memory is due.
    pub(crate) fn is_due(&self, watermark: Time, now: Time) -> bool {
        self.event.is_due(watermark) || self.processing.is_due(now)
    }

    /// At most so many of those that are due next, brought into memory: all of one clock.
    pub(crate) fn due(
        &mut self,
        (watermark, now): (Time, Time),
        most: usize,
        cache: &mut Cache,
    ) -> Result<Vec<&X>> {
        let due = self.event.due(watermark, most, cache)?;
        if due.is_empty() { self.processing.due(now, most, cache) } else { Ok(due) }
    }

    /// The next one that is due, of those in memory, if it may be taken.
    pub(crate) fn pop_due(
        &mut self,
        (watermark, now): (Time, Time),
        may: impl Fn(&X) -> bool,
    ) -> Option<(TimerKind, Time, X)> {
        let (kind, upto) = match self.event.is_due(watermark) {
            true => (TimerKind::EventTime, watermark),
            false => (TimerKind::ProcessingTime, now),
        };
        self.of(kind).pop_due(upto, may).map(|(time, timer)| (kind, time, timer))
    }

    /// When the next one of processing time is due.
    pub(crate) fn wake_at(&self) -> Option<Time> {
        self.processing.next()
    }

    /// Hands the store the changes that it does not have yet.
    pub(crate) fn write_back(&mut self, cache: &mut Cache) {
        self.event.write_back(cache);
        self.processing.write_back(cache);
    }
}
