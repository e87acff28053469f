//! What was taken and is not known to be written: which of it is to be written when. Pure decisions.

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::Nanos;

use super::interval::{Interval, OpenInterval};
use super::writer_id::{Stamp, WriterId};
use crate::encode::Parts;

/// The intervals of one writer id.
pub(crate) struct Ledger {
    writer_id: Arc<WriterId>,
    epoch: u64,
    // Frozen in this attempt; older ones first.
    sealed: VecDeque<Arc<Interval>>,
    open: OpenInterval,
    // Everything in `sealed`.
    bytes: usize,
    // The latest complete checkpoint.
    completed: Option<CheckpointId>,
    // How many of `sealed`, from the front, are being written.
    writing: usize,
}

impl Ledger {
    /// For output of this writer id in this attempt.
    pub(crate) fn new(writer_id: Arc<WriterId>, epoch: u64) -> Self {
        let (sealed, open) = (VecDeque::new(), OpenInterval::default());
        Self { writer_id, epoch, sealed, open, bytes: 0, completed: None, writing: 0 }
    }

    /// Takes a message.
    pub(crate) fn push(&mut self, parts: Parts<'_>, ingest: Nanos) {
        self.open.push(parts, ingest);
    }

    /// How much memory all of it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.open.bytes()
    }

    /// Whether this checkpoint is known to be complete.
    pub(crate) fn is_complete(&self, checkpoint: CheckpointId) -> bool {
        self.completed >= Some(checkpoint)
    }

    /// A snapshot is taken: ends the interval, and gives everything that belongs into the snapshot.
    pub(crate) fn freeze(&mut self, checkpoint: CheckpointId) -> impl Iterator<Item = &Interval> {
        let stamp = Stamp { epoch: self.epoch, checkpoint };
        if let Some(interval) = self.open.seal(&self.writer_id, stamp) {
            self.bytes += interval.bytes();
            self.sealed.push_back(Arc::new(interval));
        }
        self.sealed.iter().map(Arc::as_ref)
    }

    /// A checkpoint is complete, and every earlier one with it.
    pub(crate) fn completed(&mut self, checkpoint: CheckpointId) {
        self.completed = self.completed.max(Some(checkpoint));
    }

    /// What is to be written now, in one transaction; nothing while the last answer is not
    /// [`written`](Self::written).
    pub(crate) fn next(&mut self) -> Option<Vec<Arc<Interval>>> {
        if self.writing > 0 || !self.is_due() {
            return None;
        }
        let due = self.sealed.iter().take_while(|interval| self.is_complete(interval.stamp.checkpoint));
        let due: Vec<_> = due.cloned().collect();
        self.writing = due.len();
        Some(due)
    }

    /// Whether a complete checkpoint has output that is not known to be written.
    pub(crate) fn is_due(&self) -> bool {
        self.sealed.front().is_some_and(|interval| self.is_complete(interval.stamp.checkpoint))
    }

    /// What [`next`](Self::next) gave was written.
    pub(crate) fn written(&mut self) {
        let written = self.sealed.drain(..std::mem::take(&mut self.writing));
        self.bytes -= written.map(|interval| interval.bytes()).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Message;

    fn ledger() -> Ledger {
        let writer_id = WriterId { sink: "s".into(), topic: "t".into(), subtask: 0, lineage: 1 };
        Ledger::new(Arc::new(writer_id), 4)
    }

    fn push(ledger: &mut Ledger, value: u8) {
        let mut message = Message::default();
        message.value().push(value);
        ledger.push(message.parts(), 0);
    }

    fn values<'a>(intervals: impl IntoIterator<Item = &'a Interval>) -> Vec<u8> {
        let values = |interval: &'a Interval| interval.messages().map(|parts| parts.value[0]);
        intervals.into_iter().flat_map(values).collect()
    }

    fn next(ledger: &mut Ledger) -> Option<Vec<u8>> {
        ledger.next().map(|due| values(due.iter().map(Arc::as_ref)))
    }

    #[test]
    fn a_late_completion_covers_all_before_it_and_one_that_is_repeated_nothing() {
        let mut ledger = ledger();
        for id in 1..=3 {
            push(&mut ledger, id);
            assert_eq!(ledger.freeze(u64::from(id)).count(), usize::from(id));
        }
        assert_eq!(next(&mut ledger), None);
        ledger.completed(2);
        assert_eq!(next(&mut ledger), Some(vec![1, 2]));
        ledger.completed(1);
        assert_eq!(next(&mut ledger), None, "one transaction at a time");
        ledger.written();
        ledger.completed(2);
        assert_eq!((next(&mut ledger), ledger.is_due()), (None, false));
        ledger.completed(9);
        assert_eq!(next(&mut ledger), Some(vec![3]));
        ledger.written();
        assert_eq!(ledger.bytes(), 0);
    }

    #[test]
    fn a_snapshot_holds_all_that_is_not_known_to_be_written() {
        let mut ledger = ledger();
        push(&mut ledger, 1);
        assert_eq!(values(ledger.freeze(1)), [1]);
        push(&mut ledger, 2);
        ledger.completed(1);
        assert_eq!(next(&mut ledger), Some(vec![1]));
        assert_eq!(values(ledger.freeze(2)), [1, 2], "being written is not written");
        ledger.written();
        assert_eq!(values(ledger.freeze(3)), [2]);
        assert!(ledger.bytes() > 0);
    }
}
