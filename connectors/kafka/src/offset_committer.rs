//! Commits positions to a consumer group: for others to see, never to go on from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::snapshot::CheckpointId;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::{Commits, Consumer, Events, Peer, group_config};
use crate::config::KafkaSourceOptions;
use crate::retry::ConnectorError;
use crate::split::KafkaSplit;

/// Snapshots whose completion is waited for; of a job whose checkpoints never complete, older ones are
/// forgotten.
const KEPT: usize = 32;

/// The positions of one reader's snapshots until they are committed.
pub(crate) struct Committer {
    options: Arc<KafkaSourceOptions>,
    job: String,
    group: String,
    // Made with the first commit.
    client: Option<Consumer>,
    taken: VecDeque<(CheckpointId, TopicPartitionList)>,
    metrics: Arc<OperatorMetrics>,
}

impl Committer {
    /// For the group of these options, if they name one.
    pub(crate) fn new(
        options: &Arc<KafkaSourceOptions>,
        job: &str,
        metrics: Arc<OperatorMetrics>,
    ) -> Option<Self> {
        let (group, options) = (options.group_id.clone()?, Arc::clone(options));
        Some(Self { options, job: job.to_owned(), group, client: None, taken: VecDeque::new(), metrics })
    }

    /// A snapshot was taken at these positions.
    pub(crate) fn frozen<'a>(&mut self, id: CheckpointId, splits: impl Iterator<Item = &'a KafkaSplit>) {
        let mut list = TopicPartitionList::new();
        // A partition of which nothing was read yet has no offset to commit.
        for split in splits.filter(|split| split.next >= 0) {
            let added = list.add_partition_offset(&split.topic, split.partition, Offset::Offset(split.next));
            debug_assert!(added.is_ok(), "offsets of messages are valid");
        }
        if self.taken.len() == KEPT {
            self.taken.pop_front();
        }
        self.taken.push_back((id, list));
    }

    /// A checkpoint is complete: its positions are handed to the client, which commits them in its own time.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub(crate) fn completed(&mut self, id: CheckpointId) -> Result<()> {
        let mut newest = None;
        while self.taken.front().is_some_and(|(taken, _)| *taken <= id) {
            newest = self.taken.pop_front();
        }
        let Some((_, list)) = newest.filter(|(_, list)| list.count() > 0) else { return Ok(()) };
        let client = self.client()?;
        // A failure is in the log and the metrics; the next checkpoint commits again.
        if let Err(error) = client.commit(&list, CommitMode::Async) {
            tracing::warn!("positions were not committed to the consumer group: {error}");
        }
        self.attend();
        Ok(())
    }

    fn client(&mut self) -> Result<&Consumer> {
        if self.client.is_none() {
            let config = group_config(&self.options.brokers, &self.group, &self.options.client, &self.job);
            let created = config.create_with_context(Events::reported());
            self.client = Some(created.map_err(|error| Error::from(ConnectorError::of_creation(error)))?);
        }
        Ok(self.client.as_ref().expect("made above"))
    }

    /// Counts what became of earlier commits.
    pub(crate) fn attend(&self) {
        let Some(client) = &self.client else { return };
        client.attend(Duration::ZERO);
        while client.events().next().is_some() {}
        let Commits { succeeded, failed } = client.events().take_commits();
        self.metrics.counter("commitsSucceeded").add(succeeded);
        self.metrics.counter("commitsFailed").add(failed);
    }
}
