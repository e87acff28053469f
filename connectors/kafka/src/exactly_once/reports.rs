//! What became of the messages of a transaction.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use crate::client::{Events, Peer};

/// A client that writes in transactions.
pub(crate) type Producer = BaseProducer<Reports>;

/// Collects which messages were not written. That one was written means nothing until its transaction is
/// committed.
#[derive(Default)]
pub(crate) struct Reports {
    events: Events,
    failed: Mutex<Vec<(usize, RDKafkaErrorCode)>>,
}

impl Reports {
    /// Whether every message that was reported was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.failed.lock().is_empty()
    }

    /// The places of messages that were not written, since the last call.
    pub(crate) fn take(&self) -> Vec<(usize, RDKafkaErrorCode)> {
        std::mem::take(&mut *self.failed.lock())
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for Reports {
    // The message's place in its transaction.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
            self.failed.lock().push((place, code));
        }
    }
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
