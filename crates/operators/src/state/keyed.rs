//! All states and timers of one keyed operator.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Data, Key, Result};
use millstream_stage::OpenContext;
use millstream_stage::metrics::StateMetrics;
use millstream_stage::operator::Output;
use millstream_stage::plan::{Kept, KeyedSpec, StateSpec};
use millstream_stage::snapshot::{CheckpointId, FrozenState, RestoredKeyed, TableSchema};
use millstream_stage::time::{MIN_TIME, Time};

use super::cell::Column;
use super::clock_timers::ClockTimers;
use super::context::KeyedContext;
use super::frozen::{self, FrozenKeys};
use super::meter::{self, Meter};
use super::rows::{self, KEYS, Rows};
use super::states::States;
use super::timers::{KeyTimers, Timer, TimerKind};
use crate::cold::{Cache, ColdTable};
use crate::group_watermarks::{GroupWatermarks, RestoredWatermarks};
use crate::table::{KeyedTable, Slot};

/// The states and timers of all keys of one subtask.
///
/// Above a cold store [`load`](Self::load) what a batch needs before it, and [`settle`](Self::settle) behind
/// it.
pub struct KeyedStates<K> {
    rows: Rows<K>,
    timers: ClockTimers<K>,
    watermark: Time,
    restored_watermarks: RestoredWatermarks,
    owned: Range<KeyGroup>,
    cold: Option<Cache>,
    metrics: Vec<Arc<StateMetrics>>,
    meter: Meter,
}

impl<K: Key> Default for KeyedStates<K> {
    fn default() -> Self {
        Self {
            rows: Rows::new(Vec::new(), 1),
            timers: ClockTimers::default(),
            watermark: MIN_TIME,
            restored_watermarks: RestoredWatermarks::default(),
            owned: 0..1,
            cold: None,
            metrics: Vec::new(),
            meter: Meter::default(),
        }
    }
}

impl<K: Key> KeyedStates<K> {
    /// The states that a function declared, with what was restored of them.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when restored bytes do not fit; those of the
    /// cold store, as all calls below.
    pub fn open(operator: &str, states: States, cx: &mut OpenContext) -> Result<Self> {
        let mut all = Self { owned: cx.owned.clone(), ..Self::default() };
        let tables = Self::tables(&states);
        all.rows = Rows::new(states.columns, cx.key_groups);
        all.rows.moment.now = cx.clock.now();
        let names = all.rows.columns.iter().map(|column| column.name());
        all.metrics = meter::of(&cx.metrics_of(operator), names);
        let restored = cx.restored.take_keyed(operator);
        match Cache::open(operator, &tables, &restored, cx)? {
            None => all.restore(&restored, &tables)?,
            Some((cache, done)) => all.open_cold(cache, (!done).then_some(&restored), &tables)?,
        }
        all.advance(all.restored_watermarks.lowest(&all.owned));
        all.all_fired();
        Ok(all)
    }

    /// The slot of a key.
    pub fn resolve(&mut self, hash: u64, key: &K) -> Slot {
        self.rows.keys.resolve(hash, key, KeyTimers::default)
    }

