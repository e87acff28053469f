//! All states and timers of one keyed operator.

use std::ops::Range;

use super::cell::Column;
use super::context::KeyedContext;
use super::frozen::{self, FrozenKeys};
use super::states::States;
use super::timers::{KeyTimers, Timer, TimerKind, Timers};
use super::watermark::{Floors, GroupWatermarks};
use crate::key::KeyGroup;
use crate::operator::Output;
use crate::plan::{KeyedSpec, StateSpec};
use crate::snapshot::{FrozenState, RestoredKeyed, TableSchema};
use crate::table::{KeyedTable, Slot};
use crate::time::{MIN_TIME, Time};
use crate::{Data, Key, OpenContext, Result, Step};

/// The states and timers of all keys of one subtask.
pub struct KeyedStates<K> {
    keys: KeyedTable<K, KeyTimers>,
    columns: Vec<Box<dyn Column>>,
    event_timers: Timers<K>,
    processing_timers: Timers<K>,
    watermark: Time,
    floors: Floors,
    groups: (u16, Range<KeyGroup>),
}

impl<K: Key> Default for KeyedStates<K> {
    fn default() -> Self {
        Self {
            keys: KeyedTable::default(),
            columns: Vec::new(),
            event_timers: Timers::default(),
            processing_timers: Timers::default(),
            watermark: MIN_TIME,
            floors: Floors::default(),
            groups: (1, 0..1),
        }
    }
}

impl<K: Key> KeyedStates<K> {
    /// The states that a function declared, with what was restored of them.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) when restored bytes do not fit.
    pub fn open(operator: &str, states: States, cx: &mut OpenContext) -> Result<Self> {
        let groups = (cx.key_groups, cx.owned.clone());
        let tables = Self::tables(&states);
        let mut all = Self { columns: states.columns, groups, ..Self::default() };
        all.restore(&cx.restored.take_keyed(operator), &tables)?;
        Ok(all)
    }

    /// The slot of a key.
    pub fn resolve(&mut self, hash: u64, key: K) -> Slot {
        self.keys.resolve(hash, key, KeyTimers::default)
    }

    /// What a function may use for the key in a slot.
    ///
    /// # Panics
    /// When the slot is empty: it comes from `resolve` or `pop_due`.
    pub fn context<'a, O: Data>(
        &'a mut self,
        slot: Slot,
        time: Time,
        now: Time,
        out: &'a mut Output<O>,
    ) -> KeyedContext<'a, K, O> {
        let entry =
            self.keys.entry_mut(slot).expect("slots come from resolve or from a timer, which keeps its key");
        KeyedContext {
            key: &entry.key,
            slot,
            timers: &mut entry.value,
            columns: &mut self.columns,
            event_timers: &mut self.event_timers,
            processing_timers: &mut self.processing_timers,
            time,
            now,
            watermark: self.watermark.max(self.floors.of(entry.hash, self.groups.0)),
            out,
        }
    }

    /// Forgets the key in a slot if nothing is left of it.
    pub fn release(&mut self, slot: Slot) {
        let idle = self.keys.entry(slot).is_some_and(|entry| entry.value.is_empty());
        if idle && self.columns.iter().all(|column| column.is_empty(slot)) {
            self.keys.remove(slot);
        }
    }

    /// Event time goes on.
    pub fn advance(&mut self, watermark: Time) {
        self.watermark = self.watermark.max(watermark);
        self.floors.caught_up(self.watermark);
    }

    /// The next timer that is due: event time first.
    pub fn pop_due(&mut self, now: Time) -> Option<(Slot, Timer)> {
        let event = self.event_timers.pop_due(self.watermark).map(|due| (due, TimerKind::EventTime));
        let due =
            event.or_else(|| self.processing_timers.pop_due(now).map(|due| (due, TimerKind::ProcessingTime)));
        let ((time, key), kind) = due?;
        let slot = self.resolve(key.key_hash(), key);
        let entry = self.keys.entry_mut(slot).expect("the slot was just resolved");
        entry.value.remove(kind, time);
        Some((slot, Timer { time, kind }))
    }

    /// When the next processing-time timer is due.
    pub fn wake_step(&self) -> Step {
        Step { wake_at: self.processing_timers.next(), ..Step::DONE }
    }

    /// What its snapshots consist of: an entry per key has the timers and a field for each state, named after it.
    pub fn tables(states: &States) -> Vec<TableSchema> {
        frozen::tables::<K>(&states.columns)
    }

    /// What is known of these states before they are opened.
    pub fn spec(states: &States) -> KeyedSpec {
        let columns = states.columns.iter();
        let known = columns.map(|column| StateSpec { name: column.name().to_owned(), kept: column.kept() });
        KeyedSpec { tables: Self::tables(states), states: known.collect() }
    }

    /// Everything as it is now. Work per segment of 256 keys, not per key.
    pub fn freeze(&mut self) -> impl FrozenState + use<K> {
        let (groups, owned) = &self.groups;
        FrozenKeys {
            watermarks: GroupWatermarks::new(owned, self.watermark, &self.floors),
            groups: *groups,
            keys: self.keys.freeze(),
            columns: self.columns.iter_mut().map(|column| column.freeze()).collect(),
        }
    }

    // All timers up to the watermark of a restored group have fired.
    fn restore(&mut self, restored: &RestoredKeyed, tables: &[TableSchema]) -> Result<()> {
        restored.read(tables, &mut |group, table, mut entry| match table {
            0 => self.floors.restore(group, entry),
            _ => self.restore_key(&mut entry),
        })?;
        self.advance(self.floors.lowest(&self.groups.1));
        Ok(())
    }

    fn restore_key(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let (key, timers) = (K::decode(bytes)?, KeyTimers::decode(bytes)?);
        for (kind, time) in timers.iter() {
            match kind {
                TimerKind::EventTime => self.event_timers.add(time, &key),
                TimerKind::ProcessingTime => self.processing_timers.add(time, &key),
            }
        }
        let slot = self.keys.resolve(key.key_hash(), key, || timers);
        self.columns.iter_mut().try_for_each(|column| column.decode(slot, bytes))
    }
}
