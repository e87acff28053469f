//! Reads the partitions of one subtask.

mod lookout;
mod setbacks;

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream_record::Result;
use millstream_stage::metrics::{Counter, OperatorMetrics};
use millstream_stage::raw::RawBatch;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{Polled, Split, SplitReader};
use millstream_stage::split::SplitId;
use millstream_stage::time::{MIN_TIME, Nanos, Time};
use millstream_stage::{Budget, Context, OpenContext, Rows};
use rdkafka::TopicPartitionList;

use crate::client::{Peer, reading_config};
use crate::config::KafkaSourceOptions;
use crate::fetch::Fetcher;
use crate::lasting::{Lasting, Reminder};
use crate::native::NativeConsumer;
use crate::offset_committer::Committer;
use crate::outage::Outage;
use crate::partition::Partition;
use crate::partitions::{Handed, Partitions};
use crate::retry::{ConnectorError, ErrorClass, error_class};

/// The waker announces all that happens; this is for the case that it does not.
const LOOK_AGAIN_MS: Time = 500;

/// The reader of a [`KafkaSource`](crate::KafkaSource).
pub(crate) struct KafkaReader {
    options: Arc<KafkaSourceOptions>,
    job: String,
    waker: Waker,
    fetcher: Option<Fetcher>,
    partitions: Partitions,
    committer: Option<Committer>,
    troubles: Arc<Counter>,
    missing: Arc<Counter>,
    tombstones: Arc<Counter>,
    metrics: Arc<OperatorMetrics>,
    outage: Outage,
    look_out_at: Time,
    // There are partitions of which no broker has said anything.
    unheard: Lasting,
    // A partition is started again and again.
    waits: Reminder,
    // Errors that the client rides out.
    passing: Reminder,
    // No broker tells the ids of topics.
    unsaid: Reminder,
}

impl KafkaReader {
    /// The reader of the source of this name, for the subtask of `cx`.
    pub(crate) fn new(options: Arc<KafkaSourceOptions>, name: &str, cx: &OpenContext) -> Self {
        let metrics = cx.metrics_of(name);
        Self {
            job: cx.job.clone(),
            waker: cx.waker.clone(),
            fetcher: None,
            partitions: Partitions::default(),
            committer: Committer::new(&options, &cx.job, Arc::clone(&metrics)),
            troubles: metrics.counter("kafkaErrors"),
            missing: metrics.counter("missingOffsets"),
            tombstones: metrics.counter("tombstones"),
            metrics,
            outage: Outage::of(&options.brokers, cx),
            options,
            look_out_at: MIN_TIME,
            unheard: Lasting::default(),
            waits: Reminder::default(),
            passing: Reminder::default(),
            unsaid: Reminder::default(),
        }
    }

    // Made with the first split: a subtask without any needs no connections.
    fn fetcher(&mut self) -> Result<&mut Fetcher> {
        if self.fetcher.is_none() {
            let client = NativeConsumer::new(&reading_config(&self.options, &self.job));
            self.fetcher = Some(Fetcher::new(client.map_err(ConnectorError::of_creation)?, &self.waker));
        }
        Ok(self.fetcher.as_mut().expect("made above"))
    }

    fn add(&mut self, split: &Split) -> Result<()> {
        let mut partition = Partition::new(split)?;
        if partition.split.is_empty() {
            partition.doubt = None;
            let index = self.partitions.add(partition);
            self.partitions.end(index);
            return Ok(());
        }
        let index = self.partitions.add(partition);
        self.start(index)
    }

    fn start(&mut self, index: usize) -> Result<()> {
        let partition = self.partitions.get(index);
        let (id, from) = (Arc::clone(&partition.id), partition.split.clone());
        let fetcher = self.fetcher()?;
        fetcher.identity().ask_at_once();
        let started = fetcher.start(&from.topic, from.partition, from.next);
        let refused = |code| ConnectorError::NotStarted { split: id.to_string(), offset: from.next, code };
        let topic = Some(started.map_err(refused)?);
        let partition = self.partitions.get_mut(index);
        (partition.topic, partition.again_at) = (topic, None);
        Ok(())
    }

    fn stop(&mut self, index: usize) {
        let partition = self.partitions.get_mut(index);
        let number = partition.split.partition;
        if let (Some(topic), Some(fetcher)) = (partition.topic.take(), &mut self.fetcher) {
            fetcher.stop(topic, number);
        }
    }

