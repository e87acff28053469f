//! The writer of one subtask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::io::Completions;
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::{Budget, Context, OpenContext, Rows, Step};

use super::group::MarkerOffset;
use super::interval::Interval;
use super::ledger::Ledger;
use super::marker::Marker;
use super::start::{Start, Started};
use super::transaction::{RefusedOutput, Transactions};
use super::writer_id::{WriterId, looked_after};
use crate::encode::Message;
use crate::outage::Outage;
use crate::retry::ConnectorError;
use crate::sink::Mapping;
use crate::sink_config::KafkaSinkOptions;

/// The list of all writer ids that there ever were: each subtask gets all of it and picks those that it looks
/// after.
const WRITER_IDS: &str = "origins";

/// The writer of a [`KafkaSink`](crate::KafkaSink) that writes exactly once.
pub(crate) struct TransactionalWriter<T> {
    options: Arc<KafkaSinkOptions>,
    mapping: Arc<Mapping<T>>,
    message: Message,
    name: String,
    attempt: u64,
    writer_ids: Vec<Arc<WriterId>>,
    ledger: Ledger,
    // None until the start, which blocks, is done.
    started: Option<Arc<(Transactions, MarkerOffset)>>,
    tasks: Completions<Result<Done, ConnectorError>>,
    closed: Arc<AtomicBool>,
    warned: bool,
    metrics: Arc<OperatorMetrics>,
}

enum Done {
    Started(Box<Started>),
    Written { intervals: Vec<Arc<Interval>>, refused: Vec<RefusedOutput> },
}

impl<T: Data> TransactionalWriter<T> {
    /// The writer of the sink of this name, for the subtask of `cx`. It begins to take up the output of
    /// earlier attempts.
    ///
    /// # Errors
    /// A restored state that cannot be read, or that belongs to another subtask.
    pub(crate) fn open(
        options: Arc<KafkaSinkOptions>,
        mapping: Arc<Mapping<T>>,
        name: &str,
        cx: &mut OpenContext,
    ) -> Result<Self> {
        let writer_ids = restored_writer_ids(&options, name, cx)?;
        let restored = restored_output(name, cx)?;
        let mut writer = Self {
            options,
            mapping,
            message: Message::default(),
            name: name.to_owned(),
            attempt: cx.epoch,
            ledger: Ledger::new(Arc::clone(&writer_ids[0]), cx.epoch),
            writer_ids,
            started: None,
            tasks: Completions::default(),
            closed: Arc::default(),
            warned: false,
            metrics: cx.metrics_of(name),
        };
        writer.metrics.set_system(&Outage::subject(&writer.options.brokers));
        writer.start(restored, cx);
        Ok(writer)
    }

    fn start(&mut self, restored: Vec<Arc<Interval>>, cx: &OpenContext) {
        let start = Start {
            options: Arc::clone(&self.options),
            job: cx.job.clone(),
            attempt: cx.epoch,
            writer_ids: self.writer_ids.clone(),
            restored,
            closed: Arc::clone(&self.closed),
        };
        let run = move || Ok(Done::Started(Box::new(start.run()?)));
        self.tasks.spawn_blocking(cx.io.as_ref(), &cx.waker, run);
    }

    // Everything that happened since the last call, and what follows from it.
    fn attend(&mut self, cx: &Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        for done in self.tasks.drain()? {
            match done? {
                Done::Started(started) => self.begin(cx, *started, dead),
                Done::Written { intervals, refused } => {
                    self.count(cx, &intervals);
                    self.bury(cx, refused, dead);
                    self.ledger.written();
                }
            }
        }
        self.write_due(cx);
        if let Some(started) = self.started.as_ref().filter(|_| self.tasks.in_flight() == 0) {
            started.0.attend();
        }
        Ok(Step { blocked: self.is_full(), ..Step::DONE })
    }

    fn is_full(&mut self) -> bool {
        let limit = self.options.max_interval_bytes;
        let full = self.ledger.bytes() >= limit;
        if full && !self.warned {
            tracing::warn!(
                sink = self.name,
                limit,
                "the input is held back until a checkpoint completes: take checkpoints more often, or raise `max-interval-bytes`"
            );
        }
        self.warned = full;
        full
    }

    fn begin(&mut self, cx: &Context<'_>, started: Started, dead: &mut Rows<DeadLetter>) {
        let Started { transactions, place, refused } = started;
        self.bury(cx, refused, dead);
        self.started = Some(Arc::new((transactions, place)));
    }

