//! Bad days of a source.

use std::time::Duration;

use millstream_kafka::{KafkaSource, KafkaSourceOptions};
use millstream_record::ErrorKind;
use millstream_sim::{DrivenReader, Reading};
use millstream_stage::raw::RawBatch;
use millstream_testkit::{Kafka, unique_name, wait};
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::common::{
    PATIENCE, Read, assert_names, assert_says, brokers, config, fill, logged, note, options, producer,
    read_all, reader, send, splits, text, texts, topic, values,
};

// 1 kB each, so that the little that is fetched ahead cannot hide that the broker is away.
fn fill_large(brokers: &str, topic: &str, from: usize, to: usize) {
    let producer = producer(brokers);
    for number in from..to {
        (0..2).for_each(|partition| send(&producer, topic, partition, large(partition, number).as_bytes()));
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn large(partition: i32, number: usize) -> String {
    format!("{:1000}", text(partition, number))
}

fn all_large(partition: i32, to: usize) -> Vec<String> {
    (0..to).map(|number| large(partition, number)).collect()
}

fn read_until(reader: &mut DrivenReader<RawBatch>, read: &mut Read, messages: usize) {
    while read.values().map(Vec::len).sum::<usize>() < messages {
        let reading = reader.next(50).unwrap();
        note(read, reading);
    }
}

#[test]
fn a_broker_that_restarts_in_mid_read_loses_and_doubles_nothing() {
    let mut kafka = Kafka::start().unwrap();
    let (name, address) = (unique_name("restart"), kafka.bootstrap().to_owned());
    kafka.create_topics(&[(&name, 2)]).unwrap();
    fill_large(&address, &name, 0, 5_000);
    let client = [("fetch.message.max.bytes", "20000")].into_iter().collect();
    let unbounded =
        KafkaSourceOptions { bounded: None, prefetch_size: 50_000, client, ..options(&address, &name) };
    let source = KafkaSource::new(unbounded);
    let splits = splits(&source);
    let (mut reader, mut read) = (reader(&source, splits), Read::new());

    read_until(&mut reader, &mut read, 2_000);
    kafka.kill9().unwrap();
    // What was fetched before comes, and then nothing, which is no error.
    while !matches!(reader.poll(50).map(|reading| note_pending(&mut read, reading)).unwrap(), IsPending::Yes)
    {
    }
    kafka.restart().unwrap();
    read_until(&mut reader, &mut read, 6_000);
    kafka.stop().unwrap();
    kafka.restart().unwrap();
    fill_large(&address, &name, 5_000, 5_100);
    read_until(&mut reader, &mut read, 10_200);
    reader.close();

    for partition in 0..2 {
        assert!(
            values(&read, &format!("{name}-{partition}")) == all_large(partition, 5_100),
            "partition {partition}"
        );
    }
}

#[test]
fn brokers_that_are_away_are_one_trouble_until_they_are_back() {
    let mut kafka = Kafka::start().unwrap();
    let (name, address) = (unique_name("away"), kafka.bootstrap().to_owned());
    kafka.create_topics(&[(&name, 1)]).unwrap();
    fill(&address, &name, 1, 0, 10);
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..options(&address, &name) });
    let splits = splits(&source);
    let (mut reader, mut read) = (reader(&source, splits), Read::new());
    let mut troubles = || {
        note(&mut read, reader.poll(50).unwrap());
        let (metrics, clock) = (reader.harness().metrics(), reader.harness().clock());
        metrics.troubles.ongoing(clock.nanos())
    };
    assert!(!wait::until(Duration::from_secs(1), || !troubles().is_empty()));
    let log = logged(|| {
        kafka.kill9().unwrap();
        assert!(wait::until(PATIENCE, || !troubles().is_empty()), "the outage is not noticed");
        // Long enough for the client to try and fail many times.
        assert!(!wait::until(Duration::from_secs(5), || troubles().len() != 1));
    });
    assert_eq!(troubles()[0].subject, format!("Kafka at {address}"));
    assert_eq!(log.lines().count(), 1, "{log}");
    assert_says(&log, &["WARN", &address, "no broker is reached"]);
    kafka.restart().unwrap();
    fill(&address, &name, 1, 10, 20);
    assert!(wait::until(PATIENCE, || troubles().is_empty()), "the return is not noticed");
    read_until(&mut reader, &mut read, 20);
    reader.close();
    assert_eq!(values(&read, &format!("{name}-0")), texts(0, 0, 20));
}

#[derive(PartialEq, Eq)]
enum IsPending {
    Yes,
    No,
}

fn note_pending(read: &mut Read, reading: Reading<RawBatch>) -> IsPending {
    let pending = if matches!(reading, Reading::Pending) { IsPending::Yes } else { IsPending::No };
    note(read, reading);
    pending
}

