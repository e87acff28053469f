//! What became of messages: the reports of a producing client.

use std::time::Duration;

use millstream_stage::time::{Nanos, Time};
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use crate::client::{Events, Peer};
use crate::encode::{Message, OVERHEAD};

/// A client that writes.
pub(crate) type Producer = BaseProducer<Deliveries>;

/// Collects reports until the writer takes them.
pub(crate) struct Deliveries {
    events: Events,
    reports: Mutex<Reports>,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self { events: Events::reported(), reports: Mutex::default() }
    }
}

/// What comes back with a message's report. The client itself forgets the time stamp of what it could not
/// deliver.
pub(crate) struct Sent {
    /// When the message entered the job.
    pub(crate) ingest: Nanos,
    /// The time stamp that it was given.
    pub(crate) time: Option<Time>,
}

/// Reports since the last time.
#[derive(Default)]
pub(crate) struct Reports {
    /// Messages that every replica in sync has.
    pub(crate) written: Vec<DeliveredMessages>,
    /// Messages that were not written.
    pub(crate) refused: Vec<RefusedDelivery>,
}

/// Messages of one batch that were written.
pub(crate) struct DeliveredMessages {
    /// When they entered the job.
    pub(crate) ingest: Nanos,
    /// How many.
    pub(crate) messages: usize,
    /// Their keys and values.
    pub(crate) bytes: usize,
    /// What they counted against the buffer's size.
    pub(crate) size: usize,
}

/// A message that was not written.
pub(crate) struct RefusedDelivery {
    /// Why.
    pub(crate) code: RDKafkaErrorCode,
    /// The message itself.
    pub(crate) message: Message,
    /// When it entered the job.
    pub(crate) ingest: Nanos,
}

impl Deliveries {
    /// All reports since the last call.
    pub(crate) fn take(&self) -> Reports {
        std::mem::take(&mut *self.reports.lock())
    }
}

impl Reports {
    fn add_written(&mut self, ingest: Nanos, bytes: usize) {
        let same = self.written.last().is_some_and(|last| last.ingest == ingest);
        if !same {
            self.written.push(DeliveredMessages { ingest, messages: 0, bytes: 0, size: 0 });
        }
        let last = self.written.last_mut().expect("pushed above where there was none");
        last.messages += 1;
        last.bytes += bytes;
        last.size += bytes + OVERHEAD;
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let ingest = sent.ingest;
        let mut reports = self.reports.lock();
        match result {
            Ok(message) => reports.add_written(ingest, message.key_len() + message.payload_len()),
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                reports.refused.push(RefusedDelivery { code, message: again(message, sent.time), ingest });
            }
        }
    }
}

// The message as it was handed to the client.
fn again(delivered: &impl rdkafka::Message, time: Option<Time>) -> Message {
    let mut message = Message::default();
    message.value().extend_from_slice(delivered.payload().unwrap_or_default());
    if let Some(key) = delivered.key() {
        message.key().extend_from_slice(key);
    }
    if delivered.partition() >= 0 {
        message.to_partition(delivered.partition());
    }
    if let Some(time) = time {
        message.at(time);
    }
    message
}

impl Peer for Producer {
    fn events(&self) -> &Events {
        &self.context().events
    }
    fn attend(&self, time: Duration) {
        self.poll(time);
    }
    fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata> {
        self.client().fetch_metadata(Some(topic), timeout)
    }
}
