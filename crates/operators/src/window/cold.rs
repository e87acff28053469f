//! Windows above a cold store.
//!
//! The list of open windows with their timers stays in memory; their keys are in the store, ordered by window
//! within each key group: a window that fires is read in slices, and one whose time is over is dropped by
//! range.

use millstream_record::key_group::key_group;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Key, Record, Result};
use millstream_stage::snapshot::{CheckpointId, FrozenState, RestoredKeyed};
use millstream_stage::state_backend::Change;
use millstream_stage::time::MAX_TIME;

use super::frozen::{self, StoredEntry, encode_entry};
use super::pane::{Cell, Pane, PaneTimers, Panes, WindowEntry};
use super::{TriggerResult, Window};
use crate::cold::{Cache, ColdTable, after, entry_of, pair, prefix, push_time};
use crate::group_watermarks::{GroupWatermarks, RestoredWatermarks};
use crate::table::{KeyedTable, Slot};

const PANES: u8 = 1;
const WINDOWS: u8 = 2;

fn of_window(group: u16, table: u8, window: &Window) -> Vec<u8> {
    let mut key = prefix(group, table);
    push_time(&mut key, window.end);
    push_time(&mut key, window.start);
    key
}

impl<K: Key, A: Record, S: Record> ColdTable for Pane<K, A, S> {
    type Key = K;
    type Value = Cell<A, S>;

    fn keyed(&self) -> &KeyedTable<K, Cell<A, S>> {
        &self.table
    }

    fn keyed_mut(&mut self) -> &mut KeyedTable<K, Cell<A, S>> {
        &mut self.table
    }

    fn cold_key(&self, hash: u64, key: &K) -> Vec<u8> {
        let mut cold = of_window(key_group(hash, self.groups), WINDOWS, &self.window);
        key.encode(&mut cold);
        cold
    }

    fn pair(&self, slot: Slot) -> Option<(Vec<u8>, Vec<u8>)> {
        let entry = self.table.entry(slot)?;
        let (key, mut value) = pair(self.cold_key(entry.hash, &entry.key), MAX_TIME);
        encode_entry(&self.window, entry, &mut value);
        Some((key, value))
    }

    fn elsewhere(&self, slot: Slot) -> usize {
        let of = |entry: &WindowEntry<K, A, S>| {
            entry.key.heap_size() + entry.value.acc.heap_size() + entry.value.trigger.heap_size()
        };
        self.table.entry(slot).map_or(0, of)
    }
}

/// Fires one key, and says what came of it.
pub(super) type FireEntry<'a, K, A, S> = dyn FnMut(&mut WindowEntry<K, A, S>) -> Option<TriggerResult> + 'a;

/// The open windows of a store that holds all of them; else of entries, which are written to it.
pub(super) fn restore<K: Key, A: Record, S: Record>(
    cache: &mut Cache,
    panes: &mut Panes<K, A, S>,
    restored_watermarks: &mut RestoredWatermarks,
    unread: Option<&RestoredKeyed>,
) -> Result<()> {
    if let Some(restored) = unread {
        return restored.read(&frozen::tables::<K, A, S>(), &mut |group, table, entry| match table {
            0 => restored_watermarks.restore(group, entry),
            1 => {
                panes.restore(from_bytes(entry)?);
                Ok(())
            }
            _ => store(cache, panes, entry),
        });
    }
    cache.each(0, &mut |group, entry| restored_watermarks.restore(group, entry))?;
    cache.each(PANES, &mut |_, entry| {
        panes.restore(from_bytes::<(Window, PaneTimers)>(entry)?).table.set_behind();
        Ok(())
    })
}

fn store<K: Key, A: Record, S: Record>(
    cache: &mut Cache,
    panes: &mut Panes<K, A, S>,
    entry: &[u8],
) -> Result<()> {
    let (window, key, ..): StoredEntry<K, A, S> = from_bytes(entry)?;
    let pane = panes.open(window);
    pane.table.set_behind();
    let (key, mut value) = pair(pane.cold_key(key.key_hash(), &key), MAX_TIME);
    value.extend_from_slice(entry);
    cache.put((key, value));
    cache.write_if_many()
}

