//! The source as a pipeline sees it.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::OpenContext;
use millstream_stage::raw::RawBatch;
use millstream_stage::sink::OutputLocation;
use millstream_stage::source::{Enumerator, Source, SplitReader};
use rdkafka::consumer::Consumer as _;

use crate::client::{Consumer, Events, Patience, consumer_config};
use crate::config::{KafkaSourceOptions, Start, addresses};
use crate::enumerator::KafkaEnumerator;
use crate::group_offsets::group_offsets;
use crate::reader::KafkaReader;
use crate::retry::ConnectorError;
use crate::rights::{self, Right};

/// Reads the partitions of Kafka topics, without a consumer group: positions are the job's own.
///
/// It gives the values of messages as they were fetched, many in one [`RawBatch`]; a decoder follows. A
/// message without a value (a tombstone) comes as an empty one. Each partition is a split, named
/// `topic-partition`.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    options: Arc<KafkaSourceOptions>,
}

impl KafkaSource {
    /// A source with these options.
    pub fn new(options: KafkaSourceOptions) -> Self {
        Self { options: Arc::new(options) }
    }

    /// Looks for the topics, for at most `connect-timeout`, and answers how many partitions they have: for
    /// commands that somebody waits for. The source of a job waits on.
    ///
    /// # Errors
    /// Brokers that do not answer or refuse the login, a topic that is not there or may not be read, a
    /// consumer group that may not be seen.
    pub fn find_topics(&self) -> Result<usize> {
        self.validate()?;
        let options = &self.options;
        let created = consumer_config(options, "").create_with_context(Events::reported());
        let client: Consumer = created.map_err(ConnectorError::of_creation)?;
        let patience = Patience::new(&options.brokers, options.connect_timeout);
        let mut found = Vec::new();
        for topic in &options.topic.0 {
            let partitions = patience.partitions(&client, topic)?;
            rights::check(client.client().native_ptr(), topic, Right::Read)?;
            found.extend(partitions.into_iter().map(|partition| (topic.clone(), partition)));
        }
        if options.start == Start::GroupOffsets {
            group_offsets(options, "", &found, &patience)?;
        }
        Ok(found.len())
    }
}

impl Source for KafkaSource {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "kafka"
    }

    fn validate(&self) -> Result<()> {
        self.options.validate()?;
        let checked = consumer_config(&self.options, "").create_native_config();
        checked.map(drop).map_err(|error| Error::from(ConnectorError::of_creation(error)))
    }

    // Two clusters are the same as far as their addresses tell.
    fn reads_output(&self, output: &OutputLocation) -> bool {
        let OutputLocation::Topic { brokers, topic } = output else { return false };
        let own = addresses(&self.options.brokers);
        self.options.topic.0.contains(topic) && own.iter().any(|address| brokers.contains(address))
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(KafkaEnumerator::new(Arc::clone(&self.options)))
    }

    fn reader(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        Ok(Box::new(KafkaReader::new(Arc::clone(&self.options), name, cx)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Topics;

    #[test]
    fn a_topic_is_read_that_a_sink_writes_in_the_same_cluster() {
        let topic = Topics(vec!["clicks".to_owned(), "carts".to_owned()]);
        let options = KafkaSourceOptions { brokers: "a:1, b:1".to_owned(), topic, ..Default::default() };
        let source = KafkaSource::new(options);
        let written = |brokers: &str, topic: &str| {
            source
                .reads_output(&OutputLocation::Topic { brokers: addresses(brokers), topic: topic.to_owned() })
        };
        assert!(written("b:1", "carts") && written("c:1,a:1", "clicks"));
        assert!(!written("c:1", "carts"), "another cluster");
        assert!(!written("b:1", "results"), "another topic");
        assert!(!source.reads_output(&OutputLocation::File("clicks".to_owned())));
    }
}
