//! Transactions: what is read of them, and that a bounded read ends among their markers.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use millstream_kafka::{Isolation, KafkaSource, KafkaSourceOptions};
use millstream_testkit::unique_name;
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::common::{
    PATIENCE, brokers, config, fill, options, read_all, read_splits, send, splits, text, texts, topic, values,
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