/// Brings keys of windows into memory.
pub(super) fn load<K: Key, A: Record, S: Record>(
    cache: &mut Cache,
    panes: &mut Panes<K, A, S>,
    missing: Vec<Vec<u8>>,
) -> Result<()> {
    cache.fetch(missing, &mut |entry| {
        let (window, key, acc, trigger): StoredEntry<K, A, S> = from_bytes(entry)?;
        panes.open(window).table.load(key.key_hash(), key, Cell { acc, trigger });
        Ok(())
    })
}

/// Fires the next keys of a window in the store, at most so many, and says how many; `None` behind the last
/// one.
pub(super) fn fire_next<K: Key, A: Record, S: Record>(
    cache: &mut Cache,
    pane: &mut Pane<K, A, S>,
    next: &mut Option<Vec<u8>>,
    most: usize,
    fire: &mut FireEntry<'_, K, A, S>,
) -> Result<Option<usize>> {
    let from = next.take().unwrap_or_else(|| {
        // Now the store has all keys of the window.
        cache.write_back(pane);
        of_window(cache.owned.start, WINDOWS, &pane.window)
    });
    for group in key_group_of(&from)..cache.owned.end {
        let all = of_window(group, WINDOWS, &pane.window);
        let pairs = cache.scan(from.as_slice().max(&all)..&after(&all), most)?;
        let Some((last, _)) = pairs.last() else { continue };
        let mut behind = last.clone();
        behind.push(0);
        *next = Some(behind);
        let mut fired = 0;
        for (_, value) in &pairs {
            fired += usize::from(fire_one(pane, entry_of(value)?, fire)?);
        }
        return Ok(Some(fired));
    }
    Ok(None)
}

fn key_group_of(key: &[u8]) -> u16 {
    key.first_chunk().map_or(0, |group| u16::from_be_bytes(*group))
}

// Memory has the newer entry, where it has one. What was brought in for this alone, and has not changed, goes
// again.
fn fire_one<K: Key, A: Record, S: Record>(
    pane: &mut Pane<K, A, S>,
    entry: &[u8],
    fire: &mut FireEntry<'_, K, A, S>,
) -> Result<bool> {
    let (_, key, acc, trigger): StoredEntry<K, A, S> = from_bytes(entry)?;
    let hash = key.key_hash();
    let known = pane.table.find(hash, &key);
    let loaded = known.is_none().then(|| pane.table.load(hash, key, Cell { acc, trigger })).flatten();
    let Some(slot) = known.or(loaded) else { return Ok(false) };
    let Some(entry) = pane.table.peek_mut(slot) else { return Ok(false) };
    let asked = fire(entry);
    if asked.is_some_and(|fire| fire.purge || size_of::<S>() > 0) {
        pane.table.entry_mut(slot);
    } else if loaded.is_some() {
        pane.table.evict(slot);
    }
    Ok(asked.is_some())
}

/// Drops all keys of a window, and its timers, if the store has any.
pub(super) fn forget<K: Key, A: Record, S: Record>(cache: &mut Cache, pane: &Pane<K, A, S>) {
    if !pane.table.is_behind() {
        return;
    }
    for group in cache.owned.clone() {
        cache.drop_all(of_window(group, WINDOWS, &pane.window));
        cache.changes.push(Change::Delete(of_window(group, PANES, &pane.window)));
    }
}

/// The store as it is now, with the timers of each window in each key group.
pub(super) fn freeze<K: Key, A: Record, S: Record>(
    cache: &mut Cache,
    panes: &mut Panes<K, A, S>,
    watermarks: &GroupWatermarks,
    id: CheckpointId,
) -> Result<Box<dyn FrozenState>> {
    for pane in panes.all() {
        pane.table.set_behind();
        let timers = to_bytes(&(pane.window, pane.timers.clone()));
        for group in cache.owned.clone() {
            let (key, mut value) = pair(of_window(group, PANES, &pane.window), MAX_TIME);
            value.extend_from_slice(&timers);
            cache.put((key, value));
        }
    }
    cache.freeze(id, panes.all(), watermarks, frozen::tables::<K, A, S>())
}
