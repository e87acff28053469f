//! Finds the partitions, decides where each starts and ends, and deals them out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, Result};
use millstream_stage::source::{Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, deal};
use millstream_stage::time::{Time, millis};
use millstream_stage::trouble::Reporter;

use crate::asking::{Asking, Connection, Offsets, Partition};
use crate::client::Patience;
use crate::config::{GroupFallback, KafkaSourceOptions, Start};
use crate::describe::{Description, Descriptions};
use crate::group_offsets::group_offsets;
use crate::outage::Outage;
use crate::retry::ConnectorError;
use crate::split::{EARLIEST, KafkaSplit};

/// How often it looks whether an answer has come, or a question is due.
const TICK: Duration = Duration::from_secs(1);

/// How long one attempt to start asks: nothing else, not even a stop, is heard meanwhile.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The pause before the next attempt when a broker answers, and when none does.
const PAUSE: Time = 5_000;
const LONG_PAUSE: Time = 60_000;

/// The number of new partitions whose messages are counted: each costs a request that is waited for.
const COUNTED: usize = 8;

/// The enumerator of a [`KafkaSource`](crate::KafkaSource).
pub(crate) struct KafkaEnumerator {
    options: Arc<KafkaSourceOptions>,
    // By split id: every partition that was ever assigned.
    known: BTreeSet<String>,
    dealt: usize,
    starting: Option<Starting>,
    // Why it has not started yet.
    error: Option<ConnectorError>,
    reporter: Option<Reporter>,
    connection: Option<Connection>,
    look_at: Time,
}

/// A start that has not found out its splits yet.
#[derive(Clone, Copy)]
struct Starting {
    // There was no start before it that had.
    fresh: bool,
    since: Time,
    tried_at: Option<Time>,
    // That the last attempt failed.
    reported: bool,
}

impl KafkaEnumerator {
    pub(crate) fn new(options: Arc<KafkaSourceOptions>) -> Self {
        Self {
            options,
            known: BTreeSet::new(),
            dealt: 0,
            starting: None,
            error: None,
            reporter: None,
            connection: None,
            look_at: 0,
        }
    }

    fn start(&mut self, cx: &EnumeratorContext, restored: Option<Vec<u8>>) -> Result<Vec<Assignment>> {
        // Nothing was kept of a job that never found out what to read.
        let restored = restored.filter(|bytes| !bytes.is_empty());
        let fresh = restored.is_none();
        if let Some(bytes) = restored {
            self.known = from_bytes::<Vec<String>>(&bytes)?.into_iter().collect();
            self.dealt = self.known.len();
        }
        // What a bounded job reads was settled at its first start.
        if !fresh && self.options.bounded.is_some() {
            return Ok(self.assign(cx, &[]));
        }
        self.reporter = Some(cx.troubles.reporter(Outage::subject(&self.options.brokers)));
        let since = cx.clock.now();
        self.try_to_start(cx, Starting { fresh, since, tried_at: None, reported: false })
    }

    // Brokers that are away, or not to be reached, are waited for: that passes, or somebody reads the log and
    // mends it.
    fn try_to_start(&mut self, cx: &EnumeratorContext, mut starting: Starting) -> Result<Vec<Assignment>> {
        let error = match self.new_splits(cx, starting.fresh) {
            Ok(splits) => {
                self.starting = None;
                if let Some(mut reporter) = self.reporter.take() {
                    reporter.recovered(cx.clock.nanos());
                }
                return Ok(self.assign(cx, &splits));
            }
            Err(error) if error.is_of_the_network() => error,
            Err(error) => return Err(error.into()),
        };
        (starting.tried_at, starting.reported) = (Some(cx.clock.now()), false);
        self.error = Some(error.within(self.options.connect_timeout));
        self.wait(cx, starting);
        Ok(Vec::new())
    }

