//! Writes one subtask's records.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::{Completions, Io};
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::{Nanos, Time};
use millstream_stage::{Budget, Context, OpenContext, Rows, Step};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::client::{Patience, Peer, producer_config};
use crate::delivery::{Deliveries, Producer, RefusedDelivery, Sent};
use crate::encode::{Message, Parts};
use crate::outage::Outage;
use crate::retry::{
    ConnectorError, DeliveryVerdict, ErrorClass, delivery_verdict, error_class, is_too_large,
};
use crate::sink::{Mapping, Shorten, check_topic};
use crate::sink_config::KafkaSinkOptions;
use crate::waking::WakingQueue;

/// The waker announces all that happens; this is for the case that it does not.
const LOOK_AGAIN_MS: Time = 500;

/// Events of the client that one call looks at; each may report many messages.
const EVENTS_PER_CALL: usize = 1024;

/// The writer of a [`KafkaSink`](crate::KafkaSink).
pub(crate) struct KafkaWriter<T> {
    options: Arc<KafkaSinkOptions>,
    mapping: Arc<Mapping<T>>,
    shorten: Option<Arc<Shorten>>,
    message: Message,
    client: Client,
    started: Completions<Result<(), ConnectorError>>,
    // When the brokers first answered.
    started_at: Nanos,
    outage: Outage,
    in_flight: InFlight,
    // Messages that were refused, perhaps because of another message in the same request: each of them is
    // sent once more, alone.
    suspects: VecDeque<RefusedDelivery>,
    alone: bool,
    name: String,
    metrics: Arc<OperatorMetrics>,
}

struct Client {
    // Before the producer: must go first.
    queue: WakingQueue,
    producer: Arc<Producer>,
}

#[derive(Default)]
struct InFlight {
    messages: usize,
    size: usize,
}

impl<T: Data> KafkaWriter<T> {
    /// The writer of the sink of this name, for the subtask of `cx`. It begins to look for the brokers and
    /// the topic.
    ///
    /// # Errors
    /// Options that the client refuses.
    pub(crate) fn open(
        options: Arc<KafkaSinkOptions>,
        mapping: Arc<Mapping<T>>,
        shorten: Option<Arc<Shorten>>,
        name: &str,
        cx: &OpenContext,
    ) -> Result<Self> {
        let created = producer_config(&options, &cx.job).create_with_context(Deliveries::default());
        let producer: Arc<Producer> = Arc::new(created.map_err(ConnectorError::of_creation)?);
        let queue = WakingQueue::of_events(producer.client().native_ptr(), &cx.waker);
        let mut writer = Self {
            outage: Outage::of(&options.brokers, cx),
            options,
            mapping,
            shorten,
            message: Message::default(),
            client: Client { queue, producer },
            started: Completions::default(),
            started_at: 0,
            in_flight: InFlight::default(),
            suspects: VecDeque::new(),
            alone: false,
            name: name.to_owned(),
            metrics: cx.metrics_of(name),
        };
        writer.metrics.set_system(&Outage::subject(&writer.options.brokers));
        writer.check_start(cx.io.as_ref(), &cx.waker);
        Ok(writer)
    }

    // Whether brokers and topic are there is asked beside the hot path.
    fn check_start(&mut self, io: &dyn Io, waker: &Waker) {
        let (options, producer) = (Arc::clone(&self.options), Arc::clone(&self.client.producer));
        self.started.spawn_blocking(io, waker, move || {
            let patience = Patience::new(&options.brokers, options.connect_timeout);
            check_topic(&producer, &options.topic, &patience)
        });
    }

