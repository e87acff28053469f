//! What is wrong at the start is said at once and clearly.

use std::net::TcpListener;
use std::time::Duration;

use millstream_core::source::Source as _;
use millstream_core::{ErrorKind, Result};
use millstream_kafka::{KafkaSource, KafkaSourceOptions, Properties};
use millstream_testkit::{Kafka, unique_name};

use crate::common::{assert_names, brokers, fill, options, read_all, start, texts, topic, values};

fn start_error(options: KafkaSourceOptions) -> millstream_core::Error {
    start(&KafkaSource::new(options), 2).expect_err("this cannot start")
}

fn login(user: &str, password: &str) -> Properties {
    let properties = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", password),
    ];
    properties.into_iter().collect()
}

#[test]
fn an_unknown_topic_is_named() {
    let name = unique_name("nowhere");
    let error = start_error(options(brokers(), &name));
    assert_names(&error, ErrorKind::Configuration, &[&name, brokers(), "create it"]);
}

#[test]
fn one_unknown_topic_of_two_is_named() {
    let (known, unknown) = (topic("known", 1), unique_name("nowhere"));
    let mut both = options(brokers(), &known);
    both.topic.0.push(unknown.clone());
    assert_names(&start_error(both), ErrorKind::Configuration, &[&unknown]);
}

#[test]
fn no_broker_is_said_within_the_time() {
    // Nobody listens at a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let timeout = Duration::from_secs(2);
    let error = start_error(KafkaSourceOptions { connect_timeout: timeout, ..options(&address, "clicks") });
    assert_names(&error, ErrorKind::Restart, &[&address, "within 2 s", "Connection refused"]);
}

#[test]
fn who_listens_but_never_answers_is_no_broker() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let timeout = Duration::from_secs(2);
    let error = start_error(KafkaSourceOptions { connect_timeout: timeout, ..options(&address, "clicks") });
    assert_names(&error, ErrorKind::Restart, &[&address]);
}

#[test]
fn logins_and_tls() {
    let kafka = Kafka::builder().sasl("alice", "right-password").tls().start().unwrap();
    let name = unique_name("secured");
    kafka.create_topics(&[(&name, 1)]).unwrap();
    fill(kafka.bootstrap(), &name, 1, 0, 10);
    right_password(&kafka, &name);
    wrong_password(&kafka, &name);
    trusted_certificate(&kafka, &name);
    unknown_certificate(&kafka, &name);
    wrong_protocol(&kafka, &name);
}

fn right_password(kafka: &Kafka, topic: &str) {
    let client = login("alice", "right-password");
    let source =
        KafkaSource::new(KafkaSourceOptions { client, ..options(kafka.sasl_bootstrap().unwrap(), topic) });
    assert_eq!(values(&read_all(&source), &format!("{topic}-0")), texts(0, 0, 10));
}

// Much sooner than the time that a broker may take to answer: there is nothing to wait for.
fn wrong_password(kafka: &Kafka, topic: &str) {
    let client = login("alice", "wrong-password");
    let address = kafka.sasl_bootstrap().unwrap();
    let timeout = Duration::from_secs(600);
    let options = KafkaSourceOptions { client, connect_timeout: timeout, ..options(address, topic) };
    let shown = format!("{options:?}");
    assert!(!shown.contains("wrong-password") && shown.contains("sasl.mechanism"), "{shown}");
    let error = start_error(options);
    assert_names(&error, ErrorKind::Configuration, &[address, "sasl.password"]);
    assert!(!error.chain().contains("wrong-password"), "{}", error.chain());
}

fn tls(ca: &str) -> Properties {
    [("security.protocol", "ssl"), ("ssl.ca.location", ca)].into_iter().collect()
}

fn trusted_certificate(kafka: &Kafka, topic: &str) {
    let client = tls(kafka.certificate().unwrap().ca.to_str().unwrap());
    let source =
        KafkaSource::new(KafkaSourceOptions { client, ..options(kafka.tls_bootstrap().unwrap(), topic) });
    assert_eq!(values(&read_all(&source), &format!("{topic}-0")), texts(0, 0, 10));
}

fn unknown_certificate(kafka: &Kafka, topic: &str) {
    let client = [("security.protocol", "ssl")].into_iter().collect();
    let timeout = Duration::from_secs(2);
    let address = kafka.tls_bootstrap().unwrap();
    let error =
        start_error(KafkaSourceOptions { client, connect_timeout: timeout, ..options(address, topic) });
    assert_names(&error, ErrorKind::Restart, &[address, "certificate"]);
}

fn wrong_protocol(kafka: &Kafka, topic: &str) {
    let timeout = Duration::from_secs(2);
    let address = kafka.sasl_bootstrap().unwrap();
    let error = start_error(KafkaSourceOptions { connect_timeout: timeout, ..options(address, topic) });
    assert_names(&error, ErrorKind::Restart, &[address, "security.protocol"]);
}

#[test]
fn properties_that_the_client_does_not_know_are_refused_without_io() {
    let refused = |name: &str, value: &str| -> Result<()> {
        let client = [(name, value)].into_iter().collect();
        KafkaSource::new(KafkaSourceOptions { client, ..options("nowhere:1", "clicks") }).validate()
    };
    assert_names(&refused("fetch.min.byts", "1").unwrap_err(), ErrorKind::Configuration, &["fetch.min.byts"]);
    assert_names(
        &refused("fetch.min.bytes", "few").unwrap_err(),
        ErrorKind::Configuration,
        &["fetch.min.bytes"],
    );
    refused("fetch.min.bytes", "2").unwrap();
}
