//! Typed tables above a cold store: they hold what is in use, the store holds everything.
//!
//! What a batch needs is loaded before it, so that the work itself never waits; what it changed is written
//! back later: when there is much of it, before an entry leaves memory, and at a barrier. Nothing leaves
//! memory within a batch.

use std::ops::Range;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Key, Result};
use millstream_stage::OpenContext;
use millstream_stage::snapshot::{CheckpointId, FrozenState, RestoredKeyed, TableSchema};
use millstream_stage::state_backend::{Change, ColdSizes, ColdStore, Pairs};
use millstream_stage::time::Time;

use super::frozen::FrozenTables;
use super::{after, entry_of, prefix};
use crate::group_watermarks::GroupWatermarks;
use crate::table::{Entry, KeyedTable, Slot};

/// Changes are written once there are so many: a barrier finds few.
const MOST_CHANGES: usize = 1 << 14;

/// A table whose entries a cold store keeps.
pub(crate) trait ColdTable {
    type Key: Key;
    type Value: Clone;
    fn keyed(&self) -> &KeyedTable<Self::Key, Self::Value>;
    fn keyed_mut(&mut self) -> &mut KeyedTable<Self::Key, Self::Value>;
    /// The store's key for a key that is, or may be, in it.
    fn cold_key(&self, hash: u64, key: &Self::Key) -> Vec<u8>;
    /// The store's key and value for what is in a slot.
    fn pair(&self, slot: Slot) -> Option<(Vec<u8>, Vec<u8>)>;
    /// Bytes of memory that belong to what is in a slot, but lie elsewhere.
    fn elsewhere(&self, slot: Slot) -> usize;
    /// Drops what is in a slot from memory.
    fn evict(&mut self, slot: Slot) {
        self.keyed_mut().evict(slot);
    }
}

/// An operator's cold store, and the changes that it does not have yet.
pub(crate) struct Cache {
    store: Box<dyn ColdStore>,
    pub(crate) changes: Vec<Change>,
    budget: usize,
    // What belongs to an entry and lies outside of the table, a moving average.
    entry_bytes: usize,
    expired: Option<(u8, Time)>,
    pub(crate) groups: u16,
    pub(crate) owned: Range<KeyGroup>,
}

impl Cache {
    /// The store of an operator, where there is one, and whether the restored state is in it already.
    pub(crate) fn open(
        operator: &str,
        tables: &[TableSchema],
        restored: &RestoredKeyed,
        cx: &OpenContext,
    ) -> Result<Option<(Self, bool)>> {
        // Entries in another form than today's must pass through `RestoredKeyed::read`.
        let today = restored.parts.iter().all(|part| part.tables() == tables);
        let parts = if today { restored.parts.as_slice() } else { &[] };
        let Some(opened) = cx.backend.cold(&cx.scope_of(operator), parts)? else { return Ok(None) };
        let cache = Self {
            store: opened.store,
            changes: Vec::new(),
            budget: opened.cache_bytes,
            entry_bytes: 32,
            expired: None,
            groups: cx.key_groups,
            owned: cx.owned.clone(),
        };
        Ok(Some((cache, today && opened.restored)))
    }

    /// Hands over the entries of these keys, as far as the store has them.
    pub(crate) fn fetch(
        &mut self,
        mut keys: Vec<Vec<u8>>,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.write()?;
        keys.sort_unstable();
        keys.dedup();
        let (asked, mut values) = (keys.iter().map(Vec::as_slice).collect::<Vec<_>>(), Vec::new());
        self.store.multi_get(&asked, &mut values)?;
        values.iter().flatten().try_for_each(|value| take(entry_of(value)?))
    }

    /// At most `limit` pairs, in order; the values with their expiry.
    pub(crate) fn scan(&mut self, range: Range<&[u8]>, limit: usize) -> Result<Pairs> {
        self.write()?;
        let mut pairs = Vec::new();
        self.store.scan(range, limit, &mut pairs)?;
        Ok(pairs)
    }

