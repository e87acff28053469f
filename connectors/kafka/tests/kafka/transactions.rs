//! Transactions: what is read of them, and that a bounded read ends among their markers.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream_kafka::{Isolation, KafkaSource, KafkaSourceOptions};
use millstream_stage::source::Split;
use millstream_testkit::{unique_name, wait};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::common::{
    PATIENCE, Read, brokers, config, delete_before, fill, note, options, read_all, read_splits, reader, send,
    splits, text, texts, topic, values,
};

fn transactional() -> BaseProducer {
    let producer: BaseProducer =
        config(brokers()).set("transactional.id", unique_name("txn")).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

// The messages are on the broker; the transaction is still open.
fn begin(producer: &BaseProducer, topic: &str, from: usize, to: usize) {
    producer.begin_transaction().unwrap();
    (from..to).for_each(|number| send(producer, topic, 0, text(0, number).as_bytes()));
    producer.flush(PATIENCE).unwrap();
}

fn commit(producer: &BaseProducer, topic: &str, from: usize, to: usize) {
    begin(producer, topic, from, to);
    producer.commit_transaction(PATIENCE).unwrap();
}

fn abort(producer: &BaseProducer, topic: &str, from: usize, to: usize) {
    begin(producer, topic, from, to);
    producer.abort_transaction(PATIENCE).unwrap();
}

fn read(topic: &str, isolation: Isolation) -> Vec<String> {
    let source = KafkaSource::new(KafkaSourceOptions { isolation, ..options(brokers(), topic) });
    values(&read_all(&source), &format!("{topic}-0"))
}

#[test]
fn aborted_messages_at_the_end_are_not_read_and_do_not_hold_the_end_up() {
    let name = topic("aborted", 1);
    let producer = transactional();
    commit(&producer, &name, 0, 5);
    abort(&producer, &name, 5, 9);
    assert_eq!(read(&name, Isolation::ReadCommitted), texts(0, 0, 5));
    assert_eq!(read(&name, Isolation::ReadUncommitted), texts(0, 0, 9));
    commit(&producer, &name, 9, 11);
    assert_eq!(read(&name, Isolation::ReadCommitted), [texts(0, 0, 5), texts(0, 9, 11)].concat());
}

// The position moves past what no message tells of, so no lag is left and retention takes nothing that was
// not read.
#[test]
fn a_position_moves_past_markers_and_aborted_messages_at_the_end() {
    let (name, group) = (topic("markers", 1), unique_name("markers"));
    let producer = transactional();
    commit(&producer, &name, 0, 5);
    abort(&producer, &name, 5, 9);
    let settings =
        KafkaSourceOptions { bounded: None, group_id: Some(group.clone()), ..options(brokers(), &name) };
    let source = KafkaSource::new(settings);
    let mut reader = reader(&source, splits(&source));
    let end = client(&group).fetch_watermarks(&name, 0, PATIENCE).unwrap().1;
    assert_eq!(end, 11, "5 messages, a marker, 4 messages, a marker");
    let mut id = 0;
    let mut lag_is_gone = || {
        reader.poll(100).unwrap();
        id += 1;
        reader.snapshot(id).unwrap();
        reader.completed(id).unwrap();
        committed(&group, &name) == Offset::Offset(end)
    };
    assert!(wait::until(PATIENCE, &mut lag_is_gone), "{:?} and not {end}", committed(&group, &name));
    let left = reader.snapshot(1_000).unwrap();
    reader.close();
    delete_before(&name, end);
    commit(&producer, &name, 9, 11);
    assert_eq!(read_bounded(&name, left), texts(0, 9, 11));
}

fn client(group: &str) -> BaseConsumer {
    config(brokers()).set("group.id", group).create().unwrap()
}

fn committed(group: &str, topic: &str) -> Offset {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, 0);
    client(group).committed_offsets(list, PATIENCE).unwrap().elements()[0].offset()
}

// From these splits on, until two messages are there.
fn read_bounded(topic: &str, left: Vec<Split>) -> Vec<String> {
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..options(brokers(), topic) });
    let (mut reader, mut read) = (reader(&source, left), Read::new());
    while read.values().map(Vec::len).sum::<usize>() < 2 {
        note(&mut read, reader.next(100).unwrap());
    }
    reader.close();
    values(&read, &format!("{topic}-0"))
}

// Its messages are there, and nobody may read them yet: such a partition is not idle.
#[test]
fn a_partition_with_an_open_transaction_is_not_at_its_end() {
    let name = topic("open", 1);
    let producer = transactional();
    commit(&producer, &name, 0, 5);
    let source = KafkaSource::new(KafkaSourceOptions { bounded: None, ..options(brokers(), &name) });
    let splits = splits(&source);
    let split = splits[0].id.clone();
    let (mut reader, mut read) = (reader(&source, splits), Read::new());
    let mut at_end = || {
        let reading = reader.poll(100).unwrap();
        note(&mut read, reading);
        reader.is_at_end(&split)
    };
    assert!(wait::until(PATIENCE, &mut at_end), "all is read");
    begin(&producer, &name, 5, 9);
    assert!(wait::until(PATIENCE, || !at_end()), "the transaction is not seen");
    // It stays so, however often one looks.
    assert!(!wait::until(Duration::from_secs(1), &mut at_end), "it is taken for idle");
    producer.commit_transaction(PATIENCE).unwrap();
    assert!(wait::until(PATIENCE, &mut at_end), "all is read, and the transaction is closed");
    reader.close();
    assert_eq!(values(&read, &format!("{name}-0")), texts(0, 0, 9));
}

#[test]
fn nothing_but_aborted_messages_ends_too() {
    let name = topic("only_aborted", 1);
    abort(&transactional(), &name, 0, 300);
    assert_eq!(read(&name, Isolation::ReadCommitted), texts(0, 0, 0));
}

#[test]
fn a_bounded_read_ends_before_an_open_transaction() {
    let name = topic("open", 1);
    fill(brokers(), &name, 1, 0, 5);
    let producer = transactional();
    begin(&producer, &name, 5, 9);
    assert_eq!(read(&name, Isolation::ReadCommitted), texts(0, 0, 5));
    assert_eq!(read(&name, Isolation::ReadUncommitted), texts(0, 0, 9));
    producer.commit_transaction(PATIENCE).unwrap();
    assert_eq!(read(&name, Isolation::ReadCommitted), texts(0, 0, 9));
}

// The end of the partition moves on, and nothing but aborted messages and markers lies on the way there.
#[test]
fn a_bounded_read_ends_while_only_aborted_messages_follow() {
    let name = topic("aborting", 1);
    let producer = transactional();
    commit(&producer, &name, 0, 5);
    abort(&producer, &name, 5, 9);
    let source = KafkaSource::new(options(brokers(), &name));
    let splits = splits(&source);
    let done = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                abort(&producer, &name, 9, 30);
            }
        });
        let read = read_splits(&source, splits);
        done.store(true, Relaxed);
        read
    });
    assert_eq!(values(&read, &format!("{name}-0")), texts(0, 0, 5));
}
