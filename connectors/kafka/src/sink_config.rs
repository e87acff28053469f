//! The options of the sink: plain data.

use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::options::{duration, size};
use serde::{Deserialize, Serialize};

use crate::config::{check_brokers, check_reserved, check_topic};
use crate::properties::Properties;

/// Where a [`KafkaSink`](crate::KafkaSink) writes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KafkaSinkOptions {
    /// Addresses to find the cluster by: `host:port`, several separated by commas.
    pub brokers: String,
    /// The topic. It must exist.
    pub topic: String,
    /// How long the start may wait for brokers and the topic; 15 s by default.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long a message, or a transaction, is tried before the job goes back to its last checkpoint; 2 min by default.
    #[serde(with = "duration")]
    pub delivery_timeout: Duration,
    /// How much each subtask may have on its way before it holds its input back; 32 MiB by default. At least once only.
    #[serde(with = "size")]
    pub buffer_size: usize,
    /// `lz4` (the default), `zstd`, `snappy`, `gzip` or `none`.
    pub compression: Compression,
    /// `at-least-once` (the default, as in Flink) or `exactly-once`.
    #[serde(alias = "sink.delivery-guarantee")]
    pub delivery_guarantee: DeliveryGuarantee,
    /// Exactly once: what its transactional ids begin with; job, sink and subtask follow, as in `millstream-shop-counts-0`. Jobs of the
    /// same name that write to one cluster, such as a test's and the shop's, need different ones. It stays for the life of the job.
    #[serde(alias = "sink.transactional-id-prefix")]
    pub transactional_id_prefix: String,
    /// Exactly once: after how long the brokers give up a transaction whose writer is gone; 2 min by default. One lasts as long as the
    /// writing of one checkpoint's output, not as long as the time between two; the brokers allow `transaction.max.timeout.ms`, 15 min.
    #[serde(with = "duration")]
    pub transaction_timeout: Duration,
    /// Exactly once: how much each subtask keeps for the next checkpoints before it holds its input back; 256 MiB by default. While a
    /// snapshot of it is written, it is in memory twice.
    #[serde(with = "size")]
    pub max_interval_bytes: usize,
    /// Exactly once: what to do when a restored checkpoint has output of which the brokers no longer know whether it was written.
    pub on_missing_marker: MissingMarker,
    /// More properties of the client, such as `security.protocol`.
    pub client: Properties,
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

/// What a reader of the topic can rely on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryGuarantee {
    /// Written at once; after a crash, again.
    #[default]
    AtLeastOnce,
    /// Written in one transaction per checkpoint, once that is complete: a reader with `isolation.level=read_committed` sees each
    /// message once, and as late as the next checkpoint.
    ExactlyOnce,
}

/// What becomes of restored output of which nobody knows whether it was written. The brokers forget after `offsets.retention.minutes`
/// without a checkpoint that wrote anything (7 days), or with the topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingMarker {
    /// The job does not start.
    #[default]
    Fail,
    /// It is written, perhaps a second time.
    Write,
    /// It is not written, perhaps never.
    Skip,
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Fast, moderately small.
    #[default]
    Lz4,
    /// Smallest.
    Zstd,
    /// Fast; for consumers that know no other.
    Snappy,
    /// Slow; for consumers that know no other.
    Gzip,
    /// Not at all.
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
