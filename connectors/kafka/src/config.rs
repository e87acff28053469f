//! The options of the source: plain data, and the checks that the sink's share.

use std::ops::Range;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::options::{duration, instant, optional_duration, size};
use millstream_stage::time::{Time, written};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::properties::Properties;

/// What a [`KafkaSource`](crate::KafkaSource) reads, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KafkaSourceOptions {
    /// The addresses to find the cluster by, `host:port`; several are separated by commas.
    #[schemars(extend("x-flink" = "properties.bootstrap.servers"))]
    pub brokers: String,
    /// The topic, or a list of topics.
    #[schemars(extend("x-flink" = "topic"))]
    pub topic: Topics,
    /// Where to start reading when there is no checkpoint or savepoint to go on from.
    #[schemars(extend("x-flink" = "scan.startup.mode"))]
    pub start: Start,
    /// A consumer group, for `start: group-offsets`. The positions of each complete checkpoint are committed
    /// to it, so that tools that watch its lag see this job. The job itself goes on from its checkpoints
    /// alone, and it never joins the group.
    #[schemars(extend("x-flink" = "properties.group.id"))]
    pub group_id: Option<String>,
    /// With `start: group-offsets`: where a partition is read from if the group has no offset for it.
    #[schemars(extend("x-flink" = "properties.auto.offset.reset"))]
    pub on_missing_group_offset: GroupFallback,
    /// What the source does when the topic does not have the offset to go on from, or was created anew since.
    pub on_missing_offset: MissingOffset,
    /// Where to stop reading. Without it the source never ends.
    #[schemars(extend("x-flink" = "scan.bounded.mode"))]
    pub bounded: Option<Bounded>,
    /// Whether messages of open and aborted transactions are read.
    #[schemars(extend("x-flink" = "properties.isolation.level"))]
    pub isolation: Isolation,
    /// After this long without an answer of the brokers, the log says so and names what to check. The job
    /// goes on waiting for them.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How often an unbounded source looks for new partitions; with `null`, it never does. Event time does
    /// not wait for a partition that was not found yet, so some of its first events may be late.
    #[serde(with = "optional_duration")]
    #[schemars(extend("x-flink" = "scan.topic-partition-discovery.interval"))]
    pub discovery_interval: Option<Duration>,
    /// How much each subtask may fetch ahead. The messages in flight and the client's notes on each message
    /// (some 300 bytes, for at most 100,000 messages unless `queued.min.messages` says otherwise) come on
    /// top.
    #[serde(with = "size")]
    pub prefetch_size: usize,
    /// The largest number of messages that one poll takes.
    #[schemars(extend("x-flink" = "properties.max.poll.records"))]
    pub poll_messages: usize,
    /// More properties of the client, such as `security.protocol`.
    #[schemars(extend("x-flink" = "properties.*"))]
    pub client: Properties,
}

impl Default for KafkaSourceOptions {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: Topics::default(),
            start: Start::default(),
            group_id: None,
            on_missing_group_offset: GroupFallback::default(),
            on_missing_offset: MissingOffset::default(),
            bounded: None,
            isolation: Isolation::default(),
            connect_timeout: Duration::from_secs(15),
            discovery_interval: Some(Duration::from_secs(2)),
            prefetch_size: 64 << 20,
            poll_messages: 4096,
            client: Properties::default(),
        }
    }
}

/// One topic or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrMany", into = "OneOrMany")]
pub struct Topics(pub Vec<String>);

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The single addresses of `brokers`.
pub(crate) fn addresses(brokers: &str) -> Vec<String> {
    brokers.split(',').map(|address| address.trim().to_owned()).collect()
}

impl From<OneOrMany> for Topics {
    fn from(topics: OneOrMany) -> Self {
        match topics {
            OneOrMany::One(topic) => Self(vec![topic]),
            OneOrMany::Many(topics) => Self(topics),
        }
    }
}

impl From<Topics> for OneOrMany {
    fn from(topics: Topics) -> Self {
        Self::Many(topics.0)
    }
}

impl From<&str> for Topics {
    fn from(topic: &str) -> Self {
        Self(vec![topic.to_owned()])
    }
}

