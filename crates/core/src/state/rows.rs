//! The keys of a keyed function with their timers and states: one row of columns per key.

use super::cell::Column;
use super::timers::{KeyTimers, TimerKind};
use crate::cold::{ColdTable, pair, prefix};
use crate::key::key_group;
use crate::table::{Entry, KeyedTable, Slot};
use crate::time::{MAX_TIME, Time};
use crate::{Key, Result};

/// The table of a snapshot that the rows are in.
pub(super) const KEYS: u8 = 1;

pub(super) struct Rows<K> {
    pub(super) keys: KeyedTable<K, KeyTimers>,
    pub(super) columns: Vec<Box<dyn Column>>,
    pub(super) groups: u16,
}

impl<K: Key> Rows<K> {
    /// Whether nothing is kept of the key in a slot.
    pub(super) fn is_empty(&self, slot: Slot) -> bool {
        let idle = self.keys.entry(slot).is_some_and(|entry| entry.value.is_empty());
        idle && self.columns.iter().all(|column| column.is_empty(slot))
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
    out: &mut Vec<u8>,
) {
    entry.key.encode(out);
    entry.value.encode(out);
    columns.iter().for_each(|column| column.encode(slot, out));
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
        let (key, mut value) = pair(self.cold_key(entry.hash, &entry.key), MAX_TIME);
        encode(slot, entry, &self.columns, &mut value);
        Some((key, value))
    }

    fn evict(&mut self, slot: Slot) {
        self.keys.evict(slot);
        self.columns.iter_mut().for_each(|column| column.clear(slot));
    }
}
