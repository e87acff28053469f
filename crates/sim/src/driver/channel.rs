//! Channels between subtasks.

use std::collections::VecDeque;

use millstream_stage::WatermarkEvent;
use millstream_stage::batch::Batch;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::stage::End;

/// What travels in a channel.
pub(super) enum Element {
    Batch(Batch),
    Watermark(WatermarkEvent),
    Barrier(CheckpointId),
    End(End),
}

/// Where a channel leads to: a subtask and one of its channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) subtask: usize,
    pub(super) channel: usize,
}

/// One channel. It is short, so that back-pressure is the rule.
#[derive(Default)]
pub(super) struct Channel(VecDeque<Element>);

/// What fits into a channel.
const ROOM: usize = 2;

impl Channel {
    pub(super) fn has_room(&self) -> bool {
        self.0.len() < ROOM
    }

    pub(super) fn push(&mut self, element: Element) {
        self.0.push_back(element);
    }

    pub(super) fn pop(&mut self) -> Option<Element> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn barrier_first(&self) -> bool {
        matches!(self.0.front(), Some(Element::Barrier(_)))
    }

    /// The batch that follows the one just taken, if they can be made one.
    pub(super) fn pop_batch(&mut self) -> Option<Batch> {
        match self.0.pop_front()? {
            Element::Batch(batch) => Some(batch),
            other => {
                self.0.push_front(other);
                None
            }
        }
    }

    /// Puts the rest of a batch back to the front.
    pub(super) fn put_back(&mut self, batches: Vec<Batch>) {
        batches.into_iter().rev().for_each(|batch| self.0.push_front(Element::Batch(batch)));
    }
}
