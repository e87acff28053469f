//! The keys of a keyed function with their timers and states: one row of columns per key.

use std::sync::Arc;

use millstream_record::key_group::key_group;
use millstream_record::{Key, Result};
use millstream_stage::metrics::StateMetrics;
use millstream_stage::time::{MAX_TIME, Time};

use super::cell::Column;
use super::meter;
use super::timers::{KeyTimers, TimerKind};
use super::ttl::Moment;
use crate::cold::{Cache, ColdTable, pair, prefix};
use crate::table::{Entry, KeyedTable, Slot};

/// The table of a snapshot that the rows are in.
pub(super) const KEYS: u8 = 1;

pub(super) struct Rows<K> {
    pub(super) keys: KeyedTable<K, KeyTimers>,
    pub(super) columns: Vec<Box<dyn Column>>,
    pub(super) groups: u16,
    pub(super) moment: Moment,
    // How many cells of each column were past their time.
    pub(super) expired: Vec<u64>,
    hand: Slot,
}

// Slots that are looked at between two batches.
const CLEAN: Slot = 64;

impl<K: Key> Rows<K> {
    pub(super) fn new(columns: Vec<Box<dyn Column>>, groups: u16) -> Self {
        let expired = vec![0; columns.len()];
        Self { keys: KeyedTable::default(), columns, groups, moment: Moment::default(), expired, hand: 0 }
    }

    /// Looks for cells that are past their time, in a few slots each time.
    pub(super) fn clean(&mut self) {
        if self.columns.iter().all(|column| column.ttl().is_none()) {
            return;
        }
        for _ in 0..CLEAN.min(self.keys.slots()) {
            let slot = self.hand;
            self.hand = if slot + 1 < self.keys.slots() { slot + 1 } else { 0 };
            if self.keys.entry(slot).is_some() && self.expire(slot) {
                // The entry has changed, or has nothing left.
                self.keys.entry_mut(slot);
                if self.is_empty(slot) {
                    self.keys.remove(slot);
                }
            }
        }
    }

    pub(super) fn expire(&mut self, slot: Slot) -> bool {
        let mut any = false;
        for (column, expired) in self.columns.iter_mut().zip(&mut self.expired) {
            let over = column.expire(slot, &self.moment);
            *expired += u64::from(over);
            any |= over;
        }
        any
    }

    /// Tells the metrics of each column how large it is.
    pub(super) fn measure(&self, metrics: &[Arc<StateMetrics>], cold: Option<&Cache>) {
        let found: Vec<_> =
            meter::samples(self.keys.slots()).filter(|slot| self.keys.entry(*slot).is_some()).collect();
        let count = found.len().max(1);
        for (column, metrics) in self.columns.iter().zip(metrics) {
            let full = found.iter().filter(|slot| !column.is_empty(**slot, &self.moment));
            let (keys, heap) =
                full.fold((0, 0), |(keys, heap), slot| (keys + 1, heap + column.heap_size(*slot)));
            let all = |sampled: usize| sampled * self.keys.len() / count;
            let bytes = self.keys.slots() as usize * column.cell_size() + all(heap);
            meter::set(metrics, all(keys), bytes, cold);
        }
    }

    /// Tells the metrics of each column how much was past its time.
    pub(super) fn count_expired(&mut self, metrics: &[Arc<StateMetrics>]) {
        for (expired, metrics) in self.expired.iter_mut().zip(metrics) {
            metrics.expired.add(std::mem::take(expired));
        }
    }

    /// The clock that all states expire by; none where some never do, or by another clock.
    pub(super) fn clock(&self) -> Option<TimerKind> {
        let mut clocks = self.columns.iter().map(|column| column.ttl().map(|ttl| ttl.clock()));
        let first = clocks.next()??;
        clocks.all(|clock| clock == Some(first)).then_some(first)
    }

    // When nothing of an entry is needed any more: a timer needs its key.
    fn expiry(&self, slot: Slot, timers: &KeyTimers) -> Time {
        if self.clock().is_none() || !timers.is_empty() {
            return MAX_TIME;
        }
        let full = self.columns.iter().filter(|column| !column.is_empty(slot, &self.moment));
        full.map(|column| column.expiry(slot).unwrap_or(MAX_TIME)).max().unwrap_or(MAX_TIME)
    }

    /// Whether nothing is kept of the key in a slot.
    pub(super) fn is_empty(&self, slot: Slot) -> bool {
        let idle = self.keys.entry(slot).is_some_and(|entry| entry.value.is_empty());
        idle && self.columns.iter().all(|column| column.is_empty(slot, &self.moment))
    }

    /// Adds a row as a snapshot or the store below has it.
    pub(super) fn decode(&mut self, mut entry: &[u8]) -> Result<()> {
        let (key, timers) = (K::decode(&mut entry)?, KeyTimers::decode(&mut entry)?);
        let Some(slot) = self.keys.load(key.key_hash(), key, timers) else { return Ok(()) };
        self.columns.iter_mut().try_for_each(|column| column.decode(slot, &mut entry))
    }
}

/// The key and the timers of a row.
pub(super) fn timers_of<K: Key>(mut entry: &[u8]) -> Result<(K, Vec<(TimerKind, Time)>)> {
    let (key, timers) = (K::decode(&mut entry)?, KeyTimers::decode(&mut entry)?);
    Ok((key, timers.iter().collect()))
}

/// Appends a row as snapshots have it.
pub(super) fn encode<K: Key>(
    slot: Slot,
    entry: &Entry<K, KeyTimers>,
    columns: &[Box<dyn Column>],
    moment: &Moment,
    out: &mut Vec<u8>,
) {
    entry.key.encode(out);
    entry.value.encode(out);
    columns.iter().for_each(|column| column.encode(slot, moment, out));
}

impl<K: Key> ColdTable for Rows<K> {
    type Key = K;
    type Value = KeyTimers;

    fn keyed(&self) -> &KeyedTable<K, KeyTimers> {
        &self.keys
    }

    fn keyed_mut(&mut self) -> &mut KeyedTable<K, KeyTimers> {
        &mut self.keys
    }

    fn cold_key(&self, hash: u64, key: &K) -> Vec<u8> {
        let mut cold = prefix(key_group(hash, self.groups), KEYS);
        key.encode(&mut cold);
        cold
    }

    fn pair(&self, slot: Slot) -> Option<(Vec<u8>, Vec<u8>)> {
        let entry = self.keys.entry(slot)?;
        let (key, mut value) = pair(self.cold_key(entry.hash, &entry.key), self.expiry(slot, &entry.value));
        encode(slot, entry, &self.columns, &self.moment, &mut value);
        Some((key, value))
    }

    fn elsewhere(&self, slot: Slot) -> usize {
        let entry = self.keys.entry(slot);
        let heap = entry.map_or(0, |entry| entry.key.heap_size() + entry.value.heap_size());
        let cells = self.columns.iter().map(|column| column.cell_size() + column.heap_size(slot));
        heap + cells.sum::<usize>()
    }

    fn evict(&mut self, slot: Slot) {
        self.keys.evict(slot);
        self.columns.iter_mut().for_each(|column| column.clear(slot));
    }
}
