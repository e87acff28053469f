//! Reads the partitions of one subtask.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use millstream_core::batch::SplitId;
use millstream_core::figures::{Counter, OperatorFigures};
use millstream_core::raw::RawBatch;
use millstream_core::snapshot::CheckpointId;
use millstream_core::source::{Polled, Split, SplitReader};
use millstream_core::time::{MIN_TIME, Time};
use millstream_core::{Budget, Context, Error, OpenContext, Result, Rows};
use rdkafka::TopicPartitionList;

use crate::client::{Peer, consumer_config};
use crate::committer::Committer;
use crate::config::{KafkaSourceOptions, MissingOffset};
use crate::fetch::Fetcher;
use crate::native::NativeConsumer;
use crate::partition::Partition;
use crate::partitions::{Failed, Handed, Partitions};
use crate::retry::{Fault, Trouble, trouble};

/// The waker announces all that happens; this is for the case that it does not.
const LOOK_AGAIN_MS: Time = 500;

/// The reader of a [`KafkaSource`](crate::KafkaSource).
pub(crate) struct KafkaReader {
    options: Arc<KafkaSourceOptions>,
    job: String,
    waker: Option<Waker>,
    fetcher: Option<Fetcher>,
    partitions: Partitions,
    committer: Option<Committer>,
    troubles: Arc<Counter>,
    missing: Arc<Counter>,
    figures: Arc<OperatorFigures>,
    // When to count what waits to be read.
    count_at: Time,
}

impl KafkaReader {
    pub(crate) fn new(options: Arc<KafkaSourceOptions>) -> Self {
        Self {
            options,
            job: String::new(),
            waker: None,
            fetcher: None,
            partitions: Partitions::default(),
            committer: None,
            troubles: Arc::default(),
            missing: Arc::default(),
            figures: OperatorFigures::new(""),
            count_at: MIN_TIME,
        }
    }

    // Made with the first split: a subtask without any needs no connections.
    fn fetcher(&mut self) -> Result<&mut Fetcher> {
        if self.fetcher.is_none() {
            let unopened = || Error::bug("a Kafka reader got splits before it was opened");
            let waker = self.waker.as_ref().ok_or_else(unopened)?;
            let client = NativeConsumer::new(&consumer_config(&self.options, &self.job));
            self.fetcher = Some(Fetcher::new(client.map_err(Fault::of_creation)?, waker));
        }
        Ok(self.fetcher.as_mut().expect("made above"))
    }

    fn add(&mut self, split: &Split) -> Result<()> {
        let mut partition = Partition::new(split)?;
        if partition.split.is_empty() {
            let index = self.partitions.add(partition);
            self.partitions.end(index);
            return Ok(());
        }
        let from = &partition.split;
        let started = self.fetcher()?.start(&from.topic, from.partition, from.next);
        let refused = |code| Fault::NotStarted { split: split.id.to_string(), offset: from.next, code };
        partition.topic = Some(started.map_err(refused)?);
        self.partitions.add(partition);
        Ok(())
    }

    // What the client says about itself: most of it passes.
    fn attend(&mut self) -> Result<()> {
        let Some(fetcher) = &self.fetcher else { return Ok(()) };
        if fetcher.waiting_events() > 0 {
            fetcher.client().attend(Duration::ZERO);
        }
        while let Some(error) = fetcher.client().events().next() {
            self.troubles.add(1);
            let (brokers, reason) = (self.options.brokers.clone(), error.reason);
            match trouble(error.code) {
                Trouble::Login => return Err(Fault::LoginLost { brokers, reason }.into()),
                Trouble::Fatal => return Err(Fault::Fatal { reason }.into()),
                Trouble::Gone => return Err(Fault::TopicGone { reason }.into()),
                Trouble::Passing | Trouble::NotAllowed | Trouble::OutOfRange | Trouble::Damaged => {}
            }
        }
        Ok(())
    }

    fn fetch(&mut self, budget: Budget) -> Result<()> {
        let Some(fetcher) = &mut self.fetcher else { return Ok(()) };
        let messages = fetcher.fetch(budget.records.clamp(1, self.options.poll_messages));
        let failed = self.partitions.take(messages.as_slice());
        drop(messages);
        self.stop_ended();
        failed.into_iter().try_for_each(|failed| self.fail(failed))
    }

    fn stop_ended(&mut self) {
        let Some(fetcher) = &mut self.fetcher else { return };
        for partition in self.partitions.ended() {
            if let Some(topic) = partition.topic.take() {
                fetcher.stop(topic, partition.split.partition);
            }
        }
    }

