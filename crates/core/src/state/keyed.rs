//! All states and timers of one keyed operator.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::cell::{Cells, Column, StateCell};
use super::context::KeyedContext;
use super::handles::{AggregatingState, ListState, MapState, Place, ReducingState, ValueState};
use super::timers::{Timer, TimerKind, Timers};
use crate::key::{KeyGroup, key_group};
use crate::operator::Output;
use crate::record::{Names, to_bytes};
use crate::snapshot::{MemoryPart, RestoredKeyed, TableSchema};
use crate::state::Watermark;
use crate::table::{KeyedTable, Slot};
use crate::time::{MIN_TIME, Time};
use crate::window::Aggregate;
use crate::{Data, Error, Key, OpenContext, Record, Result, Step};

/// Where a function declares its states. Each needs a name of its own: snapshots find it by that.
#[derive(Default)]
pub struct States {
    columns: Vec<Box<dyn Column>>,
}

impl States {
    /// One value per key.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for an empty name, or one that is used twice; so do the others.
    pub fn value<T: Record>(&mut self, name: &str) -> Result<ValueState<T>> {
        self.add(name).map(ValueState)
    }

    /// A list per key.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn list<T: Record>(&mut self, name: &str) -> Result<ListState<T>> {
        self.add(name).map(ListState)
    }

    /// A map per key.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn map<M: Record + Ord, V: Record>(&mut self, name: &str) -> Result<MapState<M, V>> {
        self.add(name).map(MapState)
    }

    /// One value per key that new ones are combined with.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn reducing<T: Record>(
        &mut self,
        name: &str,
        combine: impl Fn(T, T) -> T + Send + Sync + 'static,
    ) -> Result<ReducingState<T>> {
        Ok(ReducingState { place: self.add(name)?, combine: Arc::new(combine) })
    }

    /// An accumulator per key.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn aggregating<T, A: Aggregate<T>>(
        &mut self,
        name: &str,
        aggregate: A,
    ) -> Result<AggregatingState<T, A>> {
        Ok(AggregatingState { place: self.add(name)?, aggregate })
    }

    fn add<C: StateCell>(&mut self, name: &str) -> Result<Place<C>> {
        if name.is_empty() {
            return Err(Error::configuration("a state has no name: give it one, snapshots find it by that"));
        }
        if self.columns.iter().any(|column| column.name() == name) {
            return Err(Error::configuration(format!(
                "two states of one operator are called {name:?}: rename one"
            )));
        }
        self.columns.push(Box::new(Cells::<C>::new(name)));
        Ok(Place { column: self.columns.len() - 1, of: PhantomData })
    }
}

/// The states and timers of all keys of one subtask.
pub struct KeyedStates<K> {
    // The value counts the key's timers: a key with neither state nor timers is forgotten.
    keys: KeyedTable<K, u32>,
    columns: Vec<Box<dyn Column>>,
    event_timers: Timers<K>,
    processing_timers: Timers<K>,
    watermark: Time,
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
        self.keys.resolve(hash, key, || 0)
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
            timer_count: &mut entry.value,
            columns: &mut self.columns,
            event_timers: &mut self.event_timers,
            processing_timers: &mut self.processing_timers,
            time,
            now,
            watermark: self.watermark,
            out,
        }
    }

    /// Forgets the key in a slot if nothing is left of it.
    pub fn release(&mut self, slot: Slot) {
        let idle = self.keys.entry(slot).is_some_and(|entry| entry.value == 0);
        if idle && self.columns.iter().all(|column| column.is_empty(slot)) {
            self.keys.remove(slot);
        }
    }

    /// Event time goes on.
    pub fn advance(&mut self, watermark: Time) {
        self.watermark = self.watermark.max(watermark);
    }

    /// The next timer that is due: event time first.
    pub fn pop_due(&mut self, now: Time) -> Option<(Slot, Timer)> {
        let event = self.event_timers.pop_due(self.watermark).map(|due| (due, TimerKind::EventTime));
        let due =
            event.or_else(|| self.processing_timers.pop_due(now).map(|due| (due, TimerKind::ProcessingTime)));
        let ((time, slot), kind) = due?;
        if let Some(entry) = self.keys.entry_mut(slot) {
            entry.value -= 1;
        }
        Some((slot, Timer { time, kind }))
    }

    /// When the next processing-time timer is due.
    pub fn wake_step(&self) -> Step {
        Step { wake_at: self.processing_timers.next(), ..Step::DONE }
    }

    /// What its snapshots consist of: an entry per key has the timers and a field for each state, named after it.
    pub fn tables(states: &States) -> Vec<TableSchema> {
        vec![TableSchema::of::<Watermark>("watermark"), entry_schema::<K>(&states.columns)]
    }

    /// Everything as it is now.
    pub fn freeze(&self) -> MemoryPart {
        let tables = vec![TableSchema::of::<Watermark>("watermark"), entry_schema::<K>(&self.columns)];
        let mut frozen = MemoryPart::new(tables);
        for group in self.groups.1.clone() {
            frozen.push(group, 0, to_bytes(&Watermark { watermark: self.watermark }));
        }
        let (mut event, mut processing) = (by_slot(&self.event_timers), by_slot(&self.processing_timers));
        for slot in 0..self.keys.slots() {
            let Some(entry) = self.keys.entry(slot) else { continue };
            let mut out = Vec::new();
            entry.key.encode(&mut out);
            event.remove(&slot).unwrap_or_default().encode(&mut out);
            processing.remove(&slot).unwrap_or_default().encode(&mut out);
            self.columns.iter().for_each(|column| column.encode(slot, &mut out));
            frozen.push(key_group(entry.hash, self.groups.0), 1, out);
        }
        frozen
    }

    // The watermark of a restored group is what all its timers up to there have fired at; the next one that comes is higher.
    fn restore(&mut self, restored: &RestoredKeyed, tables: &[TableSchema]) -> Result<()> {
        restored.read(tables, &mut |_, table, mut entry| match table {
            0 => Ok(()),
            _ => self.restore_key(&mut entry),
        })
    }

    fn restore_key(&mut self, bytes: &mut &[u8]) -> Result<()> {
        let key = K::decode(bytes)?;
        let (event, processing) = <(Vec<Time>, Vec<Time>)>::decode(bytes)?;
        let slot = self.keys.resolve(key.key_hash(), key.clone(), || (event.len() + processing.len()) as u32);
        for time in event {
            self.event_timers.add(time, &key, slot);
        }
        for time in processing {
            self.processing_timers.add(time, &key, slot);
        }
        self.columns.iter_mut().try_for_each(|column| column.decode(slot, bytes))
    }
}

fn entry_schema<K: Key>(columns: &[Box<dyn Column>]) -> TableSchema {
    let names = &mut Names::default();
    let mut fields = vec![format!(r#"{{"name":"key","type":{}}}"#, K::schema(names))];
    for timers in ["event_timers", "processing_timers"] {
        let times = Vec::<Time>::schema(names);
        fields.push(format!(r#"{{"name":"{timers}","type":{times},"default":[]}}"#));
    }
    fields.extend(columns.iter().map(|column| column.field(names)));
    let schema = format!(r#"{{"type":"record","name":"KeyedState","fields":[{}]}}"#, fields.join(","));
    TableSchema { name: "keys".to_owned(), schema }
}

fn by_slot<K: Key>(timers: &Timers<K>) -> BTreeMap<Slot, Vec<Time>> {
    let mut slots = BTreeMap::<Slot, Vec<Time>>::new();
    for (time, slot) in timers.iter() {
        slots.entry(slot).or_default().push(time);
    }
    slots
}
