//! A user who sees a topic and may do no more with it.

use millstream_kafka::{KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions, Message, Properties};
use millstream_record::{Error, ErrorKind};
use millstream_sim::{DrivenWriter, Harness};
use millstream_testkit::{Kafka, TopicRight, unique_name, wait};

use crate::common::{PATIENCE, assert_names, options, world};

struct Place {
    kafka: Kafka,
    topic: String,
    client: Properties,
}

impl Place {
    fn new() -> Self {
        let kafka = Kafka::builder().sasl("alice", "right-password").rights().start().unwrap();
        let topic = unique_name("guarded");
        kafka.create_topics(&[(&topic, 1)]).unwrap();
        let client = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "alice"),
            ("sasl.password", "right-password"),
        ];
        Self { kafka, topic, client: client.into_iter().collect() }
    }

    fn grant(&self, right: TopicRight) {
        self.kafka.grant("alice", right, &self.topic).unwrap();
    }

    fn source(&self) -> KafkaSource {
        let address = self.kafka.sasl_bootstrap().unwrap();
        let client = self.client.clone();
        KafkaSource::new(KafkaSourceOptions { client, ..options(address, &self.topic) })
    }

    fn sink(&self) -> KafkaSink<String> {
        let options = KafkaSinkOptions {
            brokers: self.kafka.sasl_bootstrap().unwrap().to_owned(),
            topic: self.topic.clone(),
            client: self.client.clone(),
            ..KafkaSinkOptions::default()
        };
        KafkaSink::new(options, |value: &String, _, message: &mut Message| {
            message.value().extend_from_slice(value.as_bytes());
        })
    }

    // What a writer says that is given nothing to write, such as that of a dead letter.
    fn writer_error(&self) -> Option<Error> {
        let mut writer = DrivenWriter::open(&self.sink(), Harness::new(world())).unwrap();
        let mut error = None;
        wait::until(PATIENCE, || {
            error = writer.resume().err();
            error.is_some()
        });
        writer.close();
        error
    }

    fn expect_refused(&self, error: &Error, verb: &str) {
        assert_names(error, ErrorKind::Configuration, &[&format!("{verb} topic {}", self.topic), "grant it"]);
    }
}

#[test]
fn a_right_that_is_missing_is_told_before_the_first_message() {
    let place = Place::new();
    // What is granted holds a moment later.
    assert!(place.source().find_topics().is_err() && place.sink().find_topic().is_err());
    place.grant(TopicRight::Describe);
    let described = || {
        let told = place.source().find_topics().unwrap_err().to_string();
        told.contains("read topic")
    };
    assert!(wait::until(PATIENCE, described), "{}", place.source().find_topics().unwrap_err());
    place.expect_refused(&place.source().find_topics().unwrap_err(), "read");
    place.expect_refused(&place.sink().find_topic().unwrap_err(), "write to");
    place.expect_refused(&place.writer_error().expect("the writer starts"), "write to");

    place.grant(TopicRight::Read);
    assert!(wait::until(PATIENCE, || place.source().find_topics().is_ok()));
    place.expect_refused(&place.sink().find_topic().unwrap_err(), "write to");
    place.grant(TopicRight::Write);
    assert!(wait::until(PATIENCE, || place.sink().find_topic().is_ok()));
    let mut writer = DrivenWriter::open(&place.sink(), Harness::new(world())).unwrap();
    writer.write(vec!["one".to_owned()]).unwrap();
    writer.flush().unwrap();
    writer.close();
}
