//! The typed table that keyed state lives in: keys are looked up once, by the hash that travels with the
//! batch.

pub(crate) mod segments;
mod slot_index;
mod tracking;

use millstream_record::Key;
use segments::Segments;
use tracking::Tracking;

use slot_index::SlotIndex;

/// A place in a [`KeyedTable`]; stays the same while its key is there.
pub type Slot = u32;

/// Keys with a value each, in slots that do not move. Iteration follows the order of slots, which is that of
/// first arrival.
pub struct KeyedTable<K, V> {
    index: SlotIndex,
    entries: Segments<Option<Entry<K, V>>>,
    slots: Slot,
    free: Vec<Slot>,
    // Only where a cold store lies below.
    tracking: Option<Box<Tracking<K>>>,
}

/// The entries of a table as they were when it was frozen, by slot.
pub(crate) type FrozenEntries<K, V> = Segments<Option<Entry<K, V>>>;

/// One key of a table.
#[derive(Clone, Debug)]
pub struct Entry<K, V> {
    /// The key's stable hash.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// Its value.
    pub value: V,
}

impl<K, V> Default for KeyedTable<K, V> {
    fn default() -> Self {
        Self {
            index: SlotIndex::default(),
            entries: Segments::default(),
            slots: 0,
            free: Vec::new(),
            tracking: None,
        }
    }
}

/// How many hashes [`KeyedTable::warm`] takes at once.
pub const WARM: usize = 64;

impl<K: Key, V: Clone> KeyedTable<K, V> {
    /// The slot of a key, made with `make` where there is none; only then is the key cloned.
    pub fn resolve(&mut self, hash: u64, key: &K, make: impl FnOnce() -> V) -> Slot {
        match self.find(hash, key) {
            Some(slot) => slot,
            None => self.insert(Entry { hash, key: key.clone(), value: make() }),
        }
    }

    fn insert(&mut self, entry: Entry<K, V>) -> Slot {
        let slot = self.free.pop().unwrap_or(self.slots);
        self.slots = self.slots.max(slot + 1);
        self.index.insert(entry.hash, slot);
        *self.entries.at(slot as usize) = Some(entry);
        slot
    }

    /// The slot of a key that is there.
    pub fn find(&self, hash: u64, key: &K) -> Option<Slot> {
        let same = |slot| self.entry(slot).is_some_and(|entry| entry.hash == hash && entry.key == *key);
        self.index.find(hash, same)
    }

    /// Loads what up to [`WARM`] hashes will need. These loads do not wait for each other, where one look-up
    /// after the other waits for memory each time.
    pub fn warm(&self, hashes: &[u64]) {
        let mut slots = [Slot::MAX; WARM];
        for (slot, hash) in slots.iter_mut().zip(hashes) {
            *slot = self.index.guess(*hash);
        }
        let loaded = slots.iter().filter_map(|slot| self.entry(*slot)).fold(0, |sum, entry| sum ^ entry.hash);
        std::hint::black_box(loaded);
    }

    /// Forgets a key; its slot will be used again.
    pub fn remove(&mut self, slot: Slot) -> Option<Entry<K, V>> {
        let entry = self.take(slot)?;
        if let Some(tracking) = &mut self.tracking {
            tracking.removed(slot, entry.hash, &entry.key);
        }
        Some(entry)
    }

    fn take(&mut self, slot: Slot) -> Option<Entry<K, V>> {
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        self.index.remove(entry.hash, slot);
        self.free.push(slot);
        Some(entry)
    }

    /// What is in a slot.
    #[inline]
    pub fn entry(&self, slot: Slot) -> Option<&Entry<K, V>> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// What is in a slot, to change its value.
    #[inline]
    pub fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V>> {
        if let Some(tracking) = &mut self.tracking {
            tracking.written(slot);
        }
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    /// All keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.entries.iter().flatten()
    }

    /// Slots so far, used or free: the end of an iteration by slot.
    pub fn slots(&self) -> Slot {
        self.slots
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// All entries as they are now. Work per segment of 256 entries, not per entry; a segment that is written
    /// to before the snapshot is gone is copied then.
    pub(crate) fn freeze(&mut self) -> FrozenEntries<K, V> {
        self.entries.freeze()
    }
}

/// A table above a cold store holds some of its entries. It remembers which changes the store does not have,
/// and never forgets an entry by itself.
impl<K: Key, V: Clone> KeyedTable<K, V> {
    /// An empty table above a store.
    pub(crate) fn tracked() -> Self {
        Self { tracking: Some(Box::default()), ..Self::default() }
    }

    /// Says that the store has entries from before.
    pub(crate) fn set_behind(&mut self) {
        if let Some(tracking) = &mut self.tracking {
            tracking.behind = true;
        }
    }

    /// Whether the store may have entries that the table has not.
    pub(crate) fn is_behind(&self) -> bool {
        self.tracking.as_ref().is_some_and(|tracking| tracking.behind)
    }

    /// Adds an entry as the store has it, unless it is there.
    pub(crate) fn load(&mut self, hash: u64, key: K, value: V) -> Option<Slot> {
        if self.find(hash, &key).is_some() {
            return None;
        }
        let slot = self.insert(Entry { hash, key, value });
        if let Some(tracking) = &mut self.tracking {
            tracking.loaded(slot);
        }
        Some(slot)
    }

    /// The entry in a slot, for a change that the store need not know of, or that
    /// [`entry_mut`](Self::entry_mut) will report to it.
    pub(crate) fn peek_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V>> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    /// Drops an entry that the store has too.
    pub(crate) fn evict(&mut self, slot: Slot) {
        if self.take(slot).is_some()
            && let Some(tracking) = &mut self.tracking
        {
            tracking.evicted(slot);
        }
    }

    /// An entry that can be dropped: the store has it, and it was not used of late.
    pub(crate) fn victim(&mut self) -> Option<Slot> {
        self.tracking.as_mut()?.victim(self.slots)
    }

    /// How many changes the store does not have yet.
    pub(crate) fn changes(&self) -> usize {
        self.tracking.as_ref().map_or(0, |tracking| tracking.changes())
    }

    /// The keys that were removed.
    pub(crate) fn take_gone(&mut self) -> Vec<(u64, K)> {
        self.tracking.as_mut().map(|tracking| tracking.take_gone()).unwrap_or_default()
    }

    /// The slots that were written to.
    pub(crate) fn take_changed(&mut self) -> Vec<Slot> {
        self.tracking.as_mut().map(|tracking| tracking.take_changed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(table: &mut KeyedTable<i64, i64>, key: i64) -> Slot {
        table.resolve(key.key_hash(), &key, || key * 10)
    }

    #[test]
    fn slots_stay_while_keys_come_and_go() {
        let mut table = KeyedTable::default();
        let slots: Vec<_> = (0..1000).map(|key| add(&mut table, key)).collect();
        for key in (0..1000).step_by(3) {
            assert_eq!(table.remove(slots[key as usize]).unwrap().key, key);
        }
        for key in 0..1000 {
            let found = table.find(key.key_hash(), &key);
            assert_eq!(found, (key % 3 != 0).then_some(slots[key as usize]));
        }
        let reused = add(&mut table, 5000);
        assert!(slots.contains(&reused));
        assert_eq!((table.len(), table.entry(reused).unwrap().value), (667, 50_000));
    }
}
