//! Clients of librdkafka: how they are made, what they say of themselves, and the questions that wait for an
//! answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataPartition, MetadataTopic};

use crate::config::{Isolation, KafkaSourceOptions};
use crate::properties::Properties;
use crate::retry::{ConnectorError, ErrorClass, Last, error_class};
use crate::sink_config::KafkaSinkOptions;

/// Errors of a client as a whole that have not been read yet; more than these are only logged.
const KEPT_EVENTS: usize = 64;

/// How long one question to a broker may take before the client's events are looked at.
pub(crate) const SLICE: Duration = Duration::from_secs(1);

/// A topic that was just created is unknown to some brokers for a moment.
const UNKNOWN_FOR: Duration = Duration::from_secs(3);

/// A client that reads, or only asks.
pub(crate) type Consumer = BaseConsumer<Events>;

/// What a client says about itself, apart from messages.
#[derive(Default)]
pub(crate) struct Events {
    said: Mutex<Said>,
    // Whoever has the client reports what passes by itself.
    reported: bool,
}

#[derive(Default)]
struct Said {
    new: VecDeque<ClientError>,
    last: Option<String>,
    commits: Commits,
    // Commits fail since the last one that did not.
    commits_fail: bool,
}

/// What became of offsets that were to be committed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Commits {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// An error of a client as a whole, such as a lost connection.
#[derive(Clone, Debug)]
pub(crate) struct ClientError {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) reason: String,
}

impl Events {
    /// Of a client whose troubles are reported, such as by an [`Outage`](crate::outage::Outage): it does not
    /// log those that pass.
    pub(crate) fn reported() -> Self {
        Self { reported: true, ..Self::default() }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock()
    }

    /// The next error since the last call.
    pub(crate) fn next(&self) -> Option<ClientError> {
        self.said().new.pop_front()
    }

    /// What became of commits since the last call.
    pub(crate) fn take_commits(&self) -> Commits {
        std::mem::take(&mut self.said().commits)
    }

    /// The newest error, however old.
    pub(crate) fn last(&self) -> Last {
        Last(self.said().last.clone())
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        match level {
            // What has failed comes as an error, too.
            _ if self.reported && facility == "FAIL" => tracing::debug!(facility, "{message}"),
            Emerg | Alert | Critical | Error => tracing::error!(facility, "{message}"),
            Warning => tracing::warn!(facility, "{message}"),
            Notice | Info => tracing::info!(facility, "{message}"),
            Debug => tracing::debug!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        if self.reported && error_class(code) == ErrorClass::Passing {
            tracing::debug!(?code, "{reason}");
        } else {
            tracing::warn!(?code, "{reason}");
        }
        let mut said = self.said();
        // That all brokers are down follows what is wrong with each, and says less.
        if code != RDKafkaErrorCode::AllBrokersDown {
            said.last = Some(reason.to_owned());
        }
        if said.new.len() < KEPT_EVENTS {
            said.new.push_back(ClientError { code, reason: reason.to_owned() });
        }
    }
}

impl ConsumerContext for Events {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        let mut said = self.said();
        let count = if result.is_ok() { &mut said.commits.succeeded } else { &mut said.commits.failed };
        *count += 1;
        match (std::mem::replace(&mut said.commits_fail, result.is_err()), result) {
            (false, Err(error)) => {
                tracing::warn!("positions are not committed to the consumer group: {error}");
            }
            (true, Ok(())) => tracing::info!("positions are committed to the consumer group again"),
            _ => {}
        }
    }
}

/// The settings of a client: what we suggest, what the user says, what we insist on.
pub(crate) fn client_config(
    job: &str,
    suggested: &[(&str, &str)],
    properties: &Properties,
    fixed: &[(&str, &str)],
) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config
        .set("client.id", if job.is_empty() { "millstream".to_owned() } else { format!("millstream-{job}") });
    // A broker that restarts is back within seconds: the default, up to 10 s between two attempts, only adds
    // to that.
    config.set("reconnect.backoff.max.ms", "1000");
    for (name, value) in suggested.iter().copied().chain(properties.iter()).chain(fixed.iter().copied()) {
        config.set(name, value);
    }
    config
}

