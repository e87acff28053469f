//! Late events as dead letters: one for each, with its original bytes and place, and on its way back.

mod common;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::program::{finish, run, run_config};
use millstream_testkit::{Kafka, unique_name};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: i64 = 1_511_658_000_000;

// With a field that no job reads: the original is more than the event.
fn event(user: &str, time: i64) -> String {
    format!(r#"{{"userId":"{user}", "itemId":"1","behavior":"pv","session":"{user}-7", "timestamp":{time}}}"#)
}

// Half an hour of events in order, then one from its beginning: its minute is closed, its hour is not.
fn with_a_late_one() -> Vec<String> {
    let in_order = (0..100_000).map(|n| event(&format!("u{}", n % 50), MINUTE + n * 20));
    in_order.chain([event("late", MINUTE + 5)]).collect()
}

fn letters(dir: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(dir.join("dead-letter.jsonl")).unwrap_or_default();
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn raw(letter: &Value) -> Result<String> {
    let raw = letter["raw"].as_str().context("raw is a text")?;
    Ok(String::from_utf8(BASE64_STANDARD.decode(raw)?)?)
}

fn config(source: &str, more: &str) -> String {
    format!("{more}parallelism.default: 2\nsource: {source}\nsinks: [{{type: csv, dir: out}}]\n")
}

fn checkpoints(dir: &Path) -> String {
    let dir = dir.display();
    format!("execution.checkpointing.interval: 100ms\nstate.checkpoints.dir: file://{dir}/checkpoints\n")
}

#[test]
fn one_late_event_is_one_letter_that_names_all_jobs_and_holds_the_original() -> Result<()> {
    for with_checkpoints in [false, true] {
        let dir = tempfile::tempdir()?;
        let checkpoints = if with_checkpoints { checkpoints(dir.path()) } else { String::new() };
        let events = with_a_late_one();
        std::fs::write(dir.path().join("events.jsonl"), events.join("\n"))?;
        let said = run_config(dir.path(), &config("{type: files, path: events.jsonl}", &checkpoints))?;
        let letters = letters(dir.path())?;
        assert_eq!(letters.len(), 1, "{letters:?}");
        let (letter, path) = (&letters[0], dir.path().canonicalize()?.join("events.jsonl"));
        assert_eq!(raw(letter)?, events[100_000]);
        assert_eq!((&letter["source"], &letter["position"]), (&"clicks".into(), &100_001.into()));
        assert_eq!(letter["id"], format!("clicks/{}/100001/late", path.display()));
        let reason = letter["reason"].as_str().context("a reason")?;
        assert!(reason.starts_with("late for pv-uv-1min, user-clicks: "), "{reason}");
        let letters =
            said.lines().find(|line| line.contains("late-letters")).context("it is in the report")?;
        assert!(letters.ends_with("dead letters 1"), "{said}");
        assert_eq!(said.matches("dead letters").count(), 1, "counted once: {said}");
    }
    Ok(())
}

#[test]
fn many_late_events_are_as_many_letters() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut text = String::new();
    for line in with_a_late_one() {
        writeln!(text, "{line}")?;
    }
    for n in 0..30_000 {
        writeln!(text, "{}", event(&format!("late-{n}"), MINUTE + n % 60_000))?;
    }
    std::fs::write(dir.path().join("events.jsonl"), text)?;
    run_config(dir.path(), &config("{type: files, path: events.jsonl}", ""))?;
    let letters = letters(dir.path())?;
    let ids: std::collections::BTreeSet<_> = letters.iter().map(|letter| letter["id"].to_string()).collect();
    assert_eq!((letters.len(), ids.len()), (30_001, 30_001));
    for letter in &letters {
        assert!(raw(letter)?.contains("\"session\":\"late"), "{letter}");
        assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("pv-uv-1min, user-clicks")));
    }
    Ok(())
}

fn produce(brokers: &str, topic: &str, messages: &[String]) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    for message in messages {
        while producer.send(BaseRecord::<(), str>::to(topic).partition(0).payload(message)).is_err() {
            producer.poll(Duration::from_millis(100));
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

// Everything in partition 0 from an offset on.
fn consume(brokers: &str, topic: &str, from: i64) -> Result<Vec<String>> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", topic).create()?;
    let (_, end) = consumer.fetch_watermarks(topic, 0, PATIENCE)?;
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Offset(from))?;
    consumer.assign(&list)?;
    let mut seen = Vec::new();
    while (seen.len() as i64) < end - from {
        let message = consumer.poll(PATIENCE).context("a message comes in time")??;
        seen.push(String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned());
    }
    Ok(seen)
}

