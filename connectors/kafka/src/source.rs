//! The source as a pipeline sees it.

use std::sync::Arc;

use millstream_record::{Error, Result};
use millstream_stage::OpenContext;
use millstream_stage::raw::RawBatch;
use millstream_stage::source::{Enumerator, Source, SplitReader};

use crate::client::consumer_config;
use crate::config::KafkaSourceOptions;
use crate::enumerator::KafkaEnumerator;
use crate::reader::KafkaReader;
use crate::retry::Fault;

/// Reads the partitions of Kafka topics, without a consumer group: positions are the job's own.
///
/// It gives the values of messages as they were fetched, many in one [`RawBatch`]; a decoder follows. A message without a value
/// (a tombstone) comes as an empty one. Each partition is a split, named `topic-partition`.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    options: Arc<KafkaSourceOptions>,
}

impl KafkaSource {
    /// A source with these options.
    pub fn new(options: KafkaSourceOptions) -> Self {
        Self { options: Arc::new(options) }
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
        checked.map(drop).map_err(|error| Error::from(Fault::of_creation(error)))
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(KafkaEnumerator::new(Arc::clone(&self.options)))
    }

    fn reader(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        Ok(Box::new(KafkaReader::new(Arc::clone(&self.options), name, cx)))
    }
}