    // An attempt blocks, and a stop of the job has to wait for it. So it waits for a sign of the brokers,
    // which does not.
    fn go_on_starting(&mut self, cx: &EnumeratorContext, starting: Starting) -> Result<Vec<Assignment>> {
        let mut answered = true;
        if let Some(connection) = &mut self.connection {
            answered = matches!(connection.said(Duration::ZERO), Some(Ok(_)));
            connection.ask_about(&self.options.topic.0, cx.clock.now());
        }
        let since = starting.tried_at.unwrap_or(starting.since);
        let pause = if answered { PAUSE } else { LONG_PAUSE };
        if cx.clock.now().saturating_sub(since) >= pause {
            return self.try_to_start(cx, starting);
        }
        self.wait(cx, starting);
        Ok(Vec::new())
    }

    // Brokers that do not answer at once are no trouble yet.
    fn wait(&mut self, cx: &EnumeratorContext, mut starting: Starting) {
        let lasts = cx.clock.now().saturating_sub(starting.since) >= millis(self.options.connect_timeout);
        if let (true, Some(error), Some(reporter)) =
            (lasts && !starting.reported, &self.error, &mut self.reporter)
        {
            reporter.failed(cx.clock.nanos(), error);
            starting.reported = true;
        }
        self.starting = Some(starting);
    }

