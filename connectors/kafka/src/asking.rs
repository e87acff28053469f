//! What is asked of brokers to find out where partitions start and end.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use millstream_stage::time::Time;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Consumer, Events, Patience, Peer as _, SLICE, consumer_config};
use crate::config::{Bounded, KafkaSourceOptions};
use crate::describe::{Describer, Description, Descriptions};
use crate::retry::ConnectorError;
use crate::split::{EARLIEST, KafkaSplit};
use crate::topic_id::TopicId;

/// A topic and the number of one of its partitions.
pub(crate) type Partition = (String, i32);
/// An offset for each partition.
pub(crate) type Offsets = BTreeMap<Partition, i64>;

/// The enumerator's client.
pub(crate) struct Connection {
    // Before the client: must go first.
    describer: Describer,
    client: Consumer,
}

impl Connection {
    /// A connection with the settings of a source.
    ///
    /// # Errors
    /// When the client does not accept them.
    pub(crate) fn new(options: &KafkaSourceOptions, job: &str) -> Result<Self, ConnectorError> {
        let client = consumer_config(options, job).create_with_context(Events::reported());
        let client: Consumer = client.map_err(ConnectorError::of_creation)?;
        let describer = Describer::new(client.client().native_ptr(), Waker::noop());
        Ok(Self { describer, client })
    }

    /// The client.
    pub(crate) fn client(&self) -> &Consumer {
        &self.client
    }

    /// Asks about topics, unless the last question is still open, or it is too soon after one that was not
    /// answered.
    pub(crate) fn ask_about(&mut self, topics: &[String], now: Time) {
        if self.describer.may_ask(now) {
            let topics = topics.iter().map(String::as_str);
            self.describer.ask(self.client.client().native_ptr(), topics, now);
        }
    }

    /// What the brokers have said about them. What the client says meanwhile is only logged.
    pub(crate) fn said(&mut self, wait: Duration) -> Option<Result<Descriptions, RDKafkaErrorCode>> {
        self.client.attend(Duration::ZERO);
        while self.client.events().next().is_some() {}
        self.describer.answer(wait)
    }

    /// What the brokers say about topics, where they say it within a few seconds. Ids can be learnt later,
    /// too.
    pub(crate) fn describe(&mut self, topics: &[String], now: Time) -> Descriptions {
        while self.describer.is_asking() || self.describer.may_ask(now) {
            self.ask_about(topics, now);
            // An answer comes in any case.
            if let Some(Ok(descriptions)) = self.said(4 * SLICE) {
                return descriptions;
            }
        }
        Descriptions::new()
    }

    /// How many messages a partition holds, where a broker says so at once.
    pub(crate) fn count(&self, (topic, number): &Partition) -> Option<i64> {
        let (low, high) = self.client.fetch_watermarks(topic, *number, SLICE).ok()?;
        Some(high - low)
    }
}

/// Asks for offsets until there is an answer.
pub(crate) struct Asking<'a> {
    /// The client that asks.
    pub(crate) client: &'a Consumer,
    /// How long to go on asking.
    pub(crate) patience: &'a Patience,
    /// What brokers say about the topics.
    pub(crate) topics: &'a Descriptions,
}

impl Asking<'_> {
    /// Splits that start at `next`, or at the oldest message where that says nothing.
    ///
    /// # Errors
    /// Returns the same errors as [`Patience::ask`].
    pub(crate) fn splits(
        &self,
        partitions: Vec<Partition>,
        next: &Offsets,
        bounded: Option<Bounded>,
    ) -> Result<Vec<KafkaSplit>, ConnectorError> {
        let stop = match bounded {
            None => None,
            Some(Bounded::Latest) => Some(self.ends(&partitions)?),
            Some(Bounded::Timestamp(time)) => Some(self.at(&partitions, time)?),
        };
        let split = |partition: Partition| KafkaSplit {
            next: next.get(&partition).copied().unwrap_or(EARLIEST),
            stop: stop.as_ref().map(|offsets| offsets[&partition]),
            topic_id: self.id_of(&partition.0),
            topic: partition.0,
            partition: partition.1,
        };
        Ok(partitions.into_iter().map(split).collect())
    }

    fn id_of(&self, topic: &str) -> Option<TopicId> {
        let Description::Topic { id, .. } = self.topics.get(topic)? else { return None };
        *id
    }

    /// Where partitions end: with `read_committed`, where their first open transaction starts.
    ///
    /// # Errors
    /// Returns the same errors as [`Patience::ask`].
    pub(crate) fn ends(&self, partitions: &[Partition]) -> Result<Offsets, ConnectorError> {
        self.ask(|timeout| {
            let offsets = self.query(partitions, Offset::End, timeout)?;
            let known = |(partition, offset): (Partition, Option<i64>)| Some((partition, offset?));
            let offsets: Option<Offsets> = offsets.into_iter().map(known).collect();
            offsets.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset))
        })
    }

    /// The first messages that are not older than this time. Where a partition has none that young, its end.
    ///
    /// # Errors
    /// Returns the same errors as [`Patience::ask`].
    pub(crate) fn at(&self, partitions: &[Partition], time: Time) -> Result<Offsets, ConnectorError> {
        let found = self.ask(|timeout| self.query(partitions, Offset::Offset(time), timeout))?;
        let mut offsets = self.ends(partitions)?;
        for (partition, offset) in found {
            if let Some(offset) = offset {
                offsets.insert(partition, offset);
            }
        }
        Ok(offsets)
    }

    // The brokers have said which partitions there are, so Kafka is there: those that have the partitions are
    // not reached.
    fn ask<T>(&self, question: impl FnMut(Duration) -> KafkaResult<T>) -> Result<T, ConnectorError> {
        self.patience.ask(self.client, question).map_err(ConnectorError::behind_the_first_answer)
    }

    // Kafka takes "the end" in place of a time, so one request per broker answers for all partitions.
    fn query(
        &self,
        partitions: &[Partition],
        wanted: Offset,
        timeout: Duration,
    ) -> KafkaResult<BTreeMap<Partition, Option<i64>>> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, number) in partitions {
            list.add_partition_offset(topic, *number, wanted)?;
        }
        let mut offsets = BTreeMap::new();
        for element in self.client.offsets_for_times(list, timeout)?.elements() {
            element.error()?;
            let offset = if let Offset::Offset(offset) = element.offset() { Some(offset) } else { None };
            offsets.insert((element.topic().to_owned(), element.partition()), offset);
        }
        Ok(offsets)
    }
}
