//! What a table that holds some of a cold store's entries remembers of each slot.

use super::Slot;

/// Bits by slot.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn get(&self, slot: Slot) -> bool {
        self.0.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    // Answers what it was before.
    fn set(&mut self, slot: Slot, to: bool) -> bool {
        let (word, mask) = (slot as usize / 64, 1 << (slot % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let before = self.0[word] & mask != 0;
        if to {
            self.0[word] |= mask;
        } else {
            self.0[word] &= !mask;
        }
        before
    }
}

/// Which entries the store has, which of them differ here, and which were used of late.
pub(crate) struct Tracking<K> {
    stored: Bits,
    dirty: Bits,
    recent: Bits,
    // A slot may be in it twice; the bit says whether it still counts.
    changed: Vec<Slot>,
    gone: Vec<(u64, K)>,
    hand: Slot,
    /// Whether the store may have entries that the table has not.
    pub(super) behind: bool,
}

impl<K> Default for Tracking<K> {
    fn default() -> Self {
        let (stored, dirty, recent) = (Bits::default(), Bits::default(), Bits::default());
        Self { stored, dirty, recent, changed: Vec::new(), gone: Vec::new(), hand: 0, behind: false }
    }
}

impl<K: Clone> Tracking<K> {
    pub(super) fn written(&mut self, slot: Slot) {
        self.recent.set(slot, true);
        if !self.dirty.set(slot, true) {
            self.changed.push(slot);
        }
    }

    pub(super) fn loaded(&mut self, slot: Slot) {
        self.stored.set(slot, true);
        self.recent.set(slot, true);
    }

    /// The key is gone, also from the store.
    pub(super) fn removed(&mut self, slot: Slot, hash: u64, key: &K) {
        self.dirty.set(slot, false);
        if self.stored.set(slot, false) {
            self.gone.push((hash, key.clone()));
        }
    }

    /// The key is gone from memory alone.
    pub(super) fn evicted(&mut self, slot: Slot) {
        self.stored.set(slot, false);
    }

    pub(super) fn changes(&self) -> usize {
        self.changed.len() + self.gone.len()
    }

    pub(super) fn take_gone(&mut self) -> Vec<(u64, K)> {
        std::mem::take(&mut self.gone)
    }

    /// The slots whose entries the store does not have yet; from then on they count as stored.
    pub(super) fn take_changed(&mut self) -> Vec<Slot> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.retain(|slot| self.dirty.set(*slot, false));
        for slot in &changed {
            self.stored.set(*slot, true);
            self.behind = true;
        }
        changed
    }

    /// A slot whose entry the store has as it is here and that was not used since the hand came by last.
    pub(super) fn victim(&mut self, slots: Slot) -> Option<Slot> {
        for _ in 0..slots.saturating_mul(2) {
            let slot = self.hand;
            self.hand = if slot + 1 < slots { slot + 1 } else { 0 };
            if !self.recent.set(slot, false) && self.stored.get(slot) && !self.dirty.get(slot) {
                return Some(slot);
            }
        }
        None
    }
}
