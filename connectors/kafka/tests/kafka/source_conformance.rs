//! The list of checks for sources.

use std::sync::Arc;

use millstream_kafka::{KafkaSource, KafkaSourceOptions};
use millstream_record::{Error, Result};
use millstream_sim::World;
use millstream_sim::conformance::{self, Content, Message, Prepared, SourceFixture, UnboundedFixture};
use millstream_stage::Rows;
use millstream_stage::raw::RawBatch;
use millstream_testkit::{Kafka, unique_name};

use crate::common;

struct Topics;

impl SourceFixture for Topics {
    type Source = KafkaSource;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(common::world())
    }

    fn prepare(&self, place: &str, splits: usize, records: usize) -> Result<Prepared<KafkaSource>> {
        let topic = unique_name(place);
        let partitions = i32::try_from(splits.max(1)).expect("a few");
        let created = Kafka::shared().and_then(|kafka| kafka.create_topics(&[(&topic, partitions)]));
        created.map_err(|error| Error::bug(format!("{error:#}")))?;
        let filled = i32::try_from(splits).expect("a few");
        common::fill(common::brokers(), &topic, filled, 0, records);
        let content = (0..filled)
            .map(|partition| (format!("{topic}-{partition}"), common::texts(partition, 0, records)));
        let content = content.collect::<Content>();
        Ok(Prepared { source: KafkaSource::new(common::options(common::brokers(), &topic)), content })
    }

    fn messages(&self, rows: &Rows<RawBatch>) -> Vec<Message> {
        conformance::messages(rows)
    }
}

impl UnboundedFixture for Topics {
    fn unbounded(&self, place: &str, splits: usize, records: usize) -> Result<KafkaSource> {
        let topic = unique_name(place);
        let partitions = i32::try_from(splits.max(1)).expect("a few");
        let created = Kafka::shared().and_then(|kafka| kafka.create_topics(&[(&topic, partitions)]));
        created.map_err(|error| Error::bug(format!("{error:#}")))?;
        common::fill(common::brokers(), &topic, i32::try_from(splits).expect("a few"), 0, records);
        let options = common::options(common::brokers(), &topic);
        Ok(KafkaSource::new(KafkaSourceOptions { bounded: None, ..options }))
    }
}

#[test]
fn a_kafka_source_passes_every_check() {
    conformance::source(&Topics).unwrap();
}

#[test]
fn an_unbounded_kafka_source_passes_every_check() {
    conformance::unbounded_source(&Topics).unwrap();
}
