//! What is wrong at the start is said at once and clearly.

use std::net::TcpListener;
use std::time::Duration;

use millstream_kafka::{KafkaSource, KafkaSourceOptions, Properties, Start};
use millstream_record::{ErrorKind, Result};
use millstream_sim::Reading;
use millstream_stage::source::{EnumeratorEvent, Source as _};
use millstream_testkit::{Kafka, unique_name, wait};

use crate::common::{
    PATIENCE, Read, assert_names, assert_says, brokers, enumerator_context, fill, logged, note, options,
    read_all, reader, splits, start, texts, topic, values,
};

fn start_error(options: KafkaSourceOptions) -> millstream_record::Error {
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

// A source that cannot reach its brokers assigns nothing, and says why.
fn waits(options: KafkaSourceOptions, texts: &[&str]) {
    let options = KafkaSourceOptions { connect_timeout: Duration::from_secs(2), ..options };
    let mut assigned = None;
    let log = logged(|| assigned = Some(start(&KafkaSource::new(options), 2)));
    assert_eq!(assigned.unwrap().unwrap(), []);
    assert_says(&log, &[&["Kafka at ", "it is tried again"], texts].concat());
}

#[test]
fn brokers_that_do_not_answer_are_told() {
    // Nobody listens at a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    waits(options(&address, "clicks"), &[&address, "within 2 s", "Connection refused"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    waits(options(&address, "clicks"), &[&address, "within 2 s"]);
}

#[test]
fn brokers_that_come_later_are_waited_for() {
    let mut kafka = Kafka::start().unwrap();
    let name = unique_name("later");
    kafka.create_topics(&[(&name, 1)]).unwrap();
    fill(kafka.bootstrap(), &name, 1, 0, 10);
    kafka.stop().unwrap();
    let timeout = Duration::from_secs(1);
    let latest = KafkaSourceOptions {
        connect_timeout: timeout,
        start: Start::Latest,
        ..options(kafka.bootstrap(), &name)
    };
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..latest });
    let context = enumerator_context(1);
    let mut enumerator = source.enumerator();
    assert_eq!(enumerator.on(&context, EnumeratorEvent::Start { restored: None }).unwrap(), []);
    // A checkpoint of a job that never found out where to start.
    let snapshot = enumerator.snapshot();
    let mut enumerator = source.enumerator();
    let restored = EnumeratorEvent::Start { restored: Some(snapshot) };
    assert_eq!(enumerator.on(&context, restored).unwrap(), []);
    kafka.restart().unwrap();
    let mut splits = Vec::new();
    let started = || {
        let assigned = enumerator.on(&context, EnumeratorEvent::Tick).unwrap();
        splits = assigned.into_iter().flat_map(|assignment| assignment.splits).collect();
        !splits.is_empty()
    };
    assert!(wait::until(PATIENCE, started), "it does not start");
    fill(kafka.bootstrap(), &name, 1, 10, 15);
    let (mut reader, mut read) = (reader(&source, splits), Read::new());
    while values(&read, &format!("{name}-0")).len() < 5 {
        note(&mut read, reader.next(100).unwrap());
    }
    reader.close();
    assert_eq!(values(&read, &format!("{name}-0")), texts(0, 10, 15), "the latest ones, as it was told");
}

// Kafka answers at the address that it is asked at, and names its brokers by one that leads nowhere.
#[test]
fn advertised_listeners_that_lead_nowhere_are_told_and_waited_for() {
    for nowhere in ["kafka-nowhere.invalid:9092", "127.0.0.1:1"] {
        let kafka = Kafka::builder().astray(nowhere).start().unwrap();
        let (name, address) = (unique_name("astray"), kafka.astray_bootstrap().unwrap());
        kafka.create_topics(&[(&name, 1)]).unwrap();
        // Where offsets are asked for, the start finds it out.
        waits(options(address, &name), &[address, "advertised.listeners"]);
        // Else the reader does.
        let connect_timeout = Duration::from_secs(2);
        let unbounded = KafkaSourceOptions { bounded: None, connect_timeout, ..options(address, &name) };
        let splits = splits(&KafkaSource::new(unbounded.clone()));
        let mut reader = reader(&KafkaSource::new(unbounded), splits);
        let mut said = || {
            let log = logged(|| assert!(matches!(reader.poll(10).unwrap(), Reading::Pending)));
            log.contains("advertised.listeners")
        };
        assert!(wait::until(PATIENCE, &mut said), "{nowhere}");
        let metrics = reader.harness().metrics().operator("source");
        assert_eq!(metrics.pending.get(), -1, "how much there is to read is not known: it is not nothing");
        reader.close();
    }
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
    let address = kafka.tls_bootstrap().unwrap();
    waits(KafkaSourceOptions { client, ..options(address, topic) }, &[address, "certificate"]);
}

fn wrong_protocol(kafka: &Kafka, topic: &str) {
    let address = kafka.sasl_bootstrap().unwrap();
    waits(options(address, topic), &[address, "security.protocol"]);
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
