//! The options of the sink: plain data.

use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::options::schema::add_alias;
use millstream_stage::options::{duration, size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{check_brokers, check_reserved, check_topic};
use crate::properties::Properties;

/// Where a [`KafkaSink`](crate::KafkaSink) writes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(transform = also_flinks)]
pub struct KafkaSinkOptions {
    /// The addresses to find the cluster by, `host:port`; several are separated by commas.
    #[schemars(extend("x-flink" = "properties.bootstrap.servers"))]
    pub brokers: String,
    /// The topic to write to. It must exist.
    #[schemars(extend("x-flink" = "topic"))]
    pub topic: String,
    /// How long the start may wait for brokers and the topic.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long the sink repeats a message or a transaction before the job goes back to its last checkpoint.
    #[serde(with = "duration")]
    #[schemars(extend("x-flink" = "properties.delivery.timeout.ms"))]
    pub delivery_timeout: Duration,
    /// At least once: how much each subtask may have on its way before it holds its input back.
    #[serde(with = "size")]
    #[schemars(extend("x-flink" = "properties.buffer.memory"))]
    pub buffer_size: usize,
    /// How messages are compressed.
    #[schemars(extend("x-flink" = "properties.compression.type"))]
    pub compression: Compression,
    /// The guarantee that a reader of the topic has.
    #[serde(alias = "sink.delivery-guarantee")]
    #[schemars(extend("x-flink" = "sink.delivery-guarantee"))]
    pub delivery_guarantee: DeliveryGuarantee,
    /// Exactly once: the beginning of the transactional ids; job, sink and subtask follow, as in
    /// `millstream-shop-counts-0`. Jobs of the same name that write to one cluster, such as a test's and the
    /// shop's, need different ones. It stays for the life of the job.
    #[serde(alias = "sink.transactional-id-prefix")]
    #[schemars(extend("x-flink" = "sink.transactional-id-prefix"))]
    pub transactional_id_prefix: String,
    /// Exactly once: the time after which the brokers give up a transaction whose writer is gone. A
    /// transaction lasts as long as the writing of one checkpoint's output, not as long as the time between
    /// two; the brokers allow `transaction.max.timeout.ms`, 15 min.
    #[serde(with = "duration")]
    #[schemars(extend("x-flink" = "properties.transaction.timeout.ms"))]
    pub transaction_timeout: Duration,
    /// Exactly once: how much each subtask keeps for the next checkpoints before it holds its input back.
    /// While a snapshot of it is written, it is in memory twice.
    #[serde(with = "size")]
    pub max_interval_bytes: usize,
    /// Exactly once: what the sink does with output of a restored checkpoint when the brokers no longer know
    /// whether it was written.
    pub on_missing_marker: MissingMarker,
    /// More properties of the client, such as `security.protocol`.
    #[schemars(extend("x-flink" = "properties.*"))]
    pub client: Properties,
}

fn also_flinks(schema: &mut schemars::Schema) {
    for key in ["delivery-guarantee", "transactional-id-prefix"] {
        add_alias(schema, key, &format!("sink.{key}"));
    }
}

impl Default for KafkaSinkOptions {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: String::new(),
            connect_timeout: Duration::from_secs(15),
            delivery_timeout: Duration::from_secs(120),
            buffer_size: 32 << 20,
            compression: Compression::default(),
            delivery_guarantee: DeliveryGuarantee::default(),
            transactional_id_prefix: "millstream".to_owned(),
            transaction_timeout: Duration::from_secs(120),
            max_interval_bytes: 256 << 20,
            on_missing_marker: MissingMarker::default(),
            client: Properties::default(),
        }
    }
}

/// The guarantee that a reader of the topic has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryGuarantee {
    /// Messages are written at once; after a crash, some are written again.
    #[default]
    AtLeastOnce,
    /// Messages are written in one transaction per checkpoint, once that is complete: a reader with
    /// `isolation.level=read_committed` sees each message once, and as late as the next checkpoint.
    ExactlyOnce,
}