#[test]
fn dead_letters_of_a_topic_go_back_to_it_once() -> Result<()> {
    let (kafka, dir) = (Kafka::shared()?, tempfile::tempdir()?);
    let (clicks, dead, other) = (unique_name("clicks"), unique_name("dead"), unique_name("other"));
    kafka.create_topics(&[(&clicks, 2), (&dead, 1), (&other, 1)])?;
    let brokers = kafka.bootstrap();
    let mut messages = with_a_late_one();
    messages.push("{broken".to_owned());
    produce(brokers, &clicks, &messages)?;
    let source = format!("{{type: kafka, brokers: \"{brokers}\", topic: {clicks}, bounded: latest}}");
    let letters = format!("dead-letter: {{type: kafka, brokers: \"{brokers}\", topic: {dead}}}\n");
    // The same job twice, without checkpoints: each letter is there twice.
    for _ in 0..2 {
        run_config(dir.path(), &config(&source, &letters))?;
    }
    let letters = consume(brokers, &dead, 0)?;
    assert_eq!(letters.len(), 4, "{letters:?}");
    let late: Vec<Value> =
        letters.iter().map(|letter| Ok(serde_json::from_str(letter)?)).collect::<Result<_>>()?;
    let late = late.iter().find(|letter| letter["stage"] == "late").context("a late one")?;
    assert_eq!(
        (&late["topic"], &late["partition"], &late["offset"]),
        (&clicks.as_str().into(), &0.into(), &100_000.into())
    );

    let replay = ["replay", "--from-topic", &dead, "--format", "dead-letters", "--brokers", brokers];
    let dry = run(dir.path(), &[replay.as_slice(), &["--dry-run"]].concat())?;
    assert!(dry.contains("4 dead letters were read; 2 to send"), "{dry}");
    assert!(
        dry.contains(&format!("to {clicks}: 1 decode, 1 late")) && dry.contains("nothing was sent"),
        "{dry}"
    );
    assert_eq!(consume(brokers, &clicks, 100_002)?, [""; 0]);

    run(dir.path(), &replay)?;
    let mut again = consume(brokers, &clicks, 100_002)?;
    again.sort();
    let mut wanted = [messages[100_000].clone(), messages[100_001].clone()];
    wanted.sort();
    assert_eq!(again, wanted);

    run(dir.path(), &[replay.as_slice(), &["--stage", "late", "--topic", &other]].concat())?;
    assert_eq!(consume(brokers, &other, 0)?, [messages[100_000].clone()]);
    Ok(())
}

#[test]
fn dead_letters_of_a_file_want_a_target() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("events.jsonl"), format!("{}\n{{broken\n", event("a", MINUTE)))?;
    run_config(dir.path(), &config("{type: files, path: events.jsonl}", ""))?;
    let replay = ["replay", "dead-letter.jsonl", "--format", "dead-letters"];
    let said = run(dir.path(), &replay)?;
    assert!(said.contains("not sent: 1 from files") && said.contains("nothing was sent"), "{said}");
    run(dir.path(), &[replay.as_slice(), &["--to", "again.jsonl"]].concat())?;
    assert_eq!(std::fs::read_to_string(dir.path().join("again.jsonl"))?, "{broken\n");
    let onto_itself = finish(dir.path(), &[replay.as_slice(), &["--to", "./dead-letter.jsonl"]].concat())?;
    assert_eq!(onto_itself.status.code(), Some(2));
    assert!(!std::fs::read_to_string(dir.path().join("dead-letter.jsonl"))?.is_empty());
    let wrong =
        finish(dir.path(), &["replay", "events.jsonl", "--format", "jsonl", "--dry-run", "--to", "x"])?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("--format dead-letters"));
    let help = finish(dir.path(), &["replay", "--help"])?;
    assert!(String::from_utf8_lossy(&help.stdout).contains("--format dead-letters --dry-run"));
    Ok(())
}