/// The settings of a client that reads.
pub(crate) fn consumer_config(options: &KafkaSourceOptions, job: &str) -> ClientConfig {
    let suggested = [
        // When the local queue is full, the client looks again after this time: its default of 1 s starves a
        // fast pipeline.
        ("fetch.queue.backoff.ms", "2"),
        // One request per broker is under way at a time. With only silent partitions in it the broker holds
        // it back for this long, and a busy partition that was left out because the queue was full has to
        // wait for it.
        ("fetch.wait.max.ms", "50"),
    ];
    let isolation = match options.isolation {
        Isolation::ReadCommitted => "read_committed",
        Isolation::ReadUncommitted => "read_uncommitted",
    };
    let prefetch = (options.prefetch_size / 1000).clamp(1, 2_000_000).to_string();
    let fixed = [
        ("bootstrap.servers", options.brokers.as_str()),
        ("queued.max.messages.kbytes", &prefetch),
        ("isolation.level", isolation),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
    ];
    client_config(job, &suggested, &options.client, &fixed)
}

/// The settings of a client that reads messages, and not only asks.
pub(crate) fn reading_config(options: &KafkaSourceOptions, job: &str) -> ClientConfig {
    let mut config = consumer_config(options, job);
    // It also bounds what a compressed batch may unpack to, and the client tries room for that in steps of
    // three. Who asks keeps the default, and so finds out without a great allocation that somebody else than
    // Kafka answers.
    if !options.client.contains(UNPACKED) {
        config.set(UNPACKED, i32::MAX.to_string());
    }
    config
}

const UNPACKED: &str = "receive.message.max.bytes";

/// The settings of a client in the name of a consumer group, which it never joins.
pub(crate) fn group_config(brokers: &str, group: &str, properties: &Properties, job: &str) -> ClientConfig {
    let fixed = [
        ("bootstrap.servers", brokers),
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        // An offset is answered only when no open transaction can change it any more.
        ("isolation.level", "read_committed"),
    ];
    client_config(job, &[], properties, &fixed)
}

/// The settings of a client that writes at once.
pub(crate) fn producer_config(options: &KafkaSinkOptions, job: &str) -> ClientConfig {
    writing_config(options, job, options.delivery_timeout, &[])
}

/// The settings of a client that writes in transactions under this id.
pub(crate) fn transactional_config(options: &KafkaSinkOptions, job: &str, id: &str) -> ClientConfig {
    let timeout = options.transaction_timeout.as_millis().to_string();
    let delivery = options.delivery_timeout.min(options.transaction_timeout);
    writing_config(options, job, delivery, &[("transactional.id", id), ("transaction.timeout.ms", &timeout)])
}

fn writing_config(
    options: &KafkaSinkOptions,
    job: &str,
    delivery_timeout: Duration,
    more: &[(&str, &str)],
) -> ClientConfig {
    let suggested = [
        ("linger.ms", "5"),
        // Messages with a key go where Java's producers send them.
        ("partitioner", "murmur2_random"),
        // How large a message may be is for the topic to say, not for the client; the default is 1 MB.
        ("message.max.bytes", "67108864"),
    ];
    let milliseconds = |duration: Duration| duration.as_millis().to_string();
    let (delivery, propagation) = (milliseconds(delivery_timeout), milliseconds(options.connect_timeout));
    let fixed = [
        ("bootstrap.servers", options.brokers.as_str()),
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.type", options.compression.name()),
        ("message.timeout.ms", &delivery),
        ("topic.metadata.propagation.max.ms", &propagation),
        // What is on its way is bounded by the writer, in bytes.
        ("queue.buffering.max.messages", "0"),
        ("queue.buffering.max.kbytes", "2147483647"),
    ];
    client_config(job, &suggested, &options.client, &[&fixed, more].concat())
}

/// A client that can be asked and that wants its events to be looked at.
pub(crate) trait Peer {
    /// What it said.
    fn events(&self) -> &Events;
    /// Looks at events for a while.
    fn attend(&self, time: Duration);
    /// Asks about one topic.
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata>;
}

impl Peer for Consumer {
    fn events(&self) -> &Events {
        self.context()
    }
    fn attend(&self, time: Duration) {
        // Without a group no messages come this way, and what is an error went to the context.
        let _ = self.poll(time);
    }
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata> {
        self.fetch_metadata(Some(topic), timeout)
    }
}

/// How long a caller is willing to wait for brokers.
pub(crate) struct Patience {
    brokers: String,
    all: Duration,
    since: Instant,
}

