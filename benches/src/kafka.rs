//! From Kafka to nothing: Millstream's source against bare loops over the same topic.

use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use millstream::RawBatch;
use millstream::connectors::kafka::{Bounded, KafkaSource, KafkaSourceOptions};
use millstream::prelude::*;
use millstream::runtime::{RuntimeOptions, run as run_job};
use millstream_testkit::{Kafka, unique_name};
use rdkafka::bindings as sys;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::discard::Discard;
use crate::measure::{Took, best_of, time};
use crate::report::Report;
use crate::{Arguments, input, jobs};

const EVENTS: f64 = 2_000_000.0;
/// Partitions of every topic here.
const PARTITIONS: u16 = 4;
const BATCH: usize = 4096;

/// Runs it.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = (EVENTS * arguments.scale) as u64;
    let kafka = Kafka::start()?;
    let topic = produce(&kafka, events)?;
    report.line(format!(
        "{events} lines in {PARTITIONS} partitions, not compressed; best of {}",
        arguments.runs
    ));
    let address = kafka.bootstrap();
    let row = |name: &str, took: Took, bare: Took| {
        let (cpu, wall) = (took.cpu_per(events), took.wall_per(events));
        let (of_cpu, of_wall) = (bare.cpu_per(events) / cpu, bare.wall_per(events) / wall);
        format!("{name:<44}{cpu:>8.0}{wall:>9.0}{of_cpu:>15.2}{of_wall:>15.2}")
    };
    report.line(format!(
        "{:<44}{:>8}{:>9}{:>15}{:>15}",
        "", "CPU ns", "wall ns", "CPU, of poll", "wall, of poll"
    ));
    let (_, poll) = best_of(arguments.runs, || time(|| poll_all(address, &topic, events)))?;
    report.line(row("bare BaseConsumer::poll", poll, poll));
    let (_, queue) = best_of(arguments.runs, || time(|| take_all(address, &topic, events)))?;
    report.line(row("bare rd_kafka_consume_batch_queue", queue, poll));
    let (_, source) = best_of(arguments.runs, || time(|| to_discard(address, &topic, events)))?;
    report.line(row("Millstream to discard", source, poll));
    let (_, job) = best_of(arguments.runs, || time(|| to_counts(address, &topic)))?;
    report.line(row("Millstream decode, count per minute, discard", job, poll));
    Ok(())
}

/// A new topic with the lines of [`input::lines`] in it.
pub(crate) fn produce(kafka: &Kafka, events: u64) -> Result<String> {
    let topic = unique_name("clicks");
    kafka.create_topics(&[(&topic, i32::from(PARTITIONS))])?;
    let producer = producer(kafka.bootstrap())?;
    for partition in 0..PARTITIONS {
        for line in input::lines(events, PARTITIONS, partition) {
            send(&producer, &topic, i32::from(partition), &line)?;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(topic)
}

/// A producer of large batches.
pub(crate) type Producer = ThreadedProducer<DefaultProducerContext>;

pub(crate) fn producer(brokers: &str) -> Result<Producer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("linger.ms", "50").set("batch.size", "1000000");
    Ok(config.create()?)
}

/// Sends a message, and waits where the producer's queue is full.
pub(crate) fn send(producer: &Producer, topic: &str, partition: i32, line: &[u8]) -> Result<()> {
    let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(line);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error).context("the topic cannot be filled"),
        }
    }
}

// The settings that Millstream's source suggests: the loops are not to lose by worse ones.
fn consumer(brokers: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    for (name, value) in [
        ("bootstrap.servers", brokers),
        ("group.id", "bench"),
        ("enable.auto.commit", "false"),
        ("fetch.queue.backoff.ms", "2"),
        ("fetch.wait.max.ms", "50"),
        ("queued.max.messages.kbytes", "65536"),
    ] {
        config.set(name, value);
    }
    Ok(config.create()?)
}

fn poll_all(brokers: &str, topic: &str, events: u64) -> Result<()> {
    let consumer = consumer(brokers)?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..i32::from(PARTITIONS) {
        partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < events {
        let message = consumer.poll(Duration::from_secs(30)).context("the topic has too few messages")??;
        bytes += message.payload().map_or(0, <[u8]>::len);
        seen += 1;
    }
    std::hint::black_box(bytes);
    Ok(())
}

fn take_all(brokers: &str, topic: &str, events: u64) -> Result<()> {
    let consumer = consumer(brokers)?;
    let name = std::ffi::CString::new(topic)?;
    let mut batch: Vec<*mut sys::rd_kafka_message_t> = vec![ptr::null_mut(); BATCH];
    let (mut seen, mut bytes) = (0, 0);
    // SAFETY: the client outlives topic and queue; `batch` has room for as many pointers as are asked for,
    // and each message is read while it is alive and destroyed once.
    unsafe {
        let client = consumer.client().native_ptr();
        let topic = sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut());
        let queue = sys::rd_kafka_queue_new(client);
        for partition in 0..i32::from(PARTITIONS) {
            sys::rd_kafka_consume_start_queue(topic, partition, 0, queue);
        }
        while seen < events {
            let count = sys::rd_kafka_consume_batch_queue(queue, 1000, batch.as_mut_ptr(), BATCH);
            for message in &batch[..usize::try_from(count).unwrap_or(0)] {
                seen += u64::from((**message).err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
                bytes += (**message).len;
                sys::rd_kafka_message_destroy(*message);
            }
        }
        for partition in 0..i32::from(PARTITIONS) {
            sys::rd_kafka_consume_stop(topic, partition);
        }
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_topic_destroy(topic);
    }
    std::hint::black_box(bytes);
    Ok(())
}

/// A source of a whole topic.
pub(crate) fn source(brokers: &str, topic: &str) -> KafkaSource {
    KafkaSource::new(KafkaSourceOptions {
        brokers: brokers.to_owned(),
        topic: topic.into(),
        bounded: Some(Bounded::Latest),
        ..KafkaSourceOptions::default()
    })
}

fn to_discard(brokers: &str, topic: &str, events: u64) -> Result<()> {
    let env = Environment::new("kafka");
    let discard = Discard::new(|batch: &RawBatch| batch.len() as u64);
    env.source("lines", source(brokers, topic)).sink_to("discard", discard.clone());
    run_job(env.plan()?, RuntimeOptions::default())?;
    let (_, seen) = discard.totals();
    ensure!(seen == events, "{seen} of {events} messages came");
    Ok(())
}

fn to_counts(brokers: &str, topic: &str) -> Result<()> {
    let env = Environment::new("kafka");
    let clicks = jobs::clicks(&env.source("lines", source(brokers, topic)), "userId")?;
    jobs::counts(&clicks).sink_to("discard", Discard::new(jobs::count_of));
    run_job(env.plan()?, RuntimeOptions::default())?;
    Ok(())
}
