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
use serde::Deserialize;

use crate::event::{EventOptions, Format};
#[cfg(not(feature = "servers"))]
use crate::left_out::LeftOut;

/// Everything that the application can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Where events come from.
    pub source: SourceOptions,
    /// Names and units of the event's fields.
    #[serde(default)]
    pub event: EventOptions,
    /// How event time moves on.
    #[serde(default)]
    pub watermark: WatermarkOptions,
    /// Which metrics to compute; all by default.
    #[serde(default = "all_jobs")]
    pub jobs: Vec<Job>,
    /// Which behaviours count: a list, or `all`.
    #[serde(default)]
    pub behaviors: Behaviors,
    /// The shop's time zone, in which hours and days begin; UTC by default.
    #[serde(default)]
    pub time_zone: Zone,
    /// Page views and unique visitors.
    #[serde(default)]
    pub pv_uv: PvUvOptions,
    /// Places of the ranking of items.
    #[serde(default)]
    pub hot_items: HotItemsOptions,
    /// Where results go.
    pub sinks: Vec<SinkOptions>,
    /// Where records go that could not be used.
    #[serde(default)]
    pub dead_letter: DeadLetterOptions,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SourceOptions {
    /// JSON events from Kafka.
    #[cfg(feature = "servers")]
    Kafka(KafkaSourceOptions),
    /// Events from files.
    Files(FilesOptions),
    /// Made-up shop traffic.
    Generator(GeneratorOptions),
    /// A source that this build has not.
    #[cfg(not(feature = "servers"))]
    #[serde(rename = "kafka")]
    LeftOut(LeftOut),
}

/// Files and their format.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesOptions {
    /// A file, a directory, a pattern; `.gz` is read as it is.
    pub path: String,
    /// How events are written down.
    #[serde(default)]
    pub format: Format,
}

impl FilesOptions {
    /// The connector's settings.
    pub fn source(&self) -> FilesSourceOptions {
        FilesSourceOptions { path: self.path.as_str().into(), ..FilesSourceOptions::default() }
    }
}

/// How event time moves on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WatermarkOptions {
    /// How much later than a newer event an older one may come and still count.
    #[serde(with = "duration")]
    pub max_out_of_orderness: Duration,
    /// After how much silence a partition is no longer waited for; `0s`: never.
    #[serde(with = "duration")]
    pub idleness: Duration,
    /// How far an event may be ahead of this host's clock and still move event time. One that is further ahead is counted in its own
    /// window.
    #[serde(with = "duration")]
    pub tolerance: Duration,
    /// How far an event may be ahead of this host's clock at all. One that is further ahead is a dead letter.
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Behaviors {
    /// `all`.
    Word(AllBehaviors),
    /// These.
    List(Vec<String>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PvUvOptions {
    /// In windows of which sizes they are counted.
    pub granularities: Vec<Granularity>,
}

impl Default for PvUvOptions {
    fn default() -> Self {
        Self { granularities: vec![Granularity::Minute, Granularity::Hour] }
    }
}

/// The size of a window. Hours and days are those of the shop's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
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
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HotItemsOptions {
    /// How many places.
    pub top: usize,
}

impl Default for HotItemsOptions {
    fn default() -> Self {
        Self { top: 3 }
    }
}

/// A store and its settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SinkOptions {
    /// One index per table.
    #[cfg(feature = "servers")]
    Elasticsearch(Box<ElasticsearchOptions>),
    /// One key per row; see the README for the keys.
    #[cfg(feature = "servers")]
    Redis(Box<RedisOptions>),
    /// One table per table.
    Sqlite(SqliteOptions),
    /// One file per table.
    Csv(CsvOptions),
    /// One JSON message per row.
    #[cfg(feature = "servers")]
    Kafka(KafkaSinkOptions),
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
            #[cfg(not(feature = "servers"))]
            Self::LeftOut(left_out) => match *left_out {},
        }
    }
}

/// CSV files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvOptions {
    /// The directory; made if it is not there.
    pub dir: PathBuf,
}

/// Where records go that could not be used.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum DeadLetterOptions {
    /// JSON lines, appended.
    Files(DeadLetterFile),
    /// JSON messages.
    #[cfg(feature = "servers")]
    Kafka(KafkaSinkOptions),
    /// A place that this build has not.
    #[cfg(not(feature = "servers"))]
    #[serde(rename = "kafka")]
    LeftOut(LeftOut),
}

/// A file of dead letters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFile {
    /// The file.
    pub path: String,
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self::Files(DeadLetterFile { path: "dead-letter.jsonl".to_owned() })
    }
}