impl Patience {
    /// From now on.
    #[allow(
        clippy::disallowed_methods,
        reason = "calls of the client block in real time, whatever the driver's clock says"
    )]
    pub(crate) fn new(brokers: &str, all: Duration) -> Self {
        Self { brokers: brokers.to_owned(), all, since: Instant::now() }
    }

    /// Whether the time is up.
    pub(crate) fn is_over(&self) -> bool {
        self.since.elapsed() >= self.all
    }

    /// Asks until there is an answer.
    ///
    /// # Errors
    /// When the login is refused, or no broker answers in time.
    pub(crate) fn ask<T>(
        &self,
        peer: &impl Peer,
        mut question: impl FnMut(Duration) -> KafkaResult<T>,
    ) -> Result<T, ConnectorError> {
        loop {
            match question(SLICE.min(self.all)) {
                Ok(answer) => return Ok(answer),
                Err(error) => self.go_on_after(peer, &error)?,
            }
        }
    }

    /// As [`go_on`](Self::go_on), after an error that may pass.
    ///
    /// # Errors
    /// When the login is refused, or the time is up; then also with this error, where the client has said
    /// nothing.
    pub(crate) fn go_on_after(&self, peer: &impl Peer, error: &KafkaError) -> Result<(), ConnectorError> {
        self.go_on(peer).map_err(|failure| match failure {
            ConnectorError::NoBroker { brokers, seconds, last: Last(None) } => {
                ConnectorError::NoBroker { brokers, seconds, last: Last(Some(error.to_string())) }
            }
            other => other,
        })
    }

    /// Between two questions: what did the client say, and is there time left?
    ///
    /// # Errors
    /// When the login is refused, or the time is up.
    pub(crate) fn go_on(&self, peer: &impl Peer) -> Result<(), ConnectorError> {
        peer.attend(SLICE / 10);
        while let Some(error) = peer.events().next() {
            if error_class(error.code) == ErrorClass::Login {
                return Err(ConnectorError::Login { brokers: self.brokers.clone(), reason: error.reason });
            }
        }
        if self.is_over() {
            let (brokers, seconds) = (self.brokers.clone(), self.all.as_secs());
            return Err(ConnectorError::NoBroker { brokers, seconds, last: peer.events().last() });
        }
        Ok(())
    }

    /// The numbers of a topic's partitions, once all of them have a leader.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and when the topic is not there or may not be seen.
    pub(crate) fn partitions(&self, peer: &impl Peer, topic: &str) -> Result<Vec<i32>, ConnectorError> {
        loop {
            let metadata = self.ask(peer, |timeout| peer.metadata(topic, timeout))?;
            let answer = metadata.topics().iter().find(|known| known.name() == topic);
            match answer.map_or(Found::Unknown, found) {
                Found::Partitions(partitions) => return Ok(partitions),
                Found::NotAllowed(reason) => {
                    return Err(ConnectorError::NotAllowed { topic: topic.to_owned(), verb: "see", reason });
                }
                Found::Unknown if self.since.elapsed() >= UNKNOWN_FOR.min(self.all) => {
                    return Err(ConnectorError::UnknownTopic {
                        topic: topic.to_owned(),
                        brokers: self.brokers.clone(),
                    });
                }
                Found::NoLeader if self.is_over() => {
                    return Err(ConnectorError::NoLeader {
                        topic: topic.to_owned(),
                        seconds: self.all.as_secs(),
                    });
                }
                // Brokers have answered: that the time is up is no lack of them, and shows in the next turn.
                Found::Unknown | Found::NoLeader => match self.go_on(peer) {
                    Err(error) if !error.is_of_the_network() => return Err(error),
                    Ok(()) | Err(_) => {}
                },
            }
        }
    }
}

enum Found {
    Partitions(Vec<i32>),
    NoLeader,
    Unknown,
    NotAllowed(String),
}

fn found(topic: &MetadataTopic) -> Found {
    if let Some(error) = topic.error() {
        let code = RDKafkaErrorCode::from(error);
        return match error_class(code) {
            ErrorClass::Gone => Found::Unknown,
            ErrorClass::NotAllowed => Found::NotAllowed(code.to_string()),
            ErrorClass::Passing
            | ErrorClass::Login
            | ErrorClass::OutOfRange
            | ErrorClass::Damaged
            | ErrorClass::Fatal => Found::NoLeader,
        };
    }
    let partitions = topic.partitions();
    if partitions.is_empty() || partitions.iter().any(|partition| partition.leader() < 0) {
        return Found::NoLeader;
    }
    let mut numbers: Vec<_> = partitions.iter().map(MetadataPartition::id).collect();
    numbers.sort_unstable();
    Found::Partitions(numbers)
}