/// Where a partition is read from when there is no checkpoint or savepoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At the oldest message of each partition.
    #[default]
    Earliest,
    /// At the messages that come after the job's start.
    Latest,
    /// Where the consumer group `group-id` stands.
    GroupOffsets,
    /// At the first message whose own time stamp is this or a later one: a date, an ISO-8601 time, or
    /// milliseconds since 1970.
    Timestamp(#[serde(with = "instant")] Time),
}

/// Where a partition is read from for which the consumer group has no offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupFallback {
    /// At its oldest message.
    #[default]
    Earliest,
    /// At the messages that come after the job's start.
    Latest,
    /// The job does not start.
    Fail,
}

/// What becomes of a partition whose stored offset is not there: its retention has deleted it, or the topic
/// was deleted and created anew, which its id tells, however long it is. Which partition, which offset and
/// what there is stands in the error, or in a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissingOffset {
    /// The job ends with an error.
    #[default]
    Fail,
    /// The job goes on with the oldest message that there is.
    Earliest,
    /// The job goes on behind the newest message.
    Latest,
}

/// Where a partition ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bounded {
    /// At the end of each partition as it was when the job started; with `read_committed`, before the first
    /// transaction that was open then.
    Latest,
    /// Before the first message whose own time stamp is this or a later one, written as for `start`; where
    /// there is none, as `latest`.
    Timestamp(#[serde(with = "instant")] Time),
}

/// Which messages of transactions are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Only messages of committed transactions are read.
    #[default]
    ReadCommitted,
    /// All messages are read.
    ReadUncommitted,
}

// Millstream decides these itself; set from outside they would break what the connector promises.
const OF_THE_SOURCE: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "auto.offset.reset",
    "isolation.level",
    "queued.max.messages.kbytes",
];

impl KafkaSourceOptions {
    pub(crate) fn validate(&self) -> Result<()> {
        check_brokers(&self.brokers)?;
        if self.topic.0.is_empty() {
            return Err(Error::configuration("`topic` is missing: name the Kafka topic to read"));
        }
        for (index, topic) in self.topic.0.iter().enumerate() {
            check_topic(topic)?;
            if self.topic.0[..index].contains(topic) {
                return Err(Error::configuration(format!(
                    "`topic` names {topic} twice, and its messages would count twice: name it once"
                )));
            }
        }
        if let Start::Timestamp(time) = self.start {
            check_time("start", time)?;
        }
        if let Some(Bounded::Timestamp(time)) = self.bounded {
            check_time("bounded", time)?;
        }
        if self.start == Start::GroupOffsets && self.group_id.is_none() {
            return Err(Error::configuration(
                "`start: group-offsets` needs `group-id`: name the consumer group",
            ));
        }
        if self.group_id.as_ref().is_some_and(String::is_empty) {
            return Err(Error::configuration(
                "`group-id` must not be empty: name a consumer group, or leave it out",
            ));
        }
        if self.poll_messages == 0 {
            return Err(Error::configuration("`poll-messages` must be at least 1"));
        }
        check_reserved(&self.client, OF_THE_SOURCE)
    }
}

/// The years 2000 to 2200 in milliseconds.
const PLAUSIBLE: Range<Time> = 946_684_800_000..7_258_118_400_000;

// A time in another unit chooses all of a topic, or nothing, and that looks as if it worked.
fn check_time(option: &str, time: Time) -> Result<()> {
    if time < PLAUSIBLE.end && !PLAUSIBLE.contains(&time.saturating_mul(1000)) {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "`{option}`: the timestamp {time} is {}, as numbers count milliseconds since 1970: write it in milliseconds, or as a text \
         such as 2017-11-26T01:00:00Z",
        written(time)
    )))
}

pub(crate) fn check_brokers(brokers: &str) -> Result<()> {
    if brokers.trim().is_empty() {
        return Err(Error::configuration("`brokers` is missing: give Kafka's address as host:port"));
    }
    Ok(())
}

// Kafka's own rule: 1 to 249 of these characters.
pub(crate) fn check_topic(topic: &str) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=249).contains(&topic.len()) && topic.chars().all(legal) {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "`topic` is {topic:?}, which is no name of a Kafka topic: use 1 to 249 letters, digits, '.', '_' or '-'"
    )))
}

