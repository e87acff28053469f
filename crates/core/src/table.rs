//! The typed table that keyed state lives in: keys are looked up once, by the hash that travels with the batch.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Found;

use crate::Key;

/// A place in a [`KeyedTable`]; stays the same while its key is there.
pub type Slot = u32;

/// Keys with a value each, in slots that do not move. Iteration follows the order of slots, which is that of first arrival.
pub struct KeyedTable<K, V> {
    index: HashTable<Slot>,
    entries: Vec<Option<Entry<K, V>>>,
    free: Vec<Slot>,
}

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
        Self { index: HashTable::new(), entries: Vec::new(), free: Vec::new() }
    }
}

// The low bits choose a bucket and the top seven tell entries in it apart; key groups use the bits between, so all are spread.
fn hash_at<K, V>(entries: &[Option<Entry<K, V>>], slot: Slot) -> u64 {
    entries[slot as usize].as_ref().map_or(0, |entry| entry.hash)
}

impl<K: Key, V> KeyedTable<K, V> {
    /// The slot of a key, made with `make` where there is none.
    pub fn resolve(&mut self, hash: u64, key: K, make: impl FnOnce() -> V) -> Slot {
        let Self { index, entries, free } = self;
        let equal = |slot: &Slot| {
            entries[*slot as usize].as_ref().is_some_and(|entry| entry.hash == hash && entry.key == key)
        };
        let vacant = match index.entry(hash, equal, |slot| hash_at(entries, *slot)) {
            Found::Occupied(slot) => return *slot.get(),
            Found::Vacant(vacant) => vacant,
        };
        let slot = free.pop().unwrap_or(entries.len() as Slot);
        vacant.insert(slot);
        let entry = Some(Entry { hash, key, value: make() });
        if slot as usize == entries.len() {
            entries.push(entry);
        } else {
            entries[slot as usize] = entry;
        }
        slot
    }

    /// The slot of a key that is there.
    pub fn find(&self, hash: u64, key: &K) -> Option<Slot> {
        let equal =
            |slot: &Slot| self.entry(*slot).is_some_and(|entry| entry.hash == hash && entry.key == *key);
        self.index.find(hash, equal).copied()
    }

    /// Forgets a key; its slot will be used again.
    pub fn remove(&mut self, slot: Slot) -> Option<Entry<K, V>> {
        let entry = self.entries.get_mut(slot as usize)?.take()?;
        if let Ok(found) = self.index.find_entry(entry.hash, |other| *other == slot) {
            found.remove();
        }
        self.free.push(slot);
        Some(entry)
    }

    /// What is in a slot.
    pub fn entry(&self, slot: Slot) -> Option<&Entry<K, V>> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// What is in a slot, to change its value.
    pub fn entry_mut(&mut self, slot: Slot) -> Option<&mut Entry<K, V>> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    /// All keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<K, V>> {
        self.entries.iter().flatten()
    }

    /// Slots so far, used or free: the end of an iteration by slot.
    pub fn slots(&self) -> Slot {
        self.entries.len() as Slot
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(table: &mut KeyedTable<i64, i64>, key: i64) -> Slot {
        table.resolve(key.key_hash(), key, || key * 10)
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
