//! Finds the partitions, decides where each starts and ends, and deals them out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::record::{from_bytes, to_bytes};
use millstream_core::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, deal};
use millstream_core::time::Time;
use millstream_core::{Error, Result};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Consumer, Events, Patience, consumer_config};
use crate::config::{Bounded, GroupFallback, KafkaSourceOptions, Start};
use crate::group_offsets::group_offsets;
use crate::retry::Fault;
use crate::split::{EARLIEST, KafkaSplit};

/// A topic and the number of one of its partitions.
pub(crate) type Partition = (String, i32);
/// By partition: an offset.
pub(crate) type Offsets = BTreeMap<Partition, i64>;

/// The enumerator of a [`KafkaSource`](crate::KafkaSource).
pub(crate) struct KafkaEnumerator {
    options: Arc<KafkaSourceOptions>,
    // By split id: every partition that was ever assigned.
    known: BTreeSet<String>,
    dealt: usize,
}

impl KafkaEnumerator {
    pub(crate) fn new(options: Arc<KafkaSourceOptions>) -> Self {
        Self { options, known: BTreeSet::new(), dealt: 0 }
    }

    fn start(&mut self, cx: &EnumeratorContext, restored: Option<Vec<u8>>) -> Result<Vec<Assignment>> {
        let bounded = self.options.bounded.is_some();
        let fresh = restored.is_none();
        if let Some(bytes) = restored {
            self.known = from_bytes::<Vec<String>>(&bytes)?.into_iter().collect();
            self.dealt = self.known.len();
        }
        // What a bounded job reads was settled at its first start.
        let splits = if fresh || !bounded { self.new_splits(cx, fresh)? } else { Vec::new() };
        Ok(self.assign(cx, &splits, bounded))
    }

    // A partition that appears later than the job is read from its beginning, whatever `start` says.
    fn new_splits(&mut self, cx: &EnumeratorContext, fresh: bool) -> Result<Vec<KafkaSplit>> {
        let patience = Patience::new(&self.options.brokers, self.options.connect_timeout);
        // Not kept until the next tick: nobody would look at its events in between.
        let client = connect(&self.options, &cx.job)?;
        let mut partitions = Vec::new();
        for topic in &self.options.topic.0 {
            let numbers = patience.partitions(&client, topic)?;
            partitions.extend(numbers.into_iter().map(|number| (topic.clone(), number)));
        }
        let is_new = |(topic, number): &Partition| !self.known.contains(&format!("{topic}-{number}"));
        partitions.retain(is_new);
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let start = if fresh { self.options.start } else { Start::Earliest };
        let asking = Asking { client: &client, patience: &patience };
        let next = match start {
            Start::Earliest => Offsets::new(),
            Start::Latest => asking.ends(&partitions)?,
            Start::Timestamp(time) => asking.at(&partitions, time)?,
            Start::GroupOffsets => self.of_group(cx, &asking, &partitions)?,
        };
        Ok(asking.splits(partitions, &next, self.options.bounded)?)
    }

    fn of_group(
        &self,
        cx: &EnumeratorContext,
        asking: &Asking<'_>,
        partitions: &[Partition],
    ) -> Result<Offsets, Fault> {
        let mut offsets = group_offsets(&self.options, &cx.job, partitions, asking.patience)?;
        let unknown = |partition: &&Partition| !offsets.contains_key(*partition);
        let unknown: Vec<_> = partitions.iter().filter(unknown).cloned().collect();
        let Some((topic, number)) = unknown.first() else { return Ok(offsets) };
        match self.options.on_missing_group_offset {
            GroupFallback::Earliest => {}
            GroupFallback::Latest => offsets.extend(asking.ends(&unknown)?),
            GroupFallback::Fail => {
                let group = self.options.group_id.clone().unwrap_or_default();
                return Err(Fault::NoGroupOffset { group, split: format!("{topic}-{number}") });
            }
        }
        Ok(offsets)
    }