    // What the client says about itself: most of it passes.
    fn attend(&mut self, now: Time, nanos: Nanos) -> Result<()> {
        let Some(fetcher) = &self.fetcher else { return Ok(()) };
        let mut gone = false;
        if fetcher.waiting_events() > 0 {
            fetcher.client().attend(Duration::ZERO);
        }
        while let Some(error) = fetcher.client().events().next() {
            self.troubles.add(1);
            self.outage.note(nanos, &error, fetcher.client().events());
            let (brokers, reason) = (self.options.brokers.clone(), error.reason);
            match error_class(error.code) {
                ErrorClass::Login => return Err(ConnectorError::LoginLost { brokers, reason }.into()),
                ErrorClass::Fatal => return Err(ConnectorError::Fatal { reason }.into()),
                ErrorClass::Gone => gone = true,
                ErrorClass::Passing
                | ErrorClass::NotAllowed
                | ErrorClass::OutOfRange
                | ErrorClass::Damaged => {}
            }
        }
        if gone {
            self.doubt_all(now);
        }
        Ok(())
    }

    fn fetch(&mut self, now: Time, budget: Budget) -> Result<()> {
        let Some(fetcher) = &mut self.fetcher else { return Ok(()) };
        let messages = fetcher.fetch(budget.records.clamp(1, self.options.poll_messages));
        let failed = self.partitions.take(messages.as_slice(), now);
        drop(messages);
        self.stop_ended();
        failed.into_iter().try_for_each(|failed| self.fail(now, failed))?;
        let open = self.partitions.all().filter(|partition| !partition.finished);
        if let Some(fetcher) = &mut self.fetcher {
            fetcher.ask_for_ids(now, open);
        }
        Ok(())
    }

    fn stop_ended(&mut self) {
        let Some(fetcher) = &mut self.fetcher else { return };
        for partition in self.partitions.ended() {
            if let Some(topic) = partition.topic.take() {
                fetcher.stop(topic, partition.split.partition);
            }
        }
    }

    fn hand_on(&mut self, rows: &mut Rows<RawBatch>) -> Option<Polled> {
        let handed = self.partitions.hand_on();
        self.tombstones.add(self.partitions.take_tombstones());
        Some(match handed? {
            Handed::Batch(batch) => {
                let split = Arc::clone(&batch.split);
                rows.push(batch, MIN_TIME);
                Polled::Rows(split)
            }
            Handed::End(split) => Polled::Finished(split),
        })
    }

    fn pause_or_resume(&mut self, splits: &[SplitId], paused: bool) {
        let mut list = TopicPartitionList::new();
        for partition in self.partitions.named(splits) {
            partition.paused = paused;
            if partition.topic.is_some() {
                list.add_partition(&partition.split.topic, partition.split.partition);
            }
        }
        let Some(fetcher) = &self.fetcher else { return };
        let done = fetcher.client().pause(&list, paused);
        // Nothing is lost: what is fetched of a paused split waits in the reader.
        if let Err(error) = done {
            tracing::warn!("the client did not pause or resume fetching: {error}");
        }
    }
}

impl SplitReader for KafkaReader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        splits.iter().try_for_each(|split| self.add(split))
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.pause_or_resume(splits, true);
    }

    fn resume(&mut self, splits: &[SplitId]) {
        self.pause_or_resume(splits, false);
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        let now = cx.now();
        self.attend(now, cx.nanos())?;
        self.settle_doubts(now, cx.nanos())?;
        self.start_again(now)?;
        self.look_out(now);
        if let Some(polled) = self.hand_on(rows) {
            return Ok(polled);
        }
        self.fetch(now, budget)?;
        let again = now.saturating_add(LOOK_AGAIN_MS);
        Ok(self.hand_on(rows).unwrap_or(Polled::Pending(Some(again))))
    }

    fn is_at_end(&self, split: &SplitId) -> bool {
        self.partitions.is_at_end(split) && !self.has_more(split)
    }

    fn knows_ends(&self) -> bool {
        true
    }

    fn snapshot(&mut self, id: CheckpointId) -> Result<Vec<Split>> {
        if let Some(committer) = &mut self.committer {
            committer.frozen(id, self.partitions.all().map(|partition| &partition.split));
        }
        Ok(self.partitions.snapshot())
    }

    fn completed(&mut self, id: CheckpointId) -> Result<()> {
        self.committer.as_mut().map_or(Ok(()), |committer| committer.completed(id))
    }
}
