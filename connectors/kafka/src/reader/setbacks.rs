//! What becomes of a partition that cannot be read as it was.

use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::time::{Nanos, Time};
use rdkafka::error::RDKafkaErrorCode;

use super::KafkaReader;
use crate::client::Peer as _;
use crate::config::MissingOffset;
use crate::describe::{Description, Descriptions};
use crate::identity::{Settled, TopicIdVerdict, judge, settle};
use crate::partition::Doubt;
use crate::partitions::Failed;
use crate::retry::{ConnectorError, ErrorClass, error_class};
use crate::split::{EARLIEST, KafkaSplit};

/// After how long a partition that could not be fetched is tried again.
const PAUSE: Time = 1_000;

impl KafkaReader {
    pub(super) fn fail(&mut self, now: Time, failed: Failed) -> Result<()> {
        self.troubles.add(1);
        let Failed { partition, code, reason } = failed;
        let class = error_class(code);
        let Some(index) = partition.filter(|_| class != ErrorClass::Passing) else {
            let split = partition.map(|index| self.partitions.get(index).id.to_string()).unwrap_or_default();
            if self.passing.is_due(now) {
                tracing::warn!(split, ?code, "{reason}");
            }
            return Ok(());
        };
        let partition = self.partitions.get_mut(index);
        let (split, topic) = (partition.id.to_string(), partition.split.topic.clone());
        Err(Error::from(match class {
            // No offset was asked for: that its oldest message could not be found out says nothing of what is
            // lost.
            ErrorClass::OutOfRange if partition.split.next == EARLIEST => {
                self.await_broker(now, index, &reason);
                return Ok(());
            }
            ErrorClass::OutOfRange => {
                partition.doubt = Some((Doubt::OutOfRange, now));
                return Ok(());
            }
            ErrorClass::Gone => {
                partition.doubt = Some((Doubt::Gone, now));
                return Ok(());
            }
            // On its way a batch may be damaged once.
            ErrorClass::Damaged if partition.unreadable != Some(partition.split.next) => {
                tracing::warn!(split, "a batch cannot be read ({reason}) and is fetched once more");
                partition.unreadable = Some(partition.split.next);
                self.try_again(now, index);
                return Ok(());
            }
            ErrorClass::Damaged => ConnectorError::Damaged { split, offset: partition.split.next, reason },
            ErrorClass::NotAllowed => ConnectorError::NotAllowed { topic, verb: "read", reason },
            ErrorClass::Login => ConnectorError::LoginLost { brokers: self.options.brokers.clone(), reason },
            ErrorClass::Fatal | ErrorClass::Passing => ConnectorError::Fatal { reason },
        }))
    }

    /// The client says that some topic or partition is not there: which ones, the brokers tell.
    pub(super) fn doubt_all(&mut self, now: Time) {
        for partition in self.partitions.all_mut().filter(|partition| !partition.finished) {
            if partition.doubt.is_none_or(|(doubt, _)| doubt == Doubt::Unasked) {
                partition.doubt = Some((Doubt::Gone, now));
            }
        }
    }

    fn try_again(&mut self, now: Time, index: usize) {
        self.stop(index);
        self.partitions.drop_ready(index);
        self.partitions.get_mut(index).try_again(now.saturating_add(PAUSE));
    }

    fn await_broker(&mut self, now: Time, index: usize, reason: &str) {
        self.try_again(now, index);
        if !self.waits.is_due(now) {
            return;
        }
        let (split, brokers) = (&*self.partitions.get(index).id, &self.options.brokers);
        tracing::warn!(
            split,
            "{reason}: no broker that has this partition is reached, and it is tried again. Where that lasts, look at \
             `advertised.listeners` of the brokers: Kafka answers at {brokers}, but names its brokers by that \
             setting, and this machine must resolve and reach those names"
        );
    }

    /// Starts those again that have waited for long enough.
    pub(super) fn start_again(&mut self, now: Time) -> Result<()> {
        let due = |again_at: Option<Time>| again_at.is_some_and(|at| at <= now);
        let partitions = self.partitions.all().enumerate();
        let due: Vec<_> = partitions.filter(|(_, partition)| due(partition.again_at)).collect();
        let due: Vec<_> = due.into_iter().map(|(index, _)| index).collect();
        due.into_iter().try_for_each(|index| self.start(index))
    }

    /// Compares the ids of topics, when a broker has told them, with those that the positions belong to.
    pub(super) fn settle_doubts(&mut self, now: Time, nanos: Nanos) -> Result<()> {
        let Some(fetcher) = &mut self.fetcher else { return Ok(()) };
        let Some((asked_at, answer)) = fetcher.identity().answer() else { return Ok(()) };
        let descriptions = match answer {
            Ok(descriptions) => {
                self.outage.answered(nanos);
                descriptions
            }
            Err(code) => {
                self.outage.unanswered(nanos, code, fetcher.client().events());
                self.go_on_without_ids(now, asked_at, code);
                return Ok(());
            }
        };
        let open = self.partitions.all().enumerate().filter(|(_, partition)| !partition.finished);
        let open: Vec<_> = open.map(|(index, _)| index).collect();
        open.into_iter().try_for_each(|index| self.settle_one(now, index, asked_at, &descriptions))
    }

