//! Writes intervals in transactions of one transactional id. Its calls block: they belong where blocking
//! calls may run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::Result;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig};

use super::group::{Group, MarkerOffset};
use super::interval::Interval;
use super::marker::Marker;
use super::reports::{Producer, Reports};
use super::writer_id::WriterId;
use crate::client::{Patience, SLICE, transactional_config};
use crate::encode::{Message, Parts};
use crate::retry::{
    ConnectorError, DeliveryVerdict, TransactionVerdict, delivery_verdict, transaction_verdict,
};
use crate::sink_config::KafkaSinkOptions;

/// How often the client's reports are looked at while messages are handed to it.
const MESSAGES_PER_LOOK: usize = 256;

/// The pause before a transaction is tried once more.
const PAUSE: Duration = Duration::from_millis(200);

/// How often, with a pause each, it is looked who has fenced this writer.
const LOOKS_FOR_NEWER: u32 = 5;

/// The one writer with a writer id, once its transactional id is initialised.
pub(crate) struct Transactions {
    options: Arc<KafkaSinkOptions>,
    job: String,
    writer_id: Arc<WriterId>,
    attempt: u64,
    client: Producer,
}

/// A message that Kafka refuses for ever.
#[derive(Debug)]
pub(crate) struct RefusedOutput {
    pub(crate) message: Message,
    pub(crate) code: Code,
}

// Why a transaction was not committed.
enum Setback {
    // To be aborted and written again.
    Again(String),
    // Nothing more to be done here.
    Over(ConnectorError),
}

impl From<ConnectorError> for Setback {
    fn from(error: ConnectorError) -> Self {
        Self::Over(error)
    }
}

// Which messages are to blame: by place, found out by writing suspects alone.
#[derive(Default)]
struct Blame {
    suspects: BTreeSet<usize>,
    guilty: BTreeSet<usize>,
    refused: Vec<RefusedOutput>,
}

impl Transactions {
    /// Initialises the transactional id of a writer id: ends what is open under it, and fences every earlier
    /// user.
    ///
    /// # Errors
    /// When the brokers cannot be reached or refuse it.
    pub(crate) fn open(
        options: &Arc<KafkaSinkOptions>,
        job: &str,
        writer_id: &Arc<WriterId>,
        attempt: u64,
    ) -> Result<Self, ConnectorError> {
        let config = transactional_config(options, job, &writer_id.transactional_id());
        let client: Producer =
            config.create_with_context(Reports::default()).map_err(ConnectorError::of_creation)?;
        let (options, job, writer_id) = (Arc::clone(options), job.to_owned(), Arc::clone(writer_id));
        let new = Self { options, job, writer_id, attempt, client };
        new.initialise(&Patience::new(&new.options.brokers, new.options.connect_timeout))?;
        Ok(new)
    }

    fn initialise(&self, patience: &Patience) -> Result<(), ConnectorError> {
        patience.partitions(&self.client, &self.options.topic)?;
        while let Err(error) = self.client.init_transactions(SLICE) {
            match transaction_verdict(&error) {
                TransactionVerdict::Repeat | TransactionVerdict::Abort => {
                    patience.go_on_after(&self.client, &error)?;
                }
                verdict => return Err(self.error(verdict, &error)),
            }
        }
        Ok(())
    }

    /// Writes intervals and moves the marker, all in one transaction; gives the messages that were left out
    /// of it because no broker will ever take them.
    ///
    /// # Errors
    /// When it was not committed, or nobody knows: then the marker tells the next attempt.
    pub(crate) fn write(
        &self,
        intervals: &[Arc<Interval>],
        place: &MarkerOffset,
        marker: Marker,
    ) -> Result<Vec<RefusedOutput>, ConnectorError> {
        let patience = Patience::new(&self.options.brokers, self.options.delivery_timeout);
        let mut blame = Blame::default();
        loop {
            match self.try_write(intervals, place, marker, &mut blame, &patience) {
                Ok(()) => return Ok(blame.refused),
                Err(Setback::Over(error)) => return Err(error),
                Err(Setback::Again(reason)) => {
                    self.judge(intervals, &mut blame)?;
                    self.abort(&reason, &patience)?;
                }
            }
        }
    }

    fn try_write(
        &self,
        intervals: &[Arc<Interval>],
        place: &MarkerOffset,
        marker: Marker,
        blame: &mut Blame,
        patience: &Patience,
    ) -> Result<(), Setback> {
        self.step(patience, |_| self.client.begin_transaction())?;
        let messages = intervals.iter().flat_map(|interval| interval.messages());
        for (number, parts) in messages.enumerate() {
            self.send(number, parts, blame, patience)?;
        }
        self.deliver(patience)?;
        let offsets = place.offsets(marker);
        self.step(patience, |time| self.client.send_offsets_to_transaction(&offsets, &place.group, time))?;
        self.step(patience, |time| self.client.commit_transaction(time))
    }

    // Who is suspected shares no batch with others.
    fn send(
        &self,
        number: usize,
        parts: Parts<'_>,
        blame: &mut Blame,
        patience: &Patience,
    ) -> Result<(), Setback> {
        if blame.guilty.contains(&number) {
            return Ok(());
        }
        let alone = blame.suspects.contains(&number);
        if alone {
            self.step(patience, |time| self.client.flush(time))?;
        }
        while let Err((error, _)) = self.client.send(record(&self.writer_id.topic, parts, number)) {
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            match (code, delivery_verdict(code)) {
                (Code::QueueFull, _) if !patience.is_over() => self.client.poll(PAUSE),
                (_, DeliveryVerdict::Refused) => {
                    blame.condemn(number, parts, code);
                    break;
                }
                _ => return Err(Setback::Again(code.to_string())),
            }
        }
        if alone {
            self.step(patience, |time| self.client.flush(time))?;
        } else if number.is_multiple_of(MESSAGES_PER_LOOK) {
            self.client.poll(Duration::ZERO);
        }
        Ok(())
    }

