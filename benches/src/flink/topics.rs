//! How far a consumer group is, and what results came.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(30);

fn consumer(brokers: &str, group: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", group).set("enable.auto.commit", "false");
    Ok(config.create()?)
}

/// Messages of a topic that a group has committed, as both sides do with each checkpoint.
pub(super) fn committed(brokers: &str, group: &str, topic: &str, partitions: u16) -> Result<u64> {
    let mut asked = TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition(topic, i32::from(partition));
    }
    let known = consumer(brokers, group)?.committed_offsets(asked, PATIENCE)?;
    let offsets = known.elements().into_iter().map(|partition| match partition.offset() {
        Offset::Offset(offset) => offset as u64,
        _ => 0,
    });
    Ok(offsets.sum())
}

/// All messages of a topic with one partition.
pub(super) fn all(brokers: &str, topic: &str) -> Result<Vec<String>> {
    let consumer = consumer(brokers, "all")?;
    let (_, end) = consumer.fetch_watermarks(topic, 0, PATIENCE)?;
    let mut lines = Vec::new();
    assign(&consumer, topic, Offset::Beginning)?;
    while (lines.len() as i64) < end {
        let message = consumer.poll(PATIENCE).context("the topic has too few messages")??;
        lines.push(String::from_utf8(message.payload().unwrap_or_default().to_vec())?);
    }
    Ok(lines)
}

/// The messages that come to a topic with one partition from now on.
pub(super) fn tail(brokers: &str, topic: &str) -> Result<BaseConsumer> {
    let consumer = consumer(brokers, "tail")?;
    assign(&consumer, topic, Offset::End)?;
    Ok(consumer)
}

fn assign(consumer: &BaseConsumer, topic: &str, offset: Offset) -> Result<()> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, offset)?;
    Ok(consumer.assign(&partitions)?)
}