    // A partition that appears later than the job is read from its beginning, whatever `start` says.
    fn new_splits(&mut self, cx: &EnumeratorContext, fresh: bool) -> Result<Vec<KafkaSplit>, ConnectorError> {
        let patience = Patience::new(&self.options.brokers, ATTEMPT.min(self.options.connect_timeout));
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::new(&self.options, &cx.job)?,
        };
        let splits = self.ask_for_splits(cx, &mut connection, &patience, fresh);
        self.connection = Some(connection);
        splits
    }

    fn ask_for_splits(
        &self,
        cx: &EnumeratorContext,
        connection: &mut Connection,
        patience: &Patience,
        fresh: bool,
    ) -> Result<Vec<KafkaSplit>, ConnectorError> {
        let mut partitions = Vec::new();
        for topic in &self.options.topic.0 {
            let numbers = patience.partitions(connection.client(), topic)?;
            partitions.extend(numbers.into_iter().map(|number| (topic.clone(), number)));
        }
        partitions.retain(|partition| self.is_new(partition));
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let topics = connection.describe(&self.options.topic.0, cx.clock.now());
        let start = if fresh { self.options.start } else { Start::Earliest };
        let asking = Asking { client: connection.client(), patience, topics: &topics };
        let next = match start {
            Start::Earliest => Offsets::new(),
            Start::Latest => asking.ends(&partitions)?,
            Start::Timestamp(time) => asking.at(&partitions, time)?,
            Start::GroupOffsets => self.of_group(cx, &asking, &partitions)?,
        };
        asking.splits(partitions, &next, self.options.bounded)
    }

    fn is_new(&self, (topic, number): &Partition) -> bool {
        !self.known.contains(&format!("{topic}-{number}"))
    }

    fn of_group(
        &self,
        cx: &EnumeratorContext,
        asking: &Asking<'_>,
        partitions: &[Partition],
    ) -> Result<Offsets, ConnectorError> {
        let mut offsets = group_offsets(&self.options, &cx.job, partitions, asking.patience)?;
        let unknown = |partition: &&Partition| !offsets.contains_key(*partition);
        let unknown: Vec<_> = partitions.iter().filter(unknown).cloned().collect();
        let Some((topic, number)) = unknown.first() else { return Ok(offsets) };
        match self.options.on_missing_group_offset {
            GroupFallback::Earliest => {}
            GroupFallback::Latest => offsets.extend(asking.ends(&unknown)?),
            GroupFallback::Fail => {
                let group = self.options.group_id.clone().unwrap_or_default();
                return Err(ConnectorError::NoGroupOffset { group, split: format!("{topic}-{number}") });
            }
        }
        Ok(offsets)
    }

    // Every reader hears of it, also one without splits: until then event time waits for it.
    fn assign(&mut self, cx: &EnumeratorContext, splits: &[KafkaSplit]) -> Vec<Assignment> {
        self.known.extend(splits.iter().map(KafkaSplit::id));
        let first = self.dealt % usize::from(cx.parallelism.max(1));
        self.dealt += splits.len();
        let last = self.options.bounded.is_some();
        let mut assignments = deal(splits.iter().map(KafkaSplit::encode), cx.parallelism, last);
        // Goes on where the last round ended, so that single new partitions do not all go to the same reader.
        for assignment in &mut assignments {
            assignment.subtask =
                ((usize::from(assignment.subtask) + first) % usize::from(cx.parallelism)) as u16;
        }
        assignments
    }

    // Waits for nobody: what was asked at one tick is answered at a later one. The cluster may be away just
    // now, and then the job goes on with what it has.
    fn discover(&mut self, cx: &EnumeratorContext, interval: Duration) -> Result<Vec<Assignment>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::new(&self.options, &cx.job).map_err(Error::from)?,
        };
        let found = match connection.said(Duration::ZERO) {
            None => Vec::new(),
            Some(Ok(topics)) => self.found(&connection, &topics),
            Some(Err(code)) => {
                tracing::debug!(?code, "looking for new partitions failed");
                Vec::new()
            }
        };
        let now = cx.clock.now();
        if self.look_at <= now {
            connection.ask_about(&self.options.topic.0, now);
            self.look_at = now.saturating_add(millis(interval));
        }
        self.connection = Some(connection);
        Ok(if found.is_empty() { Vec::new() } else { self.assign(cx, &found) })
    }

    fn found(&self, connection: &Connection, topics: &Descriptions) -> Vec<KafkaSplit> {
        let mut found = Vec::new();
        for (topic, description) in topics {
            let Description::Topic { id, partitions, .. } = description else { continue };
            let new = (0..*partitions).map(|number| (topic.clone(), number));
            let new: Vec<_> = new.filter(|partition| self.is_new(partition)).collect();
            if new.is_empty() {
                continue;
            }
            let held: Option<i64> =
                new.iter().take(COUNTED).map(|partition| connection.count(partition)).sum();
            tracing::info!(
                topic,
                partitions = new.len(),
                messages = held,
                "the topic has more partitions now. They are read from their beginning; an event that was written to \
                 them before this is late where its window has closed already"
            );
            let split = |(topic, partition)| KafkaSplit {
                topic,
                partition,
                next: EARLIEST,
                stop: None,
                topic_id: *id,
            };
            found.extend(new.into_iter().map(split));
        }
        found
    }
}

impl Enumerator for KafkaEnumerator {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        match (event, self.starting) {
            (EnumeratorEvent::Start { restored }, _) => self.start(cx, restored),
            (EnumeratorEvent::Returned { splits }, _) => {
                Ok(deal(splits, cx.parallelism, self.options.bounded.is_some()))
            }
            (EnumeratorEvent::Tick, Some(starting)) => self.go_on_starting(cx, starting),
            (EnumeratorEvent::Tick, None) => match self.options.discovery_interval {
                Some(interval) if self.options.bounded.is_none() => self.discover(cx, interval),
                _ => {
                    self.connection = None;
                    Ok(Vec::new())
                }
            },
            (EnumeratorEvent::ReaderReady { .. }, _) => Ok(Vec::new()),
        }
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(TICK)
    }

    // While the brokers are waited for, nobody knows which readers stay without splits: all hear of theirs
    // later.
    fn assigns_on_demand(&self) -> bool {
        self.starting.is_some()
    }

    fn snapshot(&self) -> Vec<u8> {
        if self.starting.is_some_and(|starting| starting.fresh) {
            return Vec::new();
        }
        to_bytes(&self.known.iter().cloned().collect::<Vec<_>>())
    }
}