    // Waits until every message was reported.
    fn deliver(&self, patience: &Patience) -> Result<(), Setback> {
        self.step(patience, |time| self.client.flush(time))?;
        if self.client.context().is_empty() {
            return Ok(());
        }
        Err(Setback::Again("messages were not written".to_owned()))
    }

    // Which messages are to blame for a transaction that was not committed?
    fn judge(&self, intervals: &[Arc<Interval>], blame: &mut Blame) -> Result<(), ConnectorError> {
        for (number, code) in self.client.context().take() {
            match delivery_verdict(code) {
                DeliveryVerdict::Refused if blame.suspects.contains(&number) => {
                    let parts = intervals.iter().flat_map(|interval| interval.messages()).nth(number);
                    blame.condemn(number, parts.expect("it was sent from there"), code);
                }
                DeliveryVerdict::Refused => drop(blame.suspects.insert(number)),
                DeliveryVerdict::UnknownTopic | DeliveryVerdict::NotAllowed => {
                    return Err(ConnectorError::of_refusal(code, &self.options.topic, &self.options.brokers));
                }
                DeliveryVerdict::RefusedAlong | DeliveryVerdict::Closing | DeliveryVerdict::GaveUp => {}
            }
        }
        Ok(())
    }

    // One call, repeated while the client says that it may succeed.
    fn step(
        &self,
        patience: &Patience,
        mut call: impl FnMut(Duration) -> KafkaResult<()>,
    ) -> Result<(), Setback> {
        while let Err(error) = call(SLICE) {
            match transaction_verdict(&error) {
                TransactionVerdict::Repeat if patience.is_over() => {
                    return Err(self.gave_up(&error.to_string()).into());
                }
                TransactionVerdict::Repeat => self.client.poll(PAUSE),
                TransactionVerdict::Abort => return Err(Setback::Again(error.to_string())),
                verdict => return Err(self.error(verdict, &error).into()),
            }
        }
        Ok(())
    }

    fn abort(&self, reason: &str, patience: &Patience) -> Result<(), ConnectorError> {
        tracing::warn!(
            id = self.writer_id.transactional_id(),
            "a transaction is aborted and written again: {reason}"
        );
        self.client.purge(PurgeConfig::default().queue().inflight());
        let aborted = self.step(patience, |time| {
            self.client.flush(time)?;
            self.client.abort_transaction(time)
        });
        match aborted {
            Ok(()) => {}
            Err(Setback::Over(error)) => return Err(error),
            Err(Setback::Again(reason)) => return Err(self.gave_up(&reason)),
        }
        // Of the transaction that is no more.
        drop(self.client.context().take());
        if patience.is_over() {
            return Err(self.gave_up(reason));
        }
        self.client.poll(PAUSE);
        Ok(())
    }

    fn gave_up(&self, reason: &str) -> ConnectorError {
        let (topic, reason) = (self.writer_id.topic.clone(), reason.to_owned());
        ConnectorError::NotCommitted { topic, seconds: self.options.delivery_timeout.as_secs(), reason }
    }

    fn error(&self, verdict: TransactionVerdict, error: &KafkaError) -> ConnectorError {
        let (id, reason) = (self.writer_id.transactional_id(), error.to_string());
        match verdict {
            TransactionVerdict::Fenced => self.fenced(reason),
            TransactionVerdict::NotAllowed => ConnectorError::TransactionsNotAllowed { id, reason },
            TransactionVerdict::TimeoutTooLong => {
                ConnectorError::TimeoutTooLong { timeout: self.options.transaction_timeout.as_secs() }
            }
            TransactionVerdict::Repeat | TransactionVerdict::Abort | TransactionVerdict::Fatal => {
                ConnectorError::Fatal { reason }
            }
        }
    }

    // By whom? A newer attempt leaves its number in the marker, right after it has initialised the id.
    fn fenced(&self, reason: String) -> ConnectorError {
        let id = self.writer_id.transactional_id();
        let patience = Patience::new(&self.options.brokers, self.options.connect_timeout);
        let Ok(group) = Group::new(&self.options, &self.job, &self.writer_id) else {
            return ConnectorError::TakenOver { id, reason };
        };
        for _ in 0..LOOKS_FOR_NEWER {
            if let Ok(Some(Marker { attempt, .. })) = group.read(&patience)
                && attempt > self.attempt
            {
                return ConnectorError::Fenced { id, attempt: self.attempt, newer: attempt };
            }
            self.client.poll(PAUSE);
        }
        ConnectorError::TakenOver { id, reason }
    }

    /// The transactional id.
    pub(crate) fn id(&self) -> String {
        self.writer_id.transactional_id()
    }

    /// Looks at what the client has to say while nothing is written.
    pub(crate) fn attend(&self) {
        self.client.poll(Duration::ZERO);
    }
}

impl Blame {
    fn condemn(&mut self, number: usize, parts: Parts<'_>, code: Code) {
        if self.guilty.insert(number) {
            self.refused.push(RefusedOutput { message: parts.to_message(), code });
        }
    }
}

fn record<'a>(topic: &'a str, parts: Parts<'a>, number: usize) -> BaseRecord<'a, [u8], [u8], usize> {
    let mut record = BaseRecord::with_opaque_to(topic, number).payload(parts.value);
    (record.key, record.partition, record.timestamp) = (parts.key, parts.partition, parts.time);
    record
}
