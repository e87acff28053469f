//! From a hash to a slot: a table of small buckets with open addressing.
//!
//! Eight buckets share a cache line and neighbours are tried in turn, so a look-up waits for memory once here
//! and once for the entry; both places can be told from the hash alone, which lets
//! [`KeyedTable::warm`](crate::table::KeyedTable::warm) load them for many keys at once.

use super::Slot;

const FREE: Slot = Slot::MAX;
const SMALLEST: usize = 16;

#[derive(Clone, Copy)]
struct Bucket {
    // The hash's lower half: says where the bucket belongs, and tells most other keys apart without a look at
    // their entries.
    tag: u32,
    slot: Slot,
}

const NOTHING: Bucket = Bucket { tag: 0, slot: FREE };

/// Slots by hash. The number of buckets is a power of two; at most two thirds are taken.
#[derive(Default)]
pub(crate) struct SlotIndex {
    buckets: Vec<Bucket>,
    taken: usize,
}

impl SlotIndex {
    /// The slot of this hash for which `is_it` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(Slot) -> bool) -> Option<Slot> {
        if self.buckets.is_empty() {
            return None;
        }
        let mut place = self.home(hash as u32);
        loop {
            let bucket = self.buckets[place];
            if bucket.slot == FREE {
                return None;
            }
            if bucket.tag == hash as u32 && is_it(bucket.slot) {
                return Some(bucket.slot);
            }
            place = self.after(place);
        }
    }

    /// The slot at the first place of a hash; often the right one, always cheap to ask for. Any number where
    /// there is none.
    #[inline]
    pub(crate) fn guess(&self, hash: u64) -> Slot {
        self.buckets.get(self.home(hash as u32)).map_or(FREE, |bucket| bucket.slot)
    }

    /// Adds a slot that is not there.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot) {
        if (self.taken + 1) * 3 > self.buckets.len() * 2 {
            self.grow();
        }
        self.put(Bucket { tag: hash as u32, slot });
        self.taken += 1;
    }

    /// Takes a slot out. Buckets behind it move up, so that none is cut off from its place.
    pub(crate) fn remove(&mut self, hash: u64, slot: Slot) {
        if self.find(hash, |other| other == slot).is_none() {
            return;
        }
        let mut hole = self.home(hash as u32);
        while self.buckets[hole].slot != slot {
            hole = self.after(hole);
        }
        self.taken -= 1;
        let mut place = self.after(hole);
        while self.buckets[place].slot != FREE {
            let mask = self.buckets.len() - 1;
            let (from_home, from_hole) = (
                place.wrapping_sub(self.home(self.buckets[place].tag)) & mask,
                place.wrapping_sub(hole) & mask,
            );
            if from_home >= from_hole {
                self.buckets[hole] = self.buckets[place];
                hole = place;
            }
            place = self.after(place);
        }
        self.buckets[hole] = NOTHING;
    }

    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        tag as usize & self.buckets.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.buckets.len() - 1)
    }

    fn put(&mut self, bucket: Bucket) {
        let mut place = self.home(bucket.tag);
        while self.buckets[place].slot != FREE {
            place = self.after(place);
        }
        self.buckets[place] = bucket;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = vec![NOTHING; (self.buckets.len() * 2).max(SMALLEST)];
        let taken = std::mem::replace(&mut self.buckets, larger);
        taken.into_iter().filter(|bucket| bucket.slot != FREE).for_each(|bucket| self.put(bucket));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    // Few distinct hashes, in one corner of the table: long runs of neighbours, which removals must close.
    #[test]
    fn it_behaves_as_a_map() {
        let (mut index, mut model) = (SlotIndex::default(), BTreeMap::new());
        let mut random = 1_u64;
        for number in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = (random >> 33) % 60;
            let hash = key / 2 * 16 + key % 2;
            match model.remove(&hash) {
                Some(slot) => index.remove(hash, slot),
                None => {
                    index.insert(hash, number);
                    model.insert(hash, number);
                }
            }
            assert_eq!(index.len(), model.len());
            for (hash, slot) in &model {
                assert_eq!(index.find(*hash, |found| found == *slot), Some(*slot), "step {number}");
            }
            assert_eq!(index.find(7 << 20, |_| true), None);
        }
    }
}