    // Nobody says it, and that may last: a broker that is not reached is no reason to hold back what others
    // give.
    fn go_on_without_ids(&mut self, now: Time, asked_at: Time, code: RDKafkaErrorCode) {
        self.ask_again(now);
        let mut held = false;
        for partition in self.partitions.all_mut() {
            let asked = |(doubt, since): (Doubt, Time)| doubt == Doubt::Unasked && since <= asked_at;
            if partition.doubt.is_some_and(asked) {
                (partition.doubt, held) = (None, true);
            }
        }
        if held && self.unsaid.is_due(now) {
            tracing::warn!(
                "no broker says which ids topics have ({code}): whether one was deleted and created anew is not known just now"
            );
        }
    }

    fn settle_one(
        &mut self,
        now: Time,
        index: usize,
        asked_at: Time,
        descriptions: &Descriptions,
    ) -> Result<()> {
        let partition = self.partitions.get_mut(index);
        let description = descriptions.get(&partition.split.topic);
        let there = has_partition(description, partition.split.partition);
        let verdict = judge(partition.split.topic_id, description);
        match verdict {
            TopicIdVerdict::Anew { was, is } => {
                let (split, offset) = (partition.id.to_string(), partition.split.next);
                if self.options.on_missing_offset == MissingOffset::Fail {
                    return Err(ConnectorError::Anew { split, offset, was, is }.into());
                }
                if !there {
                    self.end_missing(index);
                    return Ok(());
                }
                let why = "the topic was deleted and created anew";
                return self.go_on_elsewhere(now, index, why, |split| split.topic_id = Some(is));
            }
            TopicIdVerdict::Same(topic_id) => partition.split.topic_id = topic_id,
            TopicIdVerdict::Missing | TopicIdVerdict::Unsaid => {}
        }
        let doubt = partition.doubt.filter(|(_, since)| *since <= asked_at);
        match settle(doubt.map(|(doubt, _)| doubt), verdict, there) {
            Settled::Nothing => {}
            Settled::Confirmed => partition.doubt = None,
            Settled::Open => self.ask_again(now),
            Settled::OutOfRange => return self.judge_offset(now, index),
            Settled::Gone => {
                return Err(ConnectorError::PartitionGone { split: partition.id.to_string() }.into());
            }
        }
        Ok(())
    }

    fn ask_again(&mut self, now: Time) {
        if let Some(fetcher) = &mut self.fetcher {
            fetcher.identity().ask_again(now);
        }
    }

    // The client says that the position is not in the topic, also where it could only not find that out.
    fn judge_offset(&mut self, now: Time, index: usize) -> Result<()> {
        let range = self.range(index);
        let partition = self.partitions.get(index);
        let (split, offset) = (partition.id.to_string(), partition.split.next);
        match range {
            None => self.await_broker(now, index, "the offsets that the topic holds could not be asked for"),
            Some((low, high)) if (low..=high).contains(&offset) => {
                self.await_broker(now, index, "the client could not fetch from an offset that is there");
            }
            Some((low, high)) if self.options.on_missing_offset == MissingOffset::Fail => {
                return Err(ConnectorError::OutOfRange { split, offset, low, high }.into());
            }
            Some(_) => {
                return self.go_on_elsewhere(now, index, "the stored offset is not in the topic", |_| {});
            }
        }
        Ok(())
    }

    // As the options say. Never silently.
    fn go_on_elsewhere(
        &mut self,
        now: Time,
        index: usize,
        why: &str,
        change: impl FnOnce(&mut KafkaSplit),
    ) -> Result<()> {
        let Some((low, high)) = self.range(index) else {
            self.ask_again(now);
            return Ok(());
        };
        self.stop(index);
        self.partitions.drop_ready(index);
        let next = if self.options.on_missing_offset == MissingOffset::Earliest { low } else { high };
        let partition = self.partitions.get_mut(index);
        let split = &mut partition.split;
        tracing::warn!(
            topic = split.topic,
            partition = split.partition,
            offset = split.next,
            "{why}, which holds {low} up to {high}: by `on-missing-offset` it is read from {next} on"
        );
        change(split);
        // A topic that was created anew may never become as long as the old one was.
        split.stop = split.stop.map(|stop| stop.min(high));
        partition.jump(next);
        let over = partition.split.is_empty();
        self.missing.add(1);
        if over {
            self.partitions.end(index);
            return Ok(());
        }
        self.start(index)
    }

    // The topic was created anew with fewer partitions. Nothing will ever come of this one, and nobody is to
    // wait for it.
    fn end_missing(&mut self, index: usize) {
        self.stop(index);
        self.partitions.drop_ready(index);
        let partition = self.partitions.get_mut(index);
        // Its position means nothing any more, and is not to be committed.
        (partition.doubt, partition.split.next) = (None, EARLIEST);
        let split = &*partition.id;
        tracing::warn!(
            split,
            "the topic was deleted and created anew without this partition: it is no longer read"
        );
        self.missing.add(1);
        self.partitions.end(index);
    }

    // What there is of a partition. Nothing of it can be read before that is known: worth a short wait.
    fn range(&self, index: usize) -> Option<(i64, i64)> {
        let split = &self.partitions.get(index).split;
        let fetcher = self.fetcher.as_ref()?;
        fetcher.client().range(&split.topic, split.partition, Duration::from_secs(1)).ok()
    }
}

fn has_partition(description: Option<&Description>, number: i32) -> bool {
    matches!(description, Some(Description::Topic { partitions, .. }) if number < *partitions)
}
