//! What was not acknowledged: one item per id, the newest.
//!
//! An id that is on its way is not sent again before the answer has come: a newer item of it waits here, and
//! folds with still newer ones. Two requests therefore never race for one id, and a hot id costs one write
//! per round trip, not one per record.
//!
//! Items stay in their slots while they are on their way, so that a snapshot sees them and an id needs no
//! copy.

use std::collections::VecDeque;

use hashbrown::HashTable;
use millstream_stage::time::Nanos;
use millstream_stage::unwritten::Backlog;

use crate::ages::Ages;
use crate::item::Item;
use crate::pending_item::PendingItem;

/// Numbers a slot.
pub(crate) type SlotId = u32;

/// One id: waiting, or on its way, or both (then with a newer item waiting).
#[derive(Debug)]
struct Slot<I> {
    hash: u64,
    waiting: Option<PendingItem<I>>,
    sent: Option<PendingItem<I>>,
}

impl<I> Slot<I> {
    fn any(&self) -> Option<&PendingItem<I>> {
        self.waiting.as_ref().or(self.sent.as_ref())
    }
}

/// All items that were not acknowledged.
#[derive(Debug)]
pub(crate) struct Buffer<I> {
    slots: Vec<Slot<I>>,
    free: Vec<SlotId>,
    by_id: HashTable<SlotId>,
    // The ids that wait and are not on their way, the oldest first.
    queue: VecDeque<SlotId>,
    ready_bytes: usize,
    bytes: usize,
    ages: Ages,
}

impl<I> Default for Buffer<I> {
    fn default() -> Self {
        let (slots, free, by_id, queue) = (Vec::new(), Vec::new(), HashTable::new(), VecDeque::new());
        Self { slots, free, by_id, queue, ready_bytes: 0, bytes: 0, ages: Ages::default() }
    }
}

impl<I: Item> Buffer<I> {
    /// Adds an item; folds it with one of its id that waits. Whether it was folded.
    pub(crate) fn insert(&mut self, new: PendingItem<I>) -> bool {
        let size = new.size();
        self.bytes += size;
        self.ages.add(new.ingest, new.weight());
        let id = self.slot_of(&new.item);
        let slot = &mut self.slots[id as usize];
        let Some(old) = slot.waiting.take() else {
            slot.waiting = Some(new);
            if slot.sent.is_none() {
                self.queue.push_back(id);
                self.ready_bytes += size;
            }
            return false;
        };
        let before = old.size();
        let kept = folded(&mut self.ages, old, new);
        self.bytes -= before + size - kept.size();
        if slot.sent.is_none() {
            self.ready_bytes = self.ready_bytes - before + kept.size();
        }
        slot.waiting = Some(kept);
        true
    }