    /// Hands over all entries of a table of all owned groups: for small tables.
    pub(crate) fn each(
        &mut self,
        table: u8,
        take: &mut dyn FnMut(KeyGroup, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for group in self.owned.clone() {
            let from = prefix(group, table);
            let pairs = self.scan(&from..&after(&from), usize::MAX)?;
            pairs.iter().try_for_each(|(_, value)| take(group, entry_of(value)?))?;
        }
        Ok(())
    }

    pub(crate) fn put(&mut self, (key, value): (Vec<u8>, Vec<u8>)) {
        self.changes.push(Change::Put(key, value));
    }

    /// Forgets all keys that begin with `prefix`.
    pub(crate) fn drop_all(&mut self, prefix: Vec<u8>) {
        let end = after(&prefix);
        self.changes.push(Change::DeleteRange(prefix, end));
    }

    pub(crate) fn sizes(&self) -> ColdSizes {
        self.store.sizes()
    }

    pub(crate) fn write(&mut self) -> Result<()> {
        if self.changes.is_empty() { Ok(()) } else { self.store.write(&mut self.changes) }
    }

    pub(crate) fn write_if_many(&mut self) -> Result<()> {
        if self.changes.len() < MOST_CHANGES { Ok(()) } else { self.write() }
    }

    /// Values of a table that expire until then are not needed any more.
    pub(crate) fn expire(&mut self, table: u8, now: Time) {
        if self.expired.replace((table, now)) != Some((table, now)) {
            self.store.expire(table, now);
        }
    }

    /// Tells the store which keys a table has removed, so that they are not found again.
    pub(crate) fn write_gone(&mut self, table: &mut impl ColdTable) {
        for (hash, key) in table.keyed_mut().take_gone() {
            self.changes.push(Change::Delete(table.cold_key(hash, &key)));
        }
    }

    /// Tells the store what a table has changed. First what is gone: a key that came back has a new entry.
    pub(crate) fn write_back(&mut self, table: &mut impl ColdTable) {
        self.write_gone(table);
        for slot in table.keyed_mut().take_changed() {
            if let Some(pair) = table.pair(slot) {
                self.entry_bytes = (self.entry_bytes * 63 + table.elsewhere(slot)).div_ceil(64);
                self.put(pair);
            }
        }
    }

    /// Between two batches: writes back where there is much to write, and makes room where memory is short.
    pub(crate) fn settle<T: ColdTable>(&mut self, tables: &mut [T]) -> Result<()> {
        let changes: usize = tables.iter().map(|table| table.keyed().changes()).sum();
        let slot = size_of::<Option<Entry<T::Key, T::Value>>>() + 16 + self.entry_bytes;
        let keys: usize = tables.iter().map(|table| table.keyed().len()).sum();
        let room = self.budget / slot;
        if keys > room || changes >= MOST_CHANGES {
            tables.iter_mut().for_each(|table| self.write_back(table));
        }
        if keys > room {
            // A quarter more than is needed, so that it is not needed again at once.
            tables.iter_mut().for_each(|table| shrink(table, table.keyed().len() * room / 4 * 3 / keys));
        }
        self.write_if_many()
    }

    /// The store as it is now, with all that the tables hold.
    pub(crate) fn freeze<T: ColdTable>(
        &mut self,
        id: CheckpointId,
        tables: &mut [T],
        watermarks: &GroupWatermarks,
        schemas: Vec<TableSchema>,
    ) -> Result<Box<dyn FrozenState>> {
        tables.iter_mut().for_each(|table| self.write_back(table));
        watermarks.entries(&mut |group, _, entry| {
            let (key, mut value) = super::pair(prefix(group, 0), Time::MAX);
            value.extend_from_slice(entry);
            self.put((key, value));
            Ok(())
        })?;
        self.write()?;
        let store = self.store.freeze(id)?;
        Ok(Box::new(FrozenTables { tables: schemas, expired: self.expired, store }))
    }
}

fn shrink(table: &mut impl ColdTable, room: usize) {
    while table.keyed().len() > room {
        let Some(slot) = table.keyed_mut().victim() else { return };
        table.evict(slot);
    }
}