    /// Brings the states of these keys into memory; does nothing where all are there.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn load<'k>(&mut self, keys: impl Iterator<Item = (u64, &'k K)>) -> Result<()> {
        let Some(cache) = &mut self.cold else { return Ok(()) };
        let rows = &mut self.rows;
        let missing = keys.filter(|(hash, key)| rows.keys.find(*hash, key).is_none());
        let missing = missing.map(|(hash, key)| rows.cold_key(hash, key)).collect();
        cache.write_gone(rows);
        cache.fetch(missing, &mut |entry| rows.decode(entry))
    }

    /// Whether keys must be loaded.
    pub fn is_cold(&self) -> bool {
        self.cold.is_some()
    }

    /// Between two batches: cleans up a little of what is past its time; writes back what changed, and makes
    /// room.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn settle(&mut self) -> Result<()> {
        self.rows.clean();
        self.rows.count_expired(&self.metrics);
        if self.meter.is_due(self.rows.moment.now) {
            self.rows.measure(&self.metrics, self.cold.as_ref());
        }
        let clock = self.rows.clock();
        let Some(cache) = &mut self.cold else { return Ok(()) };
        self.timers.write_back(cache);
        cache.settle(std::slice::from_mut(&mut self.rows))?;
        if let Some(clock) = clock {
            cache.expire(KEYS, self.rows.moment.of(clock));
        }
        Ok(())
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
        let Rows { keys, columns, groups, expired, moment, .. } = &mut self.rows;
        let entry =
            keys.entry_mut(slot).expect("slots come from resolve or from a timer, which keeps its key");
        let floor = self.restored_watermarks.of(entry.hash, *groups);
        KeyedContext {
            key: &entry.key,
            slot,
            timers: &mut entry.value,
            columns,
            expired,
            all_timers: &mut self.timers,
            time,
            now,
            watermark: self.watermark.max(floor),
            lived_until: moment.watermark.max(floor),
            out,
        }
    }

    /// Forgets the key in a slot if nothing is left of it.
    pub fn release(&mut self, slot: Slot) {
        if self.rows.is_empty(slot) {
            self.rows.expire(slot);
            self.rows.keys.remove(slot);
        }
    }

    /// Event time goes on. A time to live follows it timer by timer, and is up to date at
    /// [`all_fired`](Self::all_fired): a watermark may jump past a timer and past the state that the timer
    /// is about to read.
    pub fn advance(&mut self, watermark: Time) {
        self.watermark = self.watermark.max(watermark);
        self.restored_watermarks.caught_up(self.watermark);
    }

    /// All timers that the watermark has made due were fired.
    pub fn all_fired(&mut self) {
        self.rows.moment.watermark = self.watermark;
    }

    /// Processing time goes on.
    pub fn tick(&mut self, now: Time) {
        self.rows.moment.now = now;
    }

    /// Whether a timer is due; brings the keys of the first so many into memory.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn load_due(&mut self, now: Time, most: usize) -> Result<bool> {
        let Some(cache) = &mut self.cold else {
            return Ok(self.timers.is_due(self.watermark, now));
        };
        let due = self.timers.due((self.watermark, now), most, cache)?;
        let keys: Vec<_> = due.into_iter().map(|key| (key.key_hash(), key.clone())).collect();
        self.load(keys.iter().map(|(hash, key)| (*hash, key)))?;
        // All are there now, so that the timers are not waited for in vain.
        for (hash, key) in &keys {
            self.resolve(*hash, key);
        }
        Ok(!keys.is_empty())
    }

    /// The next timer that is due, event time first; none where its key must be loaded first.
    pub fn pop_due(&mut self, now: Time) -> Option<(Slot, Timer)> {
        let (keys, cold) = (&self.rows.keys, self.cold.is_some());
        let here = |key: &K| !cold || keys.find(key.key_hash(), key).is_some();
        let (kind, time, key) = self.timers.pop_due((self.watermark, now), here)?;
        let slot = self.resolve(key.key_hash(), &key);
        let entry = self.rows.keys.entry_mut(slot).expect("the slot was just resolved");
        entry.value.remove(kind, time);
        if kind == TimerKind::EventTime {
            self.rows.moment.watermark = self.rows.moment.watermark.max(time);
        }
        Some((slot, Timer { time, kind }))
    }

    /// When the next processing-time timer is due.
    pub fn wake_at(&self) -> Option<Time> {
        self.timers.wake_at()
    }

    /// What its snapshots consist of: an entry per key has the timers and a field for each state, named after
    /// it.
    pub fn tables(states: &States) -> Vec<TableSchema> {
        frozen::tables::<K>(&states.columns)
    }

    /// What is known of these states before they are opened.
    pub fn spec(states: &States) -> KeyedSpec {
        let columns = states.columns.iter();
        let known =
            columns.map(|column| StateSpec { name: column.name().to_owned(), kept: kept(column.as_ref()) });
        KeyedSpec { tables: Self::tables(states), states: known.collect() }
    }

    /// Everything as it is now. Work per segment of 256 keys, not per key.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenState>> {
        let watermarks = GroupWatermarks::new(&self.owned, self.watermark, &self.restored_watermarks);
        if let Some(cache) = &mut self.cold {
            self.timers.write_back(cache);
            let tables = frozen::tables::<K>(&self.rows.columns);
            return cache.freeze(id, std::slice::from_mut(&mut self.rows), &watermarks, tables);
        }
        let Rows { keys, columns, groups, moment, .. } = &mut self.rows;
        let columns = columns.iter_mut().map(|column| column.freeze()).collect();
        let frozen =
            FrozenKeys { watermarks, groups: *groups, keys: keys.freeze(), columns, moment: *moment };
        Ok(Box::new(frozen))
    }

    fn restore(&mut self, restored: &RestoredKeyed, tables: &[TableSchema]) -> Result<()> {
        restored.read(tables, &mut |group, table, entry| match table {
            0 => self.restored_watermarks.restore(group, entry),
            _ => {
                self.restore_timers(entry)?;
                self.rows.decode(entry)
            }
        })
    }

    fn restore_timers(&mut self, entry: &[u8]) -> Result<(u64, K)> {
        let (key, timers) = rows::timers_of::<K>(entry)?;
        for (kind, time) in timers {
            self.timers.of(kind).add(time, key.clone());
        }
        Ok((key.key_hash(), key))
    }

    fn open_cold(
        &mut self,
        mut cache: Cache,
        unread: Option<&RestoredKeyed>,
        tables: &[TableSchema],
    ) -> Result<()> {
        self.rows.keys = KeyedTable::tracked();
        self.timers = ClockTimers::above(&cache);
        match unread {
            None => cache.each(0, &mut |group, entry| self.restored_watermarks.restore(group, entry))?,
            Some(restored) => restored.read(tables, &mut |group, table, entry| match table {
                0 => self.restored_watermarks.restore(group, entry),
                _ => self.store(&mut cache, entry),
            })?,
        }
        self.cold = Some(cache);
        Ok(())
    }

    fn store(&mut self, cache: &mut Cache, entry: &[u8]) -> Result<()> {
        let (hash, key) = self.restore_timers(entry)?;
        // By way of memory: the entry knows when it expires.
        self.rows.decode(entry)?;
        if let Some(slot) = self.rows.keys.find(hash, &key) {
            self.rows.pair(slot).into_iter().for_each(|pair| cache.put(pair));
            self.rows.evict(slot);
        }
        self.timers.write_back(cache);
        cache.write_if_many()
    }
}

fn kept(column: &dyn Column) -> Kept {
    column.ttl().map_or(Kept::UntilCleared, |ttl| Kept::Ttl(ttl.to_string()))
}