/// What a sink does with restored output when the brokers no longer know whether it was written. The brokers
/// forget after `offsets.retention.minutes` without a checkpoint that wrote anything (7 days), or with the
/// topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissingMarker {
    /// The job does not start.
    #[default]
    Fail,
    /// The output is written, perhaps a second time.
    Write,
    /// The output is not written, and so perhaps never.
    Skip,
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// LZ4 is fast, and its messages are moderately small.
    #[default]
    Lz4,
    /// Zstandard gives the smallest messages.
    Zstd,
    /// Snappy is fast; it is for consumers that support no other codec.
    Snappy,
    /// Gzip is slow; it is for consumers that support no other codec.
    Gzip,
    /// Messages are not compressed.
    None,
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }
}

// Millstream decides these itself; set from outside they would break what the connector promises.
const OF_THE_SINK: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "transactional.id",
    "transaction.timeout.ms",
    "delivery.timeout.ms",
    "message.timeout.ms",
    "compression.type",
    "compression.codec",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
];

impl KafkaSinkOptions {
    pub(crate) fn validate(&self) -> Result<()> {
        check_brokers(&self.brokers)?;
        check_topic(&self.topic)?;
        if self.buffer_size == 0 {
            return Err(Error::configuration("`buffer-size` must be at least 1"));
        }
        if self.max_interval_bytes == 0 {
            return Err(Error::configuration("`max-interval-bytes` must be at least 1"));
        }
        if self.transactional_id_prefix.is_empty() {
            return Err(Error::configuration("`transactional-id-prefix` must not be empty"));
        }
        if self.transaction_timeout < Duration::from_secs(1) {
            return Err(Error::configuration("`transaction-timeout` must be at least 1s"));
        }
        check_reserved(&self.client, OF_THE_SINK)
    }

    /// Whether it writes in transactions.
    pub(crate) fn is_exactly_once(&self) -> bool {
        self.delivery_guarantee == DeliveryGuarantee::ExactlyOnce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_as_they_are_written() {
        let json = r#"{"brokers": "h:9092", "topic": "counts", "delivery-guarantee": "exactly-once",
            "max-interval-bytes": "64mb", "transaction-timeout": "5 min", "on-missing-marker": "skip"}"#;
        let options: KafkaSinkOptions = serde_json::from_str(json).unwrap();
        options.validate().unwrap();
        assert!(options.is_exactly_once());
        assert_eq!(options.max_interval_bytes, 64 << 20);
        assert_eq!(
            (options.transaction_timeout.as_secs(), options.on_missing_marker),
            (300, MissingMarker::Skip)
        );
        let flinks: KafkaSinkOptions =
            serde_json::from_str(r#"{"sink.delivery-guarantee": "exactly-once"}"#).unwrap();
        assert!(flinks.is_exactly_once() && !KafkaSinkOptions::default().is_exactly_once());
    }

    #[test]
    fn what_can_never_work_is_refused() {
        let good = KafkaSinkOptions { brokers: "h:1".into(), topic: "a".into(), ..Default::default() };
        good.validate().unwrap();
        let wrong = [
            (KafkaSinkOptions { buffer_size: 0, ..good.clone() }, "buffer-size"),
            (KafkaSinkOptions { max_interval_bytes: 0, ..good.clone() }, "max-interval-bytes"),
            (
                KafkaSinkOptions { transactional_id_prefix: String::new(), ..good.clone() },
                "transactional-id-prefix",
            ),
            (KafkaSinkOptions { transaction_timeout: Duration::ZERO, ..good.clone() }, "transaction-timeout"),
            (
                KafkaSinkOptions { client: [("transactional.id", "t")].into_iter().collect(), ..good },
                "transactional.id",
            ),
        ];
        for (options, named) in wrong {
            let error = options.validate().unwrap_err();
            assert_eq!(error.kind(), millstream_record::ErrorKind::Configuration);
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
