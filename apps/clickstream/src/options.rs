//! The application's part of the configuration file.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "servers")]
use millstream::connectors::elasticsearch::ElasticsearchOptions;
use millstream::connectors::files::FilesSourceOptions;
use millstream::connectors::generator::GeneratorOptions;
#[cfg(feature = "servers")]
use millstream::connectors::kafka::{KafkaSinkOptions, KafkaSourceOptions};
#[cfg(feature = "servers")]
use millstream::connectors::redis::RedisOptions;
use millstream::connectors::sqlite::SqliteOptions;
use millstream::options::duration;
use millstream::time::{PlausibleTimes, Zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{EventOptions, Format};
#[cfg(not(feature = "servers"))]
use crate::left_out::LeftOut;

/// The settings of the application.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// The source of the events.
    pub source: SourceOptions,
    /// The names of the event's fields, and the unit of its time.
    #[serde(default)]
    pub event: EventOptions,
    /// The rules by which event time moves on.
    #[serde(default)]
    pub watermark: WatermarkOptions,
    /// The metrics to compute; all of them by default.
    #[serde(default = "all_jobs")]
    pub jobs: Vec<Job>,
    /// The behaviours that count: a list, or `all`. Events of others are dropped and counted as
    /// `otherBehavior`.
    #[serde(default)]
    pub behaviors: Behaviors,
    /// The shop's time zone, in which hours and days begin: a name of the tz database, or an offset such as
    /// `+05:30`.
    #[serde(default)]
    #[schemars(extend("default" = "UTC", "x-flink" = "table.local-time-zone"))]
    pub time_zone: Zone,
    /// The windows of page views and unique visitors.
    #[serde(default)]
    pub pv_uv: PvUvOptions,
    /// The ranking of items.
    #[serde(default)]
    pub hot_items: HotItemsOptions,
    /// The stores that results go to, one or several.
    pub sinks: Vec<SinkOptions>,
    /// The place of records that could not be used. By default they are appended to the file
    /// `dead-letter.jsonl`.
    #[serde(default)]
    pub dead_letter: DeadLetterOptions,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Clicks per user and minute.
    UserClicks,
    /// The hottest items of the last hour.
    HotItems,
    /// Page views and unique visitors.
    PvUv,
}

fn all_jobs() -> Vec<Job> {
    vec![Job::UserClicks, Job::HotItems, Job::PvUv]
}

/// A source and its settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SourceOptions {
    /// JSON events are read from Kafka.
    #[cfg(feature = "servers")]
    Kafka(KafkaSourceOptions),
    /// Events are read from files.
    Files(FilesOptions),
    /// Shop traffic is made up.
    Generator(GeneratorOptions),
    /// A source that this build has not.
    #[cfg(not(feature = "servers"))]
    #[serde(rename = "kafka")]
    LeftOut(LeftOut),
}

/// Files and their format.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesOptions {
    /// The files to read: a file, a directory, or a pattern with `*`, `?` or `[...]`. Gzip is unpacked.
    #[schemars(extend("x-flink" = "path"))]
    pub path: String,
    /// The format of the lines.
    #[serde(default)]
    #[schemars(extend("x-flink" = "format"))]
    pub format: Format,
}

impl FilesOptions {
    /// The connector's settings.
    pub fn source(&self) -> FilesSourceOptions {
        FilesSourceOptions { path: self.path.as_str().into(), ..FilesSourceOptions::default() }
    }
}

/// How event time moves on.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WatermarkOptions {
    /// How far an event may be older than the newest one and still count.
    #[serde(with = "duration")]
    #[schemars(extend("x-flink" = "WatermarkStrategy.forBoundedOutOfOrderness"))]
    pub max_out_of_orderness: Duration,
    /// A partition without events for this long is idle: event time no longer waits for it. With `0s`, event
    /// time waits for every partition.
    #[serde(with = "duration")]
    #[schemars(extend("x-flink" = "WatermarkStrategy.withIdleness"))]
    pub idleness: Duration,
    /// How far an event may be ahead of this host's clock and still move event time. An event that is further
    /// ahead is counted in its own window.
    #[serde(with = "duration")]
    pub tolerance: Duration,
    /// How far an event may be ahead of this host's clock at all. An event that is further ahead is a dead
    /// letter.
    #[serde(with = "duration")]
    pub max_ahead: Duration,
}