    // The slot of its id, a new one if there is none.
    fn slot_of(&mut self, item: &I) -> SlotId {
        let hash = item.hash();
        let slots = &mut self.slots;
        let same = |id: &SlotId| {
            let slot = &slots[*id as usize];
            slot.hash == hash && slot.any().is_some_and(|known| known.item.same_id(item))
        };
        if let Some(id) = self.by_id.find(hash, same) {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            slots.push(Slot { hash, waiting: None, sent: None });
            SlotId::try_from(slots.len() - 1)
                .expect("fewer items than 2^32, as each has some bytes of the buffer")
        });
        slots[id as usize].hash = hash;
        self.by_id.insert_unique(hash, id, |id| slots[*id as usize].hash);
        id
    }

    /// Takes the items of one request: one at least if any can be sent, no more than the limits otherwise.
    pub(crate) fn take(&mut self, max_bytes: usize, max_items: usize) -> Vec<SlotId> {
        let mut taken = Vec::with_capacity(max_items.min(self.queue.len()));
        let mut bytes = 0;
        while let Some(id) = self.queue.front() {
            let slot = &mut self.slots[*id as usize];
            let next = slot.waiting.as_ref().expect("a queued id has an item that waits");
            bytes += next.item.bytes();
            if !taken.is_empty() && (bytes > max_bytes || taken.len() >= max_items) {
                break;
            }
            self.ready_bytes -= next.size();
            slot.sent = slot.waiting.take();
            taken.push(*id);
            self.queue.pop_front();
        }
        taken
    }

    /// What is on its way under this number.
    pub(crate) fn sent(&self, id: SlotId) -> &PendingItem<I> {
        self.slots[id as usize].sent.as_ref().expect("what was taken keeps its slot")
    }

    /// The same, to note what has become of it.
    pub(crate) fn sent_mut(&mut self, id: SlotId) -> &mut PendingItem<I> {
        self.slots[id as usize].sent.as_mut().expect("what was taken keeps its slot")
    }

    /// Adds an item as if it had been taken already; none if another item of its id is there.
    pub(crate) fn insert_taken(&mut self, item: PendingItem<I>) -> Option<SlotId> {
        let id = self.slot_of(&item.item);
        let slot = &mut self.slots[id as usize];
        if slot.any().is_some() {
            return None;
        }
        self.bytes += item.size();
        self.ages.add(item.ingest, item.weight());
        slot.sent = Some(item);
        Some(id)
    }

    /// An item that was taken needs nothing more. What waits behind it can be sent from now on.
    pub(crate) fn settle(&mut self, id: SlotId, now: Nanos) -> PendingItem<I> {
        let slot = &mut self.slots[id as usize];
        let settled = slot.sent.take().expect("what was taken keeps its slot");
        self.bytes -= settled.size();
        self.ages.remove(settled.ingest, settled.weight());
        if let Some(waiting) = &mut slot.waiting {
            waiting.ready_at = now;
            self.ready_bytes += waiting.size();
            self.queue.push_back(id);
            return settled;
        }
        if let Ok(entry) = self.by_id.find_entry(slot.hash, |known| *known == id) {
            entry.remove();
        }
        self.free.push(id);
        self.shrink();
        settled
    }

    /// An item that was taken must be sent again: before all others, unless a newer one has come, which then
    /// goes in its place.
    pub(crate) fn put_back(&mut self, id: SlotId) {
        let slot = &mut self.slots[id as usize];
        let sent = slot.sent.take().expect("what was taken keeps its slot");
        let kept = match slot.waiting.take() {
            None => sent,
            Some(newer) => {
                let before = newer.size() + sent.size();
                let kept = folded(&mut self.ages, newer, sent);
                self.bytes -= before - kept.size();
                kept
            }
        };
        self.ready_bytes += kept.size();
        slot.waiting = Some(kept);
        self.queue.push_front(id);
    }

    // What a flood has needed is given back when it is over.
    fn shrink(&mut self) {
        const KEPT: usize = 4096;
        if self.free.len() == self.slots.len() && self.slots.capacity() > KEPT {
            *self = Self::default();
        }
    }

    /// How many items could be sent.
    pub(crate) fn ready(&self) -> usize {
        self.queue.len()
    }

    /// The memory of those that could be sent.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// The memory of all that was not acknowledged.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows of all that was not acknowledged.
    pub(crate) fn backlog(&self) -> Backlog {
        self.ages.backlog()
    }

    /// Since when the first one waits that could be sent.
    pub(crate) fn ready_since(&self) -> Option<Nanos> {
        let slot = &self.slots[*self.queue.front()? as usize];
        slot.waiting.as_ref().map(|item| item.ready_at)
    }

    /// Whether all was acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// The newest item of each id that was not acknowledged.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &PendingItem<I>> {
        self.slots.iter().filter_map(|slot| match (&slot.waiting, &slot.sent) {
            (Some(waiting), Some(sent)) if waiting.version < sent.version => Some(sent),
            _ => slot.any(),
        })
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &PendingItem<I>> {
        self.slots.iter().flat_map(|slot| slot.waiting.iter().chain(&slot.sent))
    }
}

// Two items of one id become one, which is as old as the older of them.
fn folded<I: Item>(ages: &mut Ages, one: PendingItem<I>, other: PendingItem<I>) -> PendingItem<I> {
    for pending in [&one, &other] {
        ages.remove(pending.ingest, pending.weight());
    }
    let kept = one.fold(other);
    ages.add(kept.ingest, kept.weight());
    kept
}

/// The items of one request, in order.
#[derive(Debug)]
pub struct Items<'a, I> {
    buffer: &'a Buffer<I>,
    slots: &'a [SlotId],
}

impl<'a, I: Item> Items<'a, I> {
    pub(crate) fn new(buffer: &'a Buffer<I>, slots: &'a [SlotId]) -> Self {
        Self { buffer, slots }
    }

    /// How many there are; at least one.
    #[allow(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Each item with its version.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a I, millstream_stage::Version)> {
        let buffer = self.buffer;
        self.slots.iter().map(move |slot| {
            let pending = buffer.sent(*slot);
            (&pending.item, pending.version)
        })
    }
}

#[cfg(test)]
mod tests;
