//! The main job on real servers: a recording, replayed into Kafka out of order and with broken records, counted into Elasticsearch,
//! Redis, SQLite and CSV; every number and every dead letter compared with what is counted here by brute force.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::brute_force::{self, HotItems, PvUv, UserClicks, assert_same};
use common::{program, recording};
use millstream_testkit::{Elasticsearch, Kafka, Redis, http, unique_name};
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

type Results = (UserClicks, HotItems, PvUv);

fn compare(store: &str, got: &Results, wanted: &Results) {
    assert_same(&format!("user_clicks in {store}"), &got.0, &wanted.0);
    assert_same(&format!("hot_items in {store}"), &got.1, &wanted.1);
    assert_same(&format!("pv_uv in {store}"), &got.2, &wanted.2);
}

fn text(row: &Value, column: &str) -> String {
    match &row[column] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number<T: TryFrom<i64, Error: std::fmt::Debug>>(row: &Value, column: &str) -> T {
    let number = text(row, column).parse::<i64>().expect("a column of numbers");
    T::try_from(number).expect("a number in range")
}

// Rows as JSON objects, from whatever store. A row that is there twice is a mistake.
fn results(user_clicks: &[Value], hot_items: &[Value], pv_uv: &[Value]) -> Results {
    let mut results = Results::default();
    for row in user_clicks {
        assert_eq!(number::<i64>(row, "window_end"), number::<i64>(row, "window_start") + 60_000);
        let key = (text(row, "user_id"), number(row, "window_start"));
        assert_eq!(results.0.insert(key, number(row, "count")), None, "twice: {row}");
    }
    for row in hot_items {
        let place = (number(row, "window_end"), number(row, "rank"));
        assert_eq!(
            results.1.insert(place, (text(row, "item_id"), number(row, "count"))),
            None,
            "twice: {row}"
        );
    }
    for row in pv_uv {
        let (granularity, dimension) = (text(row, "granularity"), text(row, "dimension"));
        let key = (granularity, dimension, text(row, "value"), number(row, "window_start"));
        assert_eq!(results.2.insert(key, (number(row, "pv"), number(row, "uv"))), None, "twice: {row}");
    }
    results
}

fn in_elasticsearch(url: &str, prefix: &str) -> Result<Results> {
    let index = |table: &str| all_documents(url, &format!("{prefix}{table}"));
    Ok(results(&index("user_clicks")?, &index("hot_items")?, &index("pv_uv")?))
}

fn all_documents(url: &str, index: &str) -> Result<Vec<Value>> {
    post(url, &format!("/{index}/_refresh"), "")?;
    let mut page = post(url, &format!("/{index}/_search?scroll=1m&size=10000"), r#"{"sort": ["_doc"]}"#)?;
    let mut documents = Vec::new();
    loop {
        let hits = page["hits"]["hits"].as_array().context("a search answers with hits")?;
        if hits.is_empty() {
            return Ok(documents);
        }
        documents.extend(hits.iter().map(|hit| hit["_source"].clone()));
        let next = serde_json::json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] });
        page = post(url, "/_search/scroll", &next.to_string())?;
    }
}

fn post(url: &str, path: &str, body: &str) -> Result<Value> {
    let port = url.rsplit(':').next().context("a URL with a port")?.parse()?;
    let answer = http::request(port, "POST", path, None, body)?;
    ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}

fn in_sqlite(path: &Path) -> Result<Results> {
    let database = rusqlite::Connection::open(path)?;
    let table = |table: &str| -> Result<Vec<Value>> {
        let mut statement = database.prepare(&format!("select * from {table}"))?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let rows = statement.query_map([], |row| {
            names
                .iter()
                .enumerate()
                .map(|(index, name)| Ok((name.clone(), json(row.get_ref(index)?))))
                .collect()
        })?;
        Ok(rows
            .collect::<rusqlite::Result<Vec<serde_json::Map<_, _>>>>()?
            .into_iter()
            .map(Value::Object)
            .collect())
    };
    Ok(results(&table("user_clicks")?, &table("hot_items")?, &table("pv_uv")?))
}

fn json(value: rusqlite::types::ValueRef<'_>) -> Value {
    match value {
        rusqlite::types::ValueRef::Integer(number) => number.into(),
        other => other.as_str().expect("a column of text or numbers").into(),
    }
}

fn in_csv(dir: &Path) -> Result<Results> {
    let table = |table: &str| -> Result<Vec<Value>> {
        let mut reader = csv::Reader::from_path(dir.join(format!("{table}.csv")))?;
        let rows = reader.deserialize::<BTreeMap<String, String>>();
        rows.map(|row| Ok(serde_json::to_value(row?)?)).collect()
    };
    Ok(results(&table("user_clicks")?, &table("hot_items")?, &table("pv_uv")?))
}

fn compare_redis(url: &str, wanted: &Results) -> Result<()> {
    let mut redis = redis::Client::open(url)?.get_connection()?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut redis)?;
    let count = |table: &str| keys.iter().filter(|key| key.starts_with(&format!("{table}:"))).count();
    assert_eq!(count("user_clicks"), wanted.0.len());
    assert_eq!(count("pv_uv"), wanted.2.len());
    for ((user, start), clicks) in &wanted.0 {
        let key = format!("user_clicks:{user}:{start}");
        let got: Option<u64> = redis::cmd("HGET").arg(&key).arg("count").query(&mut redis)?;
        assert_eq!(got, Some(*clicks), "{key}");
    }
    for ((granularity, dimension, value, start), (pv, uv)) in &wanted.2 {
        let key = format!("pv_uv:{granularity}:{dimension}:{value}:{start}");
        let got: (Option<u64>, Option<u64>) =
            redis::cmd("HMGET").arg(&key).arg(&["pv", "uv"]).query(&mut redis)?;
        assert_eq!(got, (Some(*pv), Some(*uv)), "{key}");
    }
    let mut rankings: BTreeMap<i64, BTreeMap<String, u64>> = BTreeMap::new();
    for ((end, _), (item, clicks)) in &wanted.1 {
        rankings.entry(*end).or_default().insert(item.clone(), *clicks);
    }
    for (end, ranking) in rankings {
        let key = format!("hot_items:{end}");
        let got: Vec<(String, f64)> =
            redis::cmd("ZRANGE").arg(&key).arg(&["0", "-1", "WITHSCORES"]).query(&mut redis)?;
        let got: BTreeMap<_, _> = got.into_iter().map(|(item, score)| (item, score as u64)).collect();
        assert_eq!(got, ranking, "{key}");
    }
    Ok(())
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
