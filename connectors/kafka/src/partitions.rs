//! The partitions of one reader, and what was fetched of them but not handed on yet.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use millstream_stage::raw::RawBatch;
use millstream_stage::source::Split;
use millstream_stage::split::SplitId;
use millstream_stage::time::Time;
use rdkafka::error::RDKafkaErrorCode;

use crate::fetch::Message;
use crate::partition::{Doubt, Partition, Run};

/// After how long a silence of a whole topic messages may be those of another one of its name: to delete a
/// topic, create it anew and fill it takes longer.
const SILENCE: Time = 100;

/// All partitions of a reader. Numbers stand for partitions and stay theirs.
#[derive(Default)]
pub(crate) struct Partitions {
    list: Vec<Partition>,
    ready: VecDeque<(usize, Ready)>,
    last: usize,
    // By topic: when its last messages came.
    heard: BTreeMap<String, Time>,
    // Passed over since they were last asked for.
    tombstones: u64,
}

enum Ready {
    Batch(Run),
    // The end as it was then, perhaps behind markers of transactions and aborted messages.
    Reached(i64),
    End,
}

/// What is handed on next.
pub(crate) enum Handed {
    /// Messages of one split.
    Batch(RawBatch),
    /// A split was read to its end.
    End(SplitId),
}

/// An error in place of a message.
pub(crate) struct Failed {
    /// The partition, if it is one of ours.
    pub(crate) partition: Option<usize>,
    /// What the client calls it.
    pub(crate) code: RDKafkaErrorCode,
    /// What the client says about it.
    pub(crate) reason: String,
}

impl Partitions {
    /// Adds one and numbers it.
    pub(crate) fn add(&mut self, partition: Partition) -> usize {
        self.list.push(partition);
        self.list.len() - 1
    }

    /// One of them.
    pub(crate) fn get(&self, index: usize) -> &Partition {
        &self.list[index]
    }

    /// One of them, for changing.
    pub(crate) fn get_mut(&mut self, index: usize) -> &mut Partition {
        &mut self.list[index]
    }

    /// All of them, also those whose end was handed on.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Partition> + Clone {
        self.list.iter()
    }

    /// All of them, for changing.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.list.iter_mut()
    }

    /// Those of `splits` that are still to be read, for changing.
    pub(crate) fn named(&mut self, splits: &[SplitId]) -> impl Iterator<Item = &mut Partition> {
        self.list.iter_mut().filter(|partition| !partition.finished && splits.contains(&partition.id))
    }

    /// Sorts a fetched batch by partition; gives back the errors in it, but for ends of partitions.
    pub(crate) fn take(&mut self, mut messages: &[Message<'_>], now: Time) -> Vec<Failed> {
        let mut failed = Vec::new();
        while let Some(message) = messages.first().copied() {
            let owner = self.owner(message);
            if let Some(code) = message.error() {
                messages = &messages[1..];
                failed.extend(self.error(owner, code, message));
                continue;
            }
            // Without an owner it is the rest of a split whose end was reached.
            let Some(index) = owner else {
                messages = &messages[1..];
                continue;
            };
            if self.list[index].ends_before(message.offset()) {
                self.end(index);
                continue;
            }
            self.hear(index, now);
            let run = self.list[index].take_run(&mut messages);
            self.ready.push_back((index, Ready::Batch(run)));
        }
        failed
    }

    fn hear(&mut self, index: usize, now: Time) {
        self.list[index].at_end = false;
        let topic = &self.list[index].split.topic;
        let Some(heard) = self.heard.get_mut(topic) else {
            // Its partitions are in doubt since they were assigned.
            self.heard.insert(topic.clone(), now);
            return;
        };
        if now.saturating_sub(std::mem::replace(heard, now)) < SILENCE {
            return;
        }
        let topic = topic.clone();
        for partition in self.list.iter_mut().filter(|partition| partition.split.topic == topic) {
            partition.doubt = partition.doubt.or(Some((Doubt::Unasked, now)));
        }
    }

    // Most often the partition of the message before.
    fn owner(&mut self, message: Message<'_>) -> Option<usize> {
        if self.list.get(self.last).is_some_and(|partition| partition.wants(message)) {
            return Some(self.last);
        }
        self.last = self.list.iter().position(|partition| partition.wants(message))?;
        Some(self.last)
    }

    fn error(
        &mut self,
        partition: Option<usize>,
        code: RDKafkaErrorCode,
        message: Message<'_>,
    ) -> Option<Failed> {
        if code != RDKafkaErrorCode::PartitionEOF {
            return Some(Failed { partition, code, reason: message.reason() });
        }
        // Reported at the end as it is now: also behind markers and aborted messages, of which no message
        // tells.
        let index = partition?;
        self.list[index].at_end = true;
        self.ready.push_back((index, Ready::Reached(message.offset())));
        if self.list[index].ends_before(message.offset()) {
            self.end(index);
        }
        None
    }

    /// Whether everything of a split was handed on, as far as the client knows.
    pub(crate) fn is_at_end(&self, split: &SplitId) -> bool {
        let found = self.list.iter().enumerate().find(|(_, partition)| partition.id == *split);
        found.is_none_or(|(index, partition)| {
            partition.at_end && !self.ready.iter().any(|(ready, _)| *ready == index)
        })
    }

    /// Nothing more is wanted of a partition. Its end is handed on behind what was fetched of it.
    pub(crate) fn end(&mut self, index: usize) {
        self.list[index].ended = true;
        self.ready.push_back((index, Ready::End));
    }

    /// Forgets what was fetched of a partition and not handed on.
    pub(crate) fn drop_ready(&mut self, index: usize) {
        self.ready.retain(|(ready, _)| *ready != index);
    }

    /// Those whose end was fetched, for changing.
    pub(crate) fn ended(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.list.iter_mut().filter(|partition| partition.ended)
    }

    /// The oldest thing that is there, but for partitions that are paused or in doubt.
    pub(crate) fn hand_on(&mut self) -> Option<Handed> {
        loop {
            let may = |partition: &Partition| !partition.paused && partition.doubt.is_none();
            let place = self.ready.iter().position(|(index, _)| may(&self.list[*index]))?;
            let (index, ready) = self.ready.remove(place)?;
            let partition = &mut self.list[index];
            match ready {
                Ready::Batch(Run { batch, next, tombstones }) => {
                    partition.split.next = next;
                    self.tombstones += tombstones;
                    if !batch.is_empty() {
                        return Some(Handed::Batch(batch));
                    }
                }
                Ready::Reached(end) => partition.split.next = partition.split.next.max(end),
                Ready::End => {
                    partition.finished = true;
                    return Some(Handed::End(Arc::clone(&partition.id)));
                }
            }
        }
    }

    /// How many tombstones were passed over since the last call.
    pub(crate) fn take_tombstones(&mut self) -> u64 {
        std::mem::take(&mut self.tombstones)
    }

    /// Every split whose end was not handed on, at the position behind what was.
    pub(crate) fn snapshot(&self) -> Vec<Split> {
        let open = self.list.iter().filter(|partition| !partition.finished);
        open.map(|partition| partition.split.encode()).collect()
    }
}