    fn fail(&mut self, failed: Failed) -> Result<()> {
        self.troubles.add(1);
        let Failed { partition, code, reason } = failed;
        let split = partition.map_or_else(String::new, |index| self.partitions.get(index).id.to_string());
        let trouble = trouble(code);
        if let (Trouble::OutOfRange, Some(index)) = (trouble, partition)
            && self.options.on_missing_offset != MissingOffset::Fail
        {
            return self.go_on_elsewhere(index);
        }
        let Some(index) = partition.filter(|_| trouble != Trouble::Passing) else {
            tracing::warn!(split, ?code, "{reason}");
            return Ok(());
        };
        let position = &self.partitions.get(index).split;
        let topic = position.topic.clone();
        Err(Error::from(match trouble {
            Trouble::OutOfRange => {
                Fault::OutOfRange { split, offset: position.next, range: self.shown_range(index) }
            }
            Trouble::Gone => Fault::PartitionGone { split },
            Trouble::Damaged => Fault::Damaged { split, reason },
            Trouble::NotAllowed => Fault::NotAllowed { topic, verb: "read", reason },
            Trouble::Login => Fault::LoginLost { brokers: self.options.brokers.clone(), reason },
            Trouble::Fatal | Trouble::Passing => Fault::Fatal { reason },
        }))
    }

    // As the options say. Never silently.
    fn go_on_elsewhere(&mut self, index: usize) -> Result<()> {
        let id = Arc::clone(&self.partitions.get(index).id);
        let Some((low, high)) = self.range(index) else {
            return Err(Fault::NoRange { split: id.to_string() }.into());
        };
        let next = if self.options.on_missing_offset == MissingOffset::Earliest { low } else { high };
        let partition = self.partitions.get_mut(index);
        let (topic, number) = (partition.split.topic.clone(), partition.split.partition);
        tracing::warn!(
            topic,
            partition = number,
            offset = partition.split.next,
            "the stored offset is not in the topic, which holds {low} up to {high}: by `on-missing-offset` it is read from {next} on"
        );
        partition.split.next = next;
        // A topic that was created anew may never become as long as the old one was.
        partition.split.stop = partition.split.stop.map(|stop| stop.min(high));
        let over = partition.split.is_empty();
        let fetching = partition.topic.take();
        self.missing.add(1);
        if let (Some(fetcher), Some(handle)) = (&mut self.fetcher, fetching) {
            fetcher.stop(handle, number);
        }
        if over {
            self.partitions.end(index);
            return Ok(());
        }
        let started = self.fetcher()?.start(&topic, number, next);
        let refused = |code| Fault::NotStarted { split: id.to_string(), offset: next, code };
        self.partitions.get_mut(index).topic = Some(started.map_err(refused)?);
        Ok(())
    }

    // What there is of a partition. The job is ending, or jumping, anyway: worth a short wait.
    fn range(&self, index: usize) -> Option<(i64, i64)> {
        let split = &self.partitions.get(index).split;
        let fetcher = self.fetcher.as_ref()?;
        fetcher.client().range(&split.topic, split.partition, Duration::from_secs(1)).ok()
    }

    fn shown_range(&self, index: usize) -> String {
        self.range(index).map_or_else(String::new, |(low, high)| format!(", which holds {low} up to {high}"))
    }

    // Of all partitions whose broker has answered yet. Markers of transactions count too: they have offsets.
    fn count_pending(&mut self, now: Time) {
        if now < self.count_at {
            return;
        }
        self.count_at = now.saturating_add(LOOK_AGAIN_MS);
        let Some(fetcher) = &self.fetcher else { return };
        let pending = |partition: &Partition| {
            let split = &partition.split;
            let (low, high) = fetcher.client().known_range(&split.topic, split.partition)?;
            Some(split.stop.map_or(high, |stop| high.min(stop)).saturating_sub(split.next.max(low)).max(0))
        };
        self.figures.pending.set(self.partitions.all().filter_map(pending).sum());
    }

    fn hand_on(&mut self, rows: &mut Rows<RawBatch>) -> Option<Polled> {
        Some(match self.partitions.hand_on()? {
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

    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.job.clone_from(&cx.job);
        self.waker = Some(cx.waker.clone());
        // The stage has just made its source's figures.
        let figures = cx.figures.operators().pop().unwrap_or_else(|| OperatorFigures::new(""));
        self.troubles = figures.counter("kafkaErrors");
        self.missing = figures.counter("missingOffsets");
        self.committer = Committer::new(&self.options, &self.job, Arc::clone(&figures));
        self.figures = figures;
        Ok(())
    }

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
        self.attend()?;
        self.count_pending(cx.now());
        if let Some(polled) = self.hand_on(rows) {
            return Ok(polled);
        }
        self.fetch(budget)?;
        let again = cx.now().saturating_add(LOOK_AGAIN_MS);
        Ok(self.hand_on(rows).unwrap_or(Polled::Pending(Some(again))))
    }

    fn is_at_end(&self, split: &SplitId) -> bool {
        self.partitions.is_at_end(split)
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

    fn close(&mut self) {
        self.fetcher = None;
        self.committer = None;
    }
}
