//! What a keyed function may use while it works on one record or timer.

use millstream_record::{Data, Key};
use millstream_stage::operator::{Output, SideTag};
use millstream_stage::time::Time;

use super::TimerKind;
use super::cell::{Cells, Column, StateCell};
use super::clock_timers::ClockTimers;
use super::handles::StateColumn;
use super::timers::KeyTimers;
use super::ttl::{Access, Moment};
use crate::table::Slot;

/// The key at hand, its state and timers, and where results go.
pub struct KeyedContext<'a, K, O> {
    pub(super) key: &'a K,
    pub(super) slot: Slot,
    pub(super) timers: &'a mut KeyTimers,
    pub(super) columns: &'a mut [Box<dyn Column>],
    pub(super) all_timers: &'a mut ClockTimers<K>,
    pub(super) expired: &'a mut [u64],
    pub(super) time: Time,
    pub(super) now: Time,
    pub(super) watermark: Time,
    // The event time up to which states with a time to live have aged: the time of the timer while event-time
    // timers fire, else the watermark.
    pub(super) lived_until: Time,
    pub(super) out: &'a mut Output<O>,
}

impl<K: Key, O: Data> KeyedContext<'_, K, O> {
    /// The key.
    pub fn key(&self) -> &K {
        self.key
    }

    /// The record's event time, or the timer's time.
    pub fn timestamp(&self) -> Time {
        self.time
    }

    /// The watermark so far.
    pub fn watermark(&self) -> Time {
        self.watermark
    }

    /// Processing time.
    pub fn processing_time(&self) -> Time {
        self.now
    }

    /// Sends a result, with the time of what is worked on.
    pub fn collect(&mut self, record: O) {
        self.out.rows.push(record, self.time);
    }

    /// Sends to a side output.
    pub fn collect_side<S: Data>(&mut self, tag: &SideTag<S>, record: S) {
        self.out.side(tag).push(record, self.time);
    }

    /// Asks for `on_timer` of this key when the watermark, or the wall clock, reaches a time. Asking twice is
    /// asking once.
    pub fn register_timer(&mut self, kind: TimerKind, time: Time) {
        if self.timers.add(kind, time) {
            let key = self.key;
            self.all_timers.of(kind).add(time, key.clone());
        }
    }

    /// Takes a timer back; does nothing where there is none.
    pub fn delete_timer(&mut self, kind: TimerKind, time: Time) {
        if self.timers.remove(kind, time) {
            let key = self.key;
            self.all_timers.of(kind).remove(time, key);
        }
    }

    pub(super) fn cell<C: StateCell>(&mut self, place: &StateColumn<C>, access: Access) -> &mut C {
        let moment = Moment { now: self.now, watermark: self.lived_until, record: self.time };
        let column = self.columns[place.column].any().downcast_mut::<Cells<C>>();
        let column = column.expect("a handle is made together with its column");
        let (cell, expired) = column.touch(self.slot, access, &moment);
        if expired {
            self.expired[place.column] += 1;
        }
        cell
    }
}