    fn write_due(&mut self, cx: &Context<'_>) {
        let Some(started) = self.started.clone() else { return };
        let attempt = self.attempt;
        let Some(intervals) = self.ledger.next() else { return };
        self.tasks.spawn_blocking(cx.io().as_ref(), cx.waker(), move || {
            let (transactions, place) = &*started;
            let written = intervals.last().map(|interval| interval.stamp);
            let refused = transactions.write(&intervals, place, Marker { attempt, written })?;
            Ok(Done::Written { intervals, refused })
        });
    }

    fn count(&self, cx: &Context<'_>, intervals: &[Arc<Interval>]) {
        let now = cx.nanos();
        self.metrics.counter("transactions").add(1);
        for interval in intervals {
            self.metrics.bytes_out.add(interval.bytes() as u64);
            for (ingest, count) in &interval.ingest {
                self.metrics.latency.record(now.saturating_sub(*ingest), *count);
            }
        }
    }

    fn bury(&self, cx: &Context<'_>, refused: Vec<RefusedOutput>, dead: &mut Rows<DeadLetter>) {
        for RefusedOutput { message, code } in refused {
            let reason = format!("Kafka refuses it for topic {}: {code}", self.options.topic);
            let letter = DeadLetter::of_value(&self.name, "kafka", message.into_value(), cx.now(), reason);
            dead.push(letter, cx.now());
        }
    }
}

impl<T: Data> SinkWriter<T> for TransactionalWriter<T> {
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        let (mapping, mut message) = (Arc::clone(&self.mapping), std::mem::take(&mut self.message));
        let ledger = &mut self.ledger;
        for (record, time) in rows.drain() {
            message.clear();
            mapping(&record, time, &mut message);
            ledger.push(message.parts(), cx.ingest);
        }
        self.message = message;
        self.attend(cx, dead)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        self.attend(cx, dead)
    }

    // What was taken waits for its checkpoint, and what is being written for the brokers.
    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step> {
        let step = self.attend(cx, dead)?;
        Ok(Step { blocked: self.tasks.in_flight() > 0, ..step })
    }

    // All that is not written is part of the snapshot. But it is none before the marker says that this
    // attempt is here.
    fn prepare(
        &mut self,
        cx: &mut Context<'_>,
        id: CheckpointId,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        if self.ledger.is_complete(id) {
            return self.flush(cx, dead);
        }
        let step = self.attend(cx, dead)?;
        Ok(Step { blocked: self.started.is_none(), ..step })
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let items = self.writer_ids.iter().map(|writer_id| writer_id.encode()).collect();
        let (operator, state) = (self.name.clone(), WRITER_IDS.to_owned());
        frozen.lists.push(OperatorList { operator, state, items, redistribute: Redistribute::Union });
        let name = self.name.clone();
        let intervals = self.ledger.freeze(id);
        frozen.commits.extend(intervals.flat_map(|interval| interval.freeze(&name)));
        Ok(())
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.ledger.completed(id);
        self.write_due(cx);
        Ok(())
    }
}

// A start that is still going on leaves the transactional ids to whoever comes next.
impl<T> Drop for TransactionalWriter<T> {
    fn drop(&mut self) {
        self.closed.store(true, Relaxed);
    }
}

fn restored_writer_ids(
    options: &KafkaSinkOptions,
    name: &str,
    cx: &mut OpenContext,
) -> Result<Vec<Arc<WriterId>>> {
    let items = cx.restored.take_list(name, WRITER_IDS);
    let known: Result<Vec<_>> = items.iter().map(|item| WriterId::decode(item)).collect();
    let known = known.map_err(|error| Error::from(ConnectorError::SinkState).caused_by(error))?;
    let sink = format!("{}-{}-{name}", options.transactional_id_prefix, cx.job);
    let place = (sink.as_str(), options.topic.as_str());
    let writer_ids = looked_after(&known, place, (cx.subtask, cx.parallelism), cx.clock.now());
    Ok(writer_ids.into_iter().map(Arc::new).collect())
}

fn restored_output(name: &str, cx: &mut OpenContext) -> Result<Vec<Arc<Interval>>> {
    let intervals = Interval::thaw(&cx.restored.take_commits(name));
    let intervals = intervals.map_err(|error| Error::from(ConnectorError::SinkState).caused_by(error))?;
    let (subtask, parallelism) = (cx.subtask, cx.parallelism);
    let stray = intervals.iter().find(|interval| interval.writer_id.subtask % parallelism != subtask);
    if let Some(interval) = stray {
        return Err(
            ConnectorError::Misdealt { owner: interval.writer_id.subtask, subtask, parallelism }.into()
        );
    }
    Ok(intervals.into_iter().map(Arc::new).collect())
}
