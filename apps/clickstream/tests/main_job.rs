//! The main job on real servers: a recording, replayed into Kafka out of order and with broken records,
//! counted into Elasticsearch, Redis, SQLite and CSV; every number and every dead letter compared with what
//! is counted here by brute force.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::stores::{compare, compare_redis, in_csv, in_elasticsearch, in_sqlite, number, text};
use common::{brute_force, program, recording};
use millstream_testkit::{Elasticsearch, Kafka, Redis, unique_name};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::Value;

const PARTITIONS: i32 = 4;

#[test]
fn every_count_in_every_store_and_every_broken_record_in_the_dead_letter() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, events) = recording::recording(dir.path())?;
    let (kafka, elasticsearch, redis) = (Kafka::shared()?, Elasticsearch::shared()?, Redis::start()?);
    let topic = unique_name("user-clicks");
    kafka.create_topics(&[(&topic, PARTITIONS)])?;
    let file = file.to_string_lossy();
    let replay =
        ["replay", &file, "--format", "taobao-csv", "--topic", &topic, "--brokers", kafka.bootstrap()];
    program::run(dir.path(), &[&replay[..], &["--shuffle", "5s", "--broken", "0.001"]].concat())?;

    let prefix = format!("{}-", unique_name("shop").to_lowercase());
    let said = program::run_config(
        dir.path(),
        &format!(
            r#"
pipeline.name: click-stream
parallelism.default: 2
source: {{type: kafka, brokers: "{}", topic: {topic}, start: earliest, bounded: latest}}
watermark: {{max-out-of-orderness: 5s, idleness: 30s}}
jobs: [user-clicks, hot-items, pv-uv]
sinks:
  - {{type: elasticsearch, hosts: ["{}"], index-prefix: "{prefix}"}}
  - {{type: redis, url: "{}"}}
  - {{type: sqlite, path: clicks.db}}
  - {{type: csv, dir: out}}
dead-letter: {{type: files, path: dead-letter.jsonl}}
"#,
            kafka.bootstrap(),
            elasticsearch.url(),
            redis.url()
        ),
    )?;
    assert!(said.contains("everything was read"), "{said}");

    let wanted =
        (brute_force::user_clicks(&events), brute_force::hot_items(&events, 3), brute_force::pv_uv(&events));
    compare("Elasticsearch", &in_elasticsearch(elasticsearch.url(), &prefix)?, &wanted);
    compare("SQLite", &in_sqlite(&dir.path().join("clicks.db"))?, &wanted);
    compare("CSV", &in_csv(&dir.path().join("out"))?, &wanted);
    compare_redis(redis.url(), &wanted)?;
    compare_dead_letters(kafka.bootstrap(), &topic, &dir.path().join("dead-letter.jsonl"))
}

// What is broken is judged here, by serde_json and in its own words, from what really is in the topic.
fn compare_dead_letters(brokers: &str, topic: &str, file: &Path) -> Result<()> {
    let mut wanted = broken_messages(brokers, topic)?;
    ensure!(wanted.len() > 20, "only {} broken records: nothing to compare", wanted.len());
    for line in std::fs::read_to_string(file)?.lines() {
        let letter: Value = serde_json::from_str(line)?;
        assert_eq!(
            (&letter["topic"], &letter["stage"]),
            (&Value::from(topic), &Value::from("decode")),
            "{letter}"
        );
        assert!(!text(&letter, "reason").is_empty() && !text(&letter, "id").is_empty(), "{letter}");
        let raw = BASE64_STANDARD.decode(text(&letter, "raw"))?;
        let place = (number::<i32>(&letter, "partition"), number::<i64>(&letter, "offset"));
        assert_eq!(wanted.remove(&place), Some(raw), "{letter}");
    }
    assert!(wanted.is_empty(), "not in the dead letter: {wanted:?}");
    Ok(())
}

fn broken_messages(brokers: &str, topic: &str) -> Result<BTreeMap<(i32, i64), Vec<u8>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", topic)
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let (mut broken, mut ended) = (BTreeMap::new(), 0);
    while ended < PARTITIONS {
        match consumer.poll(Duration::from_secs(30)).context("Kafka is silent")? {
            Ok(message) => {
                let bytes = message.payload().unwrap_or_default();
                if !is_event(bytes) {
                    broken.insert((message.partition(), message.offset()), bytes.to_vec());
                }
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(broken)
}

// Events without a user are no broken records: they are dropped and counted.
fn is_event(bytes: &[u8]) -> bool {
    let Ok(Value::Object(event)) = serde_json::from_slice(bytes) else { return false };
    let id = |name: &str| event.get(name).is_some_and(|value| value.is_string() || value.is_number());
    let may = |name: &str| {
        event.get(name).is_none_or(|value| value.is_string() || value.is_number() || value.is_null())
    };
    let time = match event.get("timestamp") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let plausible = time.is_some_and(|time| (946_684_800_000..4_000_000_000_000).contains(&time));
    id("itemId") && id("behavior") && may("userId") && may("categoryId") && plausible
}