    fn assign(&mut self, cx: &EnumeratorContext, splits: &[KafkaSplit], last: bool) -> Vec<Assignment> {
        self.known.extend(splits.iter().map(KafkaSplit::id));
        let first = self.dealt % usize::from(cx.parallelism.max(1));
        self.dealt += splits.len();
        let mut assignments = deal(splits.iter().map(KafkaSplit::encode), cx.parallelism, last);
        // Goes on where the last round ended, so that single new partitions do not all go to the same reader.
        for assignment in &mut assignments {
            assignment.subtask =
                ((usize::from(assignment.subtask) + first) % usize::from(cx.parallelism)) as u16;
        }
        assignments.retain(|assignment| last || !assignment.splits.is_empty());
        assignments
    }

    // The cluster may be away just now: the job goes on with what it has, and the next tick asks again.
    fn discover(&mut self, cx: &EnumeratorContext) -> Vec<Assignment> {
        match self.new_splits(cx, false) {
            Ok(splits) => self.assign(cx, &splits, false),
            Err(error) => {
                tracing::warn!("looking for new partitions failed: {}", error.chain());
                Vec::new()
            }
        }
    }
}

impl Enumerator for KafkaEnumerator {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        match event {
            EnumeratorEvent::Start { restored } => self.start(cx, restored),
            EnumeratorEvent::Returned { splits } => {
                Ok(deal(splits, cx.parallelism, self.options.bounded.is_some()))
            }
            EnumeratorEvent::Tick if self.options.bounded.is_none() => Ok(self.discover(cx)),
            EnumeratorEvent::Tick | EnumeratorEvent::ReaderReady { .. } => Ok(Vec::new()),
        }
    }

    fn tick_every(&self) -> Option<Duration> {
        self.options.discovery_interval.filter(|_| self.options.bounded.is_none())
    }

    fn snapshot(&self) -> Vec<u8> {
        to_bytes(&self.known.iter().cloned().collect::<Vec<_>>())
    }
}

fn connect(options: &KafkaSourceOptions, job: &str) -> Result<Consumer> {
    let client = consumer_config(options, job).create_with_context(Events::default());
    client.map_err(|error| Error::from(Fault::of_creation(error)))
}

struct Asking<'a> {
    client: &'a Consumer,
    patience: &'a Patience,
}

impl Asking<'_> {
    // From `next` on, or from the oldest message where that says nothing.
    fn splits(
        &self,
        partitions: Vec<Partition>,
        next: &Offsets,
        bounded: Option<Bounded>,
    ) -> Result<Vec<KafkaSplit>, Fault> {
        let stop = match bounded {
            None => None,
            Some(Bounded::Latest) => Some(self.ends(&partitions)?),
            Some(Bounded::Timestamp(time)) => Some(self.at(&partitions, time)?),
        };
        let split = |partition: Partition| KafkaSplit {
            next: next.get(&partition).copied().unwrap_or(EARLIEST),
            stop: stop.as_ref().map(|offsets| offsets[&partition]),
            topic: partition.0,
            partition: partition.1,
        };
        Ok(partitions.into_iter().map(split).collect())
    }

    // With `read_committed` the end is where the first open transaction starts.
    fn ends(&self, partitions: &[Partition]) -> Result<Offsets, Fault> {
        self.patience.ask(self.client, |timeout| {
            let offsets = self.query(partitions, Offset::End, timeout)?;
            let known = |(partition, offset): (Partition, Option<i64>)| Some((partition, offset?));
            let offsets: Option<Offsets> = offsets.into_iter().map(known).collect();
            offsets.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::NoOffset))
        })
    }

    // Where a partition has no message that young, its end.
    fn at(&self, partitions: &[Partition], time: Time) -> Result<Offsets, Fault> {
        let found = self
            .patience
            .ask(self.client, |timeout| self.query(partitions, Offset::Offset(time), timeout))?;
        let mut offsets = self.ends(partitions)?;
        for (partition, offset) in found {
            if let Some(offset) = offset {
                offsets.insert(partition, offset);
            }
        }
        Ok(offsets)
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