    fn send(&mut self, message: &Message, ingest: Nanos) -> Result<(), RDKafkaErrorCode> {
        let parts = message.parts();
        let sent = self.client.producer.send(record(&self.options.topic, parts, ingest));
        sent.map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail))?;
        self.in_flight.messages += 1;
        self.in_flight.size += parts.size();
        Ok(())
    }

    fn send_or_refuse(
        &mut self,
        cx: &Context<'_>,
        message: &Message,
        ingest: Nanos,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        let Err(code) = self.send(message, ingest) else { return Ok(()) };
        if delivery_verdict(code) != DeliveryVerdict::Refused {
            return Err(self.error(code).into());
        }
        self.refuse(cx, RefusedDelivery { code, message: message.clone(), ingest }, dead);
        Ok(())
    }

    fn refuse(&mut self, cx: &Context<'_>, refused: RefusedDelivery, dead: &mut Rows<DeadLetter>) {
        let RefusedDelivery { code, message, ingest } = refused;
        if let Some(value) = self.shorter(code, message.parts().value) {
            self.suspects.push_front(RefusedDelivery { code, message: message.with_value(value), ingest });
            return;
        }
        let reason = format!("Kafka refuses it for topic {}: {code}", self.options.topic);
        let letter = DeadLetter::of_value(&self.name, "kafka", message.into_value(), cx.now(), reason);
        dead.push(letter, cx.now());
    }

    fn shorter(&self, code: RDKafkaErrorCode, value: &[u8]) -> Option<Vec<u8>> {
        let shorter = self.shorten.as_ref().filter(|_| is_too_large(code))?(value)?;
        self.metrics.counter("shortened").add(1);
        Some(shorter)
    }

    fn error(&self, code: RDKafkaErrorCode) -> ConnectorError {
        ConnectorError::of_refusal(code, &self.options.topic, &self.options.brokers)
    }

    // Everything that happened since the last call, and what follows from it.
    fn attend(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        for started in self.started.drain()? {
            self.has_started(cx, started)?;
        }
        self.look_at_events(cx.nanos())?;
        self.take_reports(cx, dead)?;
        self.send_suspects(cx, dead)?;
        let starting = self.started.in_flight() > 0;
        let full = self.in_flight.size >= self.options.buffer_size;
        let blocked = full || starting || !self.suspects.is_empty() || self.alone;
        let waits = self.in_flight.messages > 0 || self.started.in_flight() > 0;
        Ok(Step { blocked, wake_at: waits.then(|| cx.now() + LOOK_AGAIN_MS), ..Step::DONE })
    }

    // Brokers that are away, or not to be reached, are waited for.
    fn has_started(&mut self, cx: &Context<'_>, started: Result<(), ConnectorError>) -> Result<()> {
        match started {
            Ok(()) => {
                self.started_at = cx.nanos();
                self.outage.answered(cx.nanos());
            }
            Err(error) if error.is_of_the_network() => {
                self.outage.failed(cx.nanos(), &error);
                self.check_start(cx.io().as_ref(), cx.waker());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn look_at_events(&mut self, nanos: Nanos) -> Result<()> {
        let client = &self.client;
        for _ in 0..client.queue.len().min(EVENTS_PER_CALL) {
            client.producer.attend(Duration::ZERO);
        }
        // Until the start was checked, the check itself looks at what the client says.
        while self.started.in_flight() == 0
            && let Some(error) = client.producer.events().next()
        {
            self.metrics.counter("kafkaErrors").add(1);
            // A writer without messages misses no broker, and would not notice when the brokers are back.
            if self.in_flight.messages > 0 {
                self.outage.note(nanos, &error, client.producer.events());
            }
            let reason = error.reason;
            match error_class(error.code) {
                ErrorClass::Login => {
                    return Err(
                        ConnectorError::LoginLost { brokers: self.options.brokers.clone(), reason }.into()
                    );
                }
                ErrorClass::Fatal => return Err(ConnectorError::Fatal { reason }.into()),
                ErrorClass::Passing
                | ErrorClass::NotAllowed
                | ErrorClass::OutOfRange
                | ErrorClass::Gone
                | ErrorClass::Damaged => {}
            }
        }
        Ok(())
    }

    fn take_reports(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<()> {
        let reports = self.client.producer.context().take();
        let now = cx.nanos();
        let by_a_broker = |refused: &RefusedDelivery| {
            !matches!(delivery_verdict(refused.code), DeliveryVerdict::GaveUp | DeliveryVerdict::Closing)
        };
        if !reports.written.is_empty() || reports.refused.iter().any(by_a_broker) {
            self.outage.answered(now);
        }
        for written in reports.written {
            self.in_flight.messages -= written.messages;
            self.in_flight.size -= written.size;
            self.metrics.bytes_out.add(written.bytes as u64);
            self.metrics.latency.record(now.saturating_sub(written.ingest), written.messages as u64);
        }
        for refused in reports.refused {
            self.in_flight.messages -= 1;
            self.in_flight.size -= refused.message.parts().size();
            self.judge(cx, refused, dead)?;
        }
        Ok(())
    }

    fn judge(
        &mut self,
        cx: &Context<'_>,
        refused: RefusedDelivery,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<()> {
        match delivery_verdict(refused.code) {
            DeliveryVerdict::Refused if self.alone => self.refuse(cx, refused, dead),
            DeliveryVerdict::Refused => self.suspects.push_back(refused),
            DeliveryVerdict::GaveUp if self.waited_for_the_start(cx.nanos()) => {
                self.send_or_refuse(cx, &refused.message, refused.ingest, dead)?;
            }
            DeliveryVerdict::RefusedAlong => {
                self.send_or_refuse(cx, &refused.message, refused.ingest, dead)?;
            }
            DeliveryVerdict::Closing => {}
            DeliveryVerdict::UnknownTopic | DeliveryVerdict::NotAllowed | DeliveryVerdict::GaveUp => {
                return Err(self.error(refused.code).into());
            }
        }
        Ok(())
    }

    // Whether a message whose time is up now has spent a part of it before any broker answered: its time begins
    // anew then.
    fn waited_for_the_start(&self, now: Nanos) -> bool {
        let time = self.options.delivery_timeout.as_nanos();
        self.started.in_flight() > 0 || u128::from(now.saturating_sub(self.started_at)) < time
    }

    fn send_suspects(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<()> {
        if self.in_flight.messages > 0 {
            return Ok(());
        }
        self.alone = false;
        while self.in_flight.messages == 0
            && let Some(suspect) = self.suspects.pop_front()
        {
            self.send_or_refuse(cx, &suspect.message, suspect.ingest, dead)?;
            self.alone = self.in_flight.messages == 1;
        }
        Ok(())
    }
}

fn record<'a>(topic: &'a str, parts: Parts<'a>, ingest: Nanos) -> BaseRecord<'a, [u8], [u8], Box<Sent>> {
    let sent = Box::new(Sent { ingest, time: parts.time });
    let mut record = BaseRecord::with_opaque_to(topic, sent).payload(parts.value);
    (record.key, record.partition, record.timestamp) = (parts.key, parts.partition, parts.time);
    record
}

impl<T: Data> SinkWriter<T> for KafkaWriter<T> {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        // Others may now share a request with what was to be alone in it.
        self.alone = self.alone && rows.is_empty();
        let (mapping, mut message) = (Arc::clone(&self.mapping), std::mem::take(&mut self.message));
        for (record, time) in rows.drain() {
            message.clear();
            mapping(&record, time, &mut message);
            self.send_or_refuse(cx, &message, cx.ingest, dead)?;
        }
        self.message = message;
        self.attend(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.attend(cx, dead)
    }

    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        let step = self.attend(cx, dead)?;
        let complete = self.in_flight.messages == 0 && self.suspects.is_empty();
        Ok(Step { blocked: !complete, ..step })
    }

    // A flush came before: nothing is on its way.
    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }
}
