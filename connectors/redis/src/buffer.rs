//! Writes that wait for their pipeline, at most one per key.

use std::collections::{HashMap, VecDeque};

use compact_str::CompactString;
use millstream_core::time::Time;

use crate::encode::Pending;

/// A queue that folds by key: of several writes to one key the newest stays, in the place of the oldest.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    queue: VecDeque<Pending>,
    // Numbers the write at the head of the queue; grows by what is taken, falls by what is put back.
    head: i64,
    by_key: HashMap<CompactString, i64>,
    bytes: usize,
}

impl Buffer {
    /// Adds a write at the end, or folds it into the one that waits for the same key.
    pub(crate) fn push(&mut self, pending: Pending) {
        if let Some(pending) = self.fold(pending) {
            self.by_key.insert(pending.write.key.clone(), self.head + self.queue.len() as i64);
            self.bytes += pending.size;
            self.queue.push_back(pending);
        }
    }

    /// Puts writes back that could not be delivered; the first of them becomes the head.
    pub(crate) fn put_back(&mut self, writes: impl DoubleEndedIterator<Item = Pending>) {
        for pending in writes.rev() {
            if let Some(pending) = self.fold(pending) {
                self.head -= 1;
                self.by_key.insert(pending.write.key.clone(), self.head);
                self.bytes += pending.size;
                self.queue.push_front(pending);
            }
        }
    }

    // Gives it back if no write waits for its key.
    fn fold(&mut self, pending: Pending) -> Option<Pending> {
        let Some(number) = self.by_key.get(&pending.write.key) else {
            return Some(pending);
        };
        let there = &mut self.queue[(number - self.head) as usize];
        let since = there.since.min(pending.since);
        if there.version < pending.version {
            self.bytes = self.bytes - there.size + pending.size;
            *there = pending;
        }
        there.since = since;
        None
    }

    /// Takes a pipeline's worth from the head: at least one write if there is any.
    pub(crate) fn take(&mut self, records: usize, bytes: usize) -> Vec<Pending> {
        let mut taken = Vec::with_capacity(records.min(self.queue.len()));
        let mut room = bytes;
        while let Some(next) = self.queue.front() {
            if taken.len() == records || (next.size > room && !taken.is_empty()) {
                break;
            }
            room = room.saturating_sub(next.size);
            taken.extend(self.queue.pop_front());
        }
        self.head += taken.len() as i64;
        for pending in &taken {
            self.by_key.remove(&pending.write.key);
            self.bytes -= pending.size;
        }
        taken
    }

    /// How many writes wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// How many bytes they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the head has waited.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.queue.front().map(|pending| pending.since)
    }

    /// All that wait.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.queue.iter()
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::version::Version;

    use super::*;
    use crate::write::RedisWrite;

    fn pending(key: &str, sequence: u64) -> Pending {
        let write = RedisWrite::string(key, sequence.to_string());
        let version = Version::new(1, sequence).unwrap();
        Pending { size: write.size(), write, version, ingest: 0, since: sequence as i64 }
    }

    fn seen(writes: &[Pending]) -> Vec<(String, u64)> {
        writes.iter().map(|write| (write.write.key().to_owned(), write.version.sequence())).collect()
    }

    fn buffer(writes: &[(&str, u64)]) -> Buffer {
        let mut buffer = Buffer::default();
        writes.iter().for_each(|(key, sequence)| buffer.push(pending(key, *sequence)));
        buffer
    }

    #[test]
    fn the_newest_write_of_a_key_stays_in_the_oldest_ones_place() {
        let mut buffer = buffer(&[("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)]);
        assert_eq!((buffer.len(), buffer.oldest()), (3, Some(1)));
        assert_eq!(seen(&buffer.take(9, usize::MAX)), [("a".into(), 3), ("b".into(), 5), ("c".into(), 4)]);
        assert_eq!((buffer.len(), buffer.bytes(), buffer.oldest()), (0, 0, None));
    }

    #[test]
    fn what_comes_back_never_replaces_what_is_newer() {
        let mut buffer = buffer(&[("a", 1), ("b", 2), ("c", 3)]);
        let first = buffer.take(2, usize::MAX);
        let second = buffer.take(1, usize::MAX);
        buffer.push(pending("a", 4));
        buffer.push(pending("d", 5));
        buffer.put_back(second.into_iter());
        buffer.put_back(first.into_iter());
        buffer.push(pending("b", 6));
        let all = buffer.take(9, usize::MAX);
        assert_eq!(seen(&all), [("b".into(), 6), ("c".into(), 3), ("a".into(), 4), ("d".into(), 5)]);
        assert_eq!(buffer.bytes(), 0);
    }

    #[test]
    fn a_pipeline_is_cut_by_count_and_by_bytes_and_never_empty() {
        let size = pending("a", 1).size;
        let mut buffer = buffer(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        assert_eq!(buffer.take(1, usize::MAX).len(), 1);
        assert_eq!(buffer.take(9, 2 * size).len(), 2);
        assert_eq!(buffer.take(9, 1).len(), 1);
        assert!(buffer.take(9, 1).is_empty());
    }
}
