//! What waits to be sent: one document per id, the newest.
//!
//! An id that is on its way is not sent again before the answer has come: a newer document of it waits here, and folds with still newer
//! ones. Two requests therefore never race for one id, and a hot id costs one write per round trip, not one per record.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use compact_str::CompactString;
use millstream_core::Version;
use millstream_core::time::Nanos;

/// What a document is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) index: CompactString,
    pub(crate) id: CompactString,
}

/// A document that was not acknowledged yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) key: Arc<Key>,
    pub(crate) version: Version,
    /// Both lines of the bulk request, ready to send.
    pub(crate) lines: Vec<u8>,
    /// Where the second line begins.
    pub(crate) body_at: usize,
    /// How many records it stands for; none when it was restored.
    pub(crate) rows: u64,
    /// When the oldest of them entered the job.
    pub(crate) ingest: Nanos,
    /// Since when it could have been sent.
    pub(crate) ready_at: Nanos,
    /// How often it was sent in vain.
    pub(crate) tries: u32,
    /// When it was first sent in vain.
    pub(crate) failed_at: Option<Nanos>,
}

impl Pending {
    /// The JSON body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.lines[self.body_at..self.lines.len() - 1]
    }

    /// The memory it holds, about.
    fn size(&self) -> usize {
        self.lines.len() + self.key.index.len() + self.key.id.len() + size_of::<Self>() + size_of::<Key>()
    }

    // The higher version stays and stands for both.
    fn fold(self, other: Self) -> Self {
        let rows = self.rows + other.rows;
        let ingest = self.ingest.min(other.ingest);
        let ready_at = self.ready_at.min(other.ready_at);
        let tries = self.tries.max(other.tries);
        let failed_at = [self.failed_at, other.failed_at].into_iter().flatten().min();
        let newer = if self.version > other.version { self } else { other };
        Self { rows, ingest, ready_at, tries, failed_at, ..newer }
    }
}

/// One id: on its way, or waiting, or both (then with a newer document).
#[derive(Debug, Default)]
struct Slot {
    waiting: Option<Pending>,
    out: bool,
}

/// All documents that were not acknowledged; those on their way by their id and size alone.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    slots: HashMap<Arc<Key>, Slot>,
    // The ids that wait and are not on their way, the oldest first.
    queue: VecDeque<Arc<Key>>,
    ready_bytes: usize,
    bytes: usize,
}

impl Buffer {
    /// Adds a document; folds it with one of its id. Whether it was folded.
    pub(crate) fn insert(&mut self, new: Pending) -> bool {
        let size = new.size();
        self.bytes += size;
        let slot = self.slots.entry(Arc::clone(&new.key)).or_default();
        let Some(old) = slot.waiting.take() else {
            if !slot.out {
                self.queue.push_back(Arc::clone(&new.key));
                self.ready_bytes += size;
            }
            slot.waiting = Some(new);
            return false;
        };
        let (before, kept) = (old.size(), old.fold(new));
        self.bytes -= before + size - kept.size();
        if !slot.out {
            self.ready_bytes = self.ready_bytes - before + kept.size();
        }
        slot.waiting = Some(kept);
        true
    }

    /// Takes the documents of one request: one at least if any can be sent, no more than the limits otherwise.
    pub(crate) fn take(&mut self, max_bytes: usize, max_count: usize) -> Vec<Pending> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(key) = self.queue.front() {
            let slot = self.slots.get_mut(key).expect("a queued id has a slot");
            let document = slot.waiting.as_ref().expect("a queued id has a document");
            bytes += document.lines.len();
            if !taken.is_empty() && (bytes > max_bytes || taken.len() >= max_count) {
                break;
            }
            self.ready_bytes -= document.size();
            slot.out = true;
            taken.extend(slot.waiting.take());
            self.queue.pop_front();
        }
        taken
    }

    /// A document that was taken needs nothing more. What waits behind it can be sent from now on.
    pub(crate) fn settle(&mut self, document: &Pending, now: Nanos) {
        self.bytes -= document.size();
        let slot = self.slots.get_mut(&document.key).expect("what was taken keeps its slot");
        slot.out = false;
        match &mut slot.waiting {
            None => drop(self.slots.remove(&document.key)),
            Some(waiting) => {
                waiting.ready_at = now;
                self.ready_bytes += waiting.size();
                self.queue.push_back(Arc::clone(&document.key));
            }
        }
    }

    /// A document that was taken must be sent again: before all others, unless a newer one has come, which then goes in its place.
    pub(crate) fn put_back(&mut self, document: Pending) {
        let slot = self.slots.get_mut(&document.key).expect("what was taken keeps its slot");
        slot.out = false;
        let key = Arc::clone(&document.key);
        let kept = match slot.waiting.take() {
            None => document,
            Some(newer) => {
                let before = newer.size() + document.size();
                let kept = newer.fold(document);
                self.bytes -= before - kept.size();
                kept
            }
        };
        self.ready_bytes += kept.size();
        slot.waiting = Some(kept);
        self.queue.push_front(key);
    }

    /// How many documents could be sent.
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

    /// Since when the first one waits that could be sent.
    pub(crate) fn ready_since(&self) -> Option<Nanos> {
        let slot = self.slots.get(self.queue.front()?);
        slot.and_then(|slot| slot.waiting.as_ref()).map(|document| document.ready_at)
    }

    /// Whether all was acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What waits, in any order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Pending> {
        self.slots.values().filter_map(|slot| slot.waiting.as_ref())
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