pub(crate) fn check_reserved(client: &Properties, reserved: &[&str]) -> Result<()> {
    let Some(name) = reserved.iter().find(|name| client.contains(name)) else { return Ok(()) };
    Err(Error::configuration(format!(
        "`client` must not set {name}: Millstream sets it, from an option of its own where you can choose"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(json: &str) -> Result<KafkaSourceOptions, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn options_as_they_are_written() {
        let options = source(
            r#"{"brokers": "h:9092", "topic": "clicks", "start": "earliest", "bounded": "latest",
                "connect-timeout": "10s", "prefetch-size": "8mb", "client": {"security.protocol": "ssl"}}"#,
        )
        .unwrap();
        assert_eq!(options.topic, Topics::from("clicks"));
        assert_eq!((options.start, options.bounded), (Start::Earliest, Some(Bounded::Latest)));
        assert_eq!((options.connect_timeout, options.prefetch_size), (Duration::from_secs(10), 8 << 20));
        options.validate().unwrap();

        let options =
            source(r#"{"topic": ["a", "b"], "start": {"timestamp": 5}, "bounded": {"timestamp": 9}}"#)
                .unwrap();
        assert_eq!(options.topic.0, ["a", "b"]);
        let group = source(
            r#"{"start": "group-offsets", "group-id": "g", "on-missing-group-offset": "latest", "on-missing-offset": "earliest"}"#,
        )
        .unwrap();
        assert_eq!((group.start, group.group_id.as_deref()), (Start::GroupOffsets, Some("g")));
        assert_eq!(
            (group.on_missing_group_offset, group.on_missing_offset),
            (GroupFallback::Latest, MissingOffset::Earliest)
        );
        assert_eq!((options.start, options.bounded), (Start::Timestamp(5), Some(Bounded::Timestamp(9))));
        let text = source(r#"{"start": {"timestamp": "2017-11-26T09:00:00+08:00"}}"#).unwrap();
        assert_eq!(text.start, Start::Timestamp(1_511_658_000_000));
        assert!(
            source(r#"{"start": {"timestamp": "yesterday"}}"#).unwrap_err().contains("such as 2000-01-01")
        );
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(source(r#"{"topics": "a"}"#).unwrap_err().contains("topics"));
        assert!(source(r#"{"start": "newest"}"#).unwrap_err().contains("newest"));
    }

    #[test]
    fn what_can_never_work_is_refused() {
        let good = KafkaSourceOptions { brokers: "h:1".into(), topic: "a".into(), ..Default::default() };
        good.validate().unwrap();
        let wrong = [
            (KafkaSourceOptions { brokers: " ".into(), ..good.clone() }, "brokers"),
            (KafkaSourceOptions { topic: Topics::default(), ..good.clone() }, "topic"),
            (KafkaSourceOptions { topic: "a b".into(), ..good.clone() }, "a b"),
            (
                KafkaSourceOptions {
                    topic: Topics(["a", "b", "a"].map(str::to_owned).into()),
                    ..good.clone()
                },
                "names a twice",
            ),
            // Seconds.
            (
                KafkaSourceOptions { start: Start::Timestamp(1_511_658_000), ..good.clone() },
                "is 1970-01-18T11:54:18Z",
            ),
            // Microseconds.
            (
                KafkaSourceOptions {
                    bounded: Some(Bounded::Timestamp(1_511_658_000_000_000)),
                    ..good.clone()
                },
                "`bounded`",
            ),
            (KafkaSourceOptions { poll_messages: 0, ..good.clone() }, "poll-messages"),
            (KafkaSourceOptions { start: Start::GroupOffsets, ..good.clone() }, "group-id"),
            (KafkaSourceOptions { group_id: Some(String::new()), ..good.clone() }, "group-id"),
            (KafkaSourceOptions { client: [("group.id", "g")].into_iter().collect(), ..good }, "group.id"),
        ];
        for (options, named) in wrong {
            let error = options.validate().unwrap_err();
            assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