#[test]
fn a_silent_partition_holds_nobody_up_and_is_heard_when_it_speaks() {
    let name = topic("silent", 2);
    let unbounded = KafkaSourceOptions { bounded: None, prefetch_size: 20_000, ..options(brokers(), &name) };
    let source = KafkaSource::new(unbounded);
    let splits = splits(&source);
    fill(brokers(), &name, 1, 0, 20_000);
    let [full, empty] = [0, 1].map(|number| splits[number].id.clone());
    let (mut reader, mut read) = (reader(&source, splits), Read::new());
    assert!(!reader.is_at_end(&full), "not asked yet, so it must not be taken for idle");
    read_until(&mut reader, &mut read, 20_000);
    let mut at_end = || {
        reader.poll(10).unwrap();
        reader.is_at_end(&full) && reader.is_at_end(&empty)
    };
    assert!(wait::until(PATIENCE, &mut at_end), "all was read, and the brokers say so");
    let producer = producer(brokers());
    send(&producer, &name, 1, b"at last");
    producer.flush(Duration::from_secs(30)).unwrap();
    read_until(&mut reader, &mut read, 20_001);
    reader.close();
    assert!(values(&read, &format!("{name}-0")) == texts(0, 0, 20_000));
    assert_eq!(values(&read, &format!("{name}-1")), ["at last"]);
}

#[test]
fn an_idle_reader_is_woken_by_a_message() {
    let name = topic("idle", 1);
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..options(brokers(), &name) });
    let splits = splits(&source);
    let (mut reader, mut read) = (reader(&source, splits), Read::new());
    // Until nothing has happened for a while.
    let quiet = |reader: &mut DrivenReader<RawBatch>| {
        matches!(reader.poll(10).unwrap(), Reading::Pending) && !reader.harness().take_wake()
    };
    while wait::until(Duration::from_millis(300), || !quiet(&mut reader)) {}
    fill(brokers(), &name, 1, 0, 1);
    // By the waker alone, not by the time at which it wanted to look again.
    reader.harness().wait(None).unwrap();
    read_until(&mut reader, &mut read, 1);
    reader.close();
    assert_eq!(values(&read, &format!("{name}-0")), texts(0, 0, 1));
}

#[test]
fn a_topic_that_is_deleted_under_the_job_is_an_error() {
    let name = topic("deleted", 1);
    fill(brokers(), &name, 1, 0, 10);
    // The client waits for so long before it believes that a topic is gone; its default is 30 s.
    let client =
        [("topic.metadata.propagation.max.ms", "1000"), ("topic.metadata.refresh.interval.ms", "1000")];
    let client = client.into_iter().collect();
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, client, ..options(brokers(), &name) });
    let splits = splits(&source);
    let (mut reader, mut read) = (reader(&source, splits), Read::new());
    read_until(&mut reader, &mut read, 10);
    crate::common::delete_topic(&name);
    let error = loop {
        match reader.next(10) {
            Ok(reading) => {
                assert!(matches!(reading, Reading::Rows(..)), "a deleted topic is no finished one");
            }
            Err(error) => break error,
        }
    };
    reader.close();
    assert_names(&error, ErrorKind::Restart, &[&name, "deleted"]);
}

// 70 MB in one batch of less than 1 MB, which does not say what it unpacks to: the client makes room in steps
// of three.
#[test]
fn a_batch_that_unpacks_to_a_hundred_times_its_size_is_read() {
    let name = topic("packed", 1);
    let mut config = config(brokers());
    config
        .set("compression.type", "zstd")
        .set("linger.ms", "60000")
        .set("queue.buffering.max.kbytes", "200000");
    config.set("message.max.bytes", "100000000").set("batch.size", "100000000");
    let producer: BaseProducer = config.create().unwrap();
    // Some of each message does not repeat, or it would be packed to next to nothing.
    let noise = |number: u32| {
        (0..6_000_u32).map(move |n| ((n + number * 6_000).wrapping_mul(2_654_435_761) >> 24) as u8)
    };
    let messages: Vec<Vec<u8>> =
        (0..70).map(|number| noise(number).chain(std::iter::repeat_n(7, 1_000_000)).collect()).collect();
    messages.iter().for_each(|message| send(&producer, &name, 0, message));
    producer.flush(PATIENCE).unwrap();
    let read = read_all(&KafkaSource::new(options(brokers(), &name)));
    let read = &read[&format!("{name}-0")];
    assert_eq!(read.len(), 70);
    assert!(read.iter().zip(&messages).all(|((_, read), sent)| read == sent));

    let client = [("receive.message.max.bytes", "60000000"), ("fetch.max.bytes", "50000000")];
    let client = client.into_iter().collect();
    let source = KafkaSource::new(KafkaSourceOptions { client, ..options(brokers(), &name) });
    let mut reader = reader(&source, splits(&source));
    let error = reader.next(10).unwrap_err();
    reader.close();
    assert_names(&error, ErrorKind::Data, &[&name, "offset", "receive.message.max.bytes"]);
}