impl Default for WatermarkOptions {
    fn default() -> Self {
        Self {
            max_out_of_orderness: Duration::from_secs(5),
            idleness: Duration::from_secs(30),
            tolerance: Duration::from_secs(60),
            max_ahead: PlausibleTimes::default().max_ahead,
        }
    }
}

/// Which behaviours count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Behaviors {
    /// `all`.
    Word(AllBehaviors),
    /// These.
    List(Vec<String>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AllBehaviors {
    /// Every behaviour counts.
    All,
}

impl Default for Behaviors {
    fn default() -> Self {
        Self::List(["pv", "click", "view"].map(str::to_owned).into())
    }
}

impl Behaviors {
    /// Whether this one counts.
    pub fn count(&self, behavior: &str) -> bool {
        match self {
            Self::Word(AllBehaviors::All) => true,
            Self::List(list) => list.iter().any(|counted| counted == behavior),
        }
    }
}

/// Page views and unique visitors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PvUvOptions {
    /// The sizes of the windows in which they are counted. Hours and days are those of `time-zone`.
    pub granularities: Vec<Granularity>,
}

impl Default for PvUvOptions {
    fn default() -> Self {
        Self { granularities: vec![Granularity::Minute, Granularity::Hour] }
    }
}

/// The size of a window. Hours and days are those of the shop's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Granularity {
    /// A minute.
    #[serde(rename = "1min")]
    Minute,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day.
    #[serde(rename = "1d")]
    Day,
}

/// The ranking of items.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HotItemsOptions {
    /// The number of places.
    pub top: usize,
}

impl Default for HotItemsOptions {
    fn default() -> Self {
        Self { top: 3 }
    }
}

/// A store and its settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SinkOptions {
    /// Results go to Elasticsearch or OpenSearch, one index per table.
    #[cfg(feature = "servers")]
    Elasticsearch(Box<ElasticsearchOptions>),
    /// Results go to Redis, one key per row.
    #[cfg(feature = "servers")]
    Redis(Box<RedisOptions>),
    /// Results go to a SQLite file, one table per table.
    Sqlite(SqliteOptions),
    /// Results go to CSV files, one file per table.
    Csv(CsvOptions),
    /// Results go to Kafka, one JSON message per row. `{table}` in the topic's name gives each table a topic
    /// of its own.
    #[cfg(feature = "servers")]
    Kafka(KafkaSinkOptions),
    /// Results are computed, counted and dropped: to measure the job without a store.
    Blackhole(BlackholeOptions),
    /// A store that this build has not.
    #[cfg(not(feature = "servers"))]
    #[serde(rename = "kafka", alias = "elasticsearch", alias = "redis")]
    LeftOut(LeftOut),
}

impl SinkOptions {
    /// The kind of store, as the file has it.
    pub fn kind(&self) -> &'static str {
        match self {
            #[cfg(feature = "servers")]
            Self::Elasticsearch(_) => "elasticsearch",
            #[cfg(feature = "servers")]
            Self::Redis(_) => "redis",
            Self::Sqlite(_) => "sqlite",
            Self::Csv(_) => "csv",
            #[cfg(feature = "servers")]
            Self::Kafka(_) => "kafka",
            Self::Blackhole(_) => "blackhole",
            #[cfg(not(feature = "servers"))]
            Self::LeftOut(left_out) => match *left_out {},
        }
    }
}

/// CSV files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvOptions {
    /// The directory of the files, which is made if it is not there.
    pub dir: PathBuf,
}

/// A store that keeps nothing has nothing to set.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlackholeOptions {}

/// Where records go that could not be used.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum DeadLetterOptions {
    /// Dead letters are appended to a file, one JSON object per line.
    Files(DeadLetterFile),
    /// Dead letters are written to Kafka, one JSON message each.
    #[cfg(feature = "servers")]
    Kafka(KafkaSinkOptions),
    /// A place that this build has not.
    #[cfg(not(feature = "servers"))]
    #[serde(rename = "kafka")]
    LeftOut(LeftOut),
}

/// A file of dead letters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFile {
    /// The file, which is made if it is not there.
    pub path: String,
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self::Files(DeadLetterFile { path: "dead-letter.jsonl".to_owned() })
    }
}
