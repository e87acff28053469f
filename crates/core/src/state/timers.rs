//! Timers of keys, in event time and processing time.

use std::collections::BTreeSet;

use crate::Key;
use crate::table::Slot;
use crate::time::Time;

/// Which clock a timer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The watermark.
    EventTime,
    /// The wall clock.
    ProcessingTime,
}

/// A timer that has come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The time that was asked for.
    pub time: Time,
    /// By which clock.
    pub kind: TimerKind,
}

/// All timers of one clock, by time, then by key: every run fires them in the same order. One per key and time, as in Flink.
pub(super) struct Timers<K>(BTreeSet<(Time, K, Slot)>);

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<K: Key> Timers<K> {
    pub(super) fn add(&mut self, time: Time, key: &K, slot: Slot) -> bool {
        self.0.insert((time, key.clone(), slot))
    }

    pub(super) fn remove(&mut self, time: Time, key: &K, slot: Slot) -> bool {
        self.0.remove(&(time, key.clone(), slot))
    }

    pub(super) fn pop_due(&mut self, upto: Time) -> Option<(Time, Slot)> {
        let due = self.0.first().is_some_and(|(time, ..)| *time <= upto);
        let (time, _, slot) = if due { self.0.pop_first() } else { None }?;
        Some((time, slot))
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(time, ..)| *time)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Time, Slot)> {
        self.0.iter().map(|(time, _, slot)| (*time, *slot))
    }
}
