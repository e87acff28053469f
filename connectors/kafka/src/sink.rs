//! The sink as a pipeline sees it.

use std::sync::Arc;

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::OpenContext;
use millstream_stage::sink::{Guarantee, OutputLocation, Sink, SinkWriter};
use millstream_stage::time::Time;
use rdkafka::producer::Producer as _;

use crate::client::{Patience, producer_config, transactional_config};
use crate::config::addresses;
use crate::delivery::{Deliveries, Producer};
use crate::encode::Message;
use crate::exactly_once::TransactionalWriter;
use crate::retry::ConnectorError;
use crate::rights::{self, Right};
use crate::sink_config::KafkaSinkOptions;
use crate::writer::KafkaWriter;

pub(crate) type Mapping<T> = dyn Fn(&T, Time, &mut Message) + Send + Sync;
pub(crate) type Shorten = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Writes records as messages to a topic, through an idempotent producer with `acks=all`.
///
/// **At least once**, by default: written at once. After a crash, records since the last checkpoint are
/// written again. Within one run none is lost, doubled or, per partition, out of order.
///
/// **Exactly once**, with `delivery-guarantee: exactly-once`: kept in the checkpoint, and written in one
/// transaction per subtask once the checkpoint is complete. A reader with `isolation.level=read_committed`
/// sees each record once, in each subtask's order, whatever crashes and however the job is scaled. What it
/// needs: checkpoints (`execution.checkpointing.interval`), for without them nothing is ever written; a user
/// that may write in transactions; and a job that is not down for longer than the brokers'
/// `offsets.retention.minutes` (see [`MissingMarker`](crate::MissingMarker)).
///
/// What Kafka refuses for ever (a message too large for the topic, a time stamp too far ahead) goes to the
/// dead letter.
///
/// ```
/// use millstream_kafka::{KafkaSink, KafkaSinkOptions};
///
/// let options = KafkaSinkOptions { brokers: "127.0.0.1:9092".into(), topic: "counts".into(), ..Default::default() };
/// let sink = KafkaSink::new(options, |(user, count): &(String, u64), _event_time, message| {
///     message.key().extend_from_slice(user.as_bytes());
///     message.value().extend_from_slice(count.to_string().as_bytes());
/// });
/// ```
pub struct KafkaSink<T> {
    options: Arc<KafkaSinkOptions>,
    mapping: Arc<Mapping<T>>,
    shorten: Option<Arc<Shorten>>,
}

impl<T: Data> KafkaSink<T> {
    /// A sink with these options; `mapping` fills the message of a record, given with its event time.
    pub fn new(
        options: KafkaSinkOptions,
        mapping: impl Fn(&T, Time, &mut Message) + Send + Sync + 'static,
    ) -> Self {
        Self { options: Arc::new(options), mapping: Arc::new(mapping), shorten: None }
    }

    /// At least once: what to write in place of a value that is too large for the topic, asked for again
    /// until it fits. Where there is none, `None`, the message goes to the dead letter.
    #[must_use]
    pub fn with_shorter(
        mut self,
        shorten: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.shorten = Some(Arc::new(shorten));
        self
    }

    /// Looks for the topic, for at most `connect-timeout`: for commands that somebody waits for. The sink of
    /// a job waits on.
    ///
    /// # Errors
    /// Brokers that do not answer or refuse the login, a topic that is not there or may not be written to.
    pub fn find_topic(&self) -> Result<()> {
        self.validate()?;
        let created = producer_config(&self.options, "").create_with_context(Deliveries::default());
        let producer: Producer = created.map_err(ConnectorError::of_creation)?;
        let patience = Patience::new(&self.options.brokers, self.options.connect_timeout);
        Ok(check_topic(&producer, &self.options.topic, &patience)?)
    }
}

/// Whether the topic is there, with leaders, and may be written to: a job learns it at its start, and not from
/// its first message, which may come much later. Blocks.
///
/// # Errors
/// As [`Patience::partitions`], and when the topic may not be written to.
pub(crate) fn check_topic(
    producer: &Producer,
    topic: &str,
    patience: &Patience,
) -> Result<(), ConnectorError> {
    patience.partitions(producer, topic)?;
    rights::check(producer.client().native_ptr(), topic, Right::Write)
}

impl<T> Clone for KafkaSink<T> {
    fn clone(&self) -> Self {
        let (options, mapping) = (Arc::clone(&self.options), Arc::clone(&self.mapping));
        Self { options, mapping, shorten: self.shorten.clone() }
    }
}

impl<T> std::fmt::Debug for KafkaSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<T: Data> Sink<T> for KafkaSink<T> {
    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn guarantee(&self) -> Guarantee {
        if self.options.is_exactly_once() { Guarantee::Transactional } else { Guarantee::AtLeastOnce }
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()?;
        let config = if self.options.is_exactly_once() {
            transactional_config(&self.options, "", "checked")
        } else {
            producer_config(&self.options, "")
        };
        let checked = config.create_native_config();
        checked.map(drop).map_err(|error| Error::from(ConnectorError::of_creation(error)))
    }

    fn outputs(&self) -> Vec<OutputLocation> {
        let (brokers, topic) = (addresses(&self.options.brokers), self.options.topic.clone());
        vec![OutputLocation::Topic { brokers, topic }]
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        let (options, mapping) = (Arc::clone(&self.options), Arc::clone(&self.mapping));
        Ok(if self.options.is_exactly_once() {
            Box::new(TransactionalWriter::open(options, mapping, name, cx)?)
        } else {
            Box::new(KafkaWriter::open(options, mapping, self.shorten.clone(), name, cx)?)
        })
    }
}
