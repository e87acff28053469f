//! The list of checks for sinks.

use std::sync::Arc;

use millstream_kafka::{DeliveryGuarantee, KafkaSink, KafkaSinkOptions, KafkaSource};
use millstream_record::{Error, Result};
use millstream_sim::World;
use millstream_sim::conformance::{self, SinkFixture};
use millstream_testkit::Kafka;

use crate::common;

struct Topics {
    prefix: String,
    guarantee: DeliveryGuarantee,
}

// By key, so that every message of a key is in the same partition.
type Pair = (u64, u64);

impl Topics {
    fn topic(&self, place: &str) -> String {
        format!("{}_{place}", self.prefix)
    }
}

impl SinkFixture for Topics {
    type Record = Pair;
    type Sink = KafkaSink<Pair>;

    fn world(&self) -> Result<Arc<dyn World>> {
        Ok(common::world())
    }

    fn sink(&self, place: &str) -> Result<KafkaSink<Pair>> {
        let topic = self.topic(place);
        let kafka = Kafka::shared().map_err(|error| Error::bug(format!("{error:#}")))?;
        // Made by the first call for a place; later ones find it there.
        let _ = kafka.create_topics(&[(&topic, 2)]);
        let options = KafkaSinkOptions {
            brokers: common::brokers().to_owned(),
            topic,
            // Room for some 2,000 of these small messages.
            buffer_size: 512 << 10,
            delivery_guarantee: self.guarantee,
            // The checks' job and sink have the same names in all places.
            transactional_id_prefix: format!("{}_{place}", self.prefix),
            ..KafkaSinkOptions::default()
        };
        Ok(KafkaSink::new(options, |(key, value): &Pair, _, message| {
            message.key().extend_from_slice(key.to_string().as_bytes());
            // The one for `refused`: the topic has no such partition.
            if *value == u64::from(u32::MAX) {
                message.to_partition(77);
            }
            message.value().extend_from_slice(format!("{key} {value}").as_bytes());
        }))
    }

    fn record(&self, key: u64, value: u64) -> Pair {
        (key, value)
    }

    fn visible(&self, place: &str) -> Result<Vec<Pair>> {
        common::await_transactions(common::brokers(), &self.topic(place), 2);
        let source = KafkaSource::new(common::options(common::brokers(), &self.topic(place)));
        let read = common::read_all(&source);
        let pair = |(_, value): &(i64, Vec<u8>)| {
            let text = String::from_utf8_lossy(value);
            let (key, value) = text.split_once(' ').expect("written by the sink above");
            (key.parse().expect("a number"), value.parse().expect("a number"))
        };
        Ok(read.values().flatten().map(pair).collect())
    }

    fn refused(&self) -> Option<Pair> {
        Some((7, u64::from(u32::MAX)))
    }
}

#[test]
fn a_kafka_sink_passes_every_check() {
    let prefix = millstream_testkit::unique_name("sink");
    conformance::sink(&Topics { prefix, guarantee: DeliveryGuarantee::AtLeastOnce }).unwrap();
}

#[test]
fn a_transactional_kafka_sink_passes_every_check() {
    let prefix = millstream_testkit::unique_name("exact");
    conformance::sink(&Topics { prefix, guarantee: DeliveryGuarantee::ExactlyOnce }).unwrap();
}
