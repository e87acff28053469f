//! The program with Kafka, on days when something about Kafka is not as it should be.

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::program::{clickstream, finish, run, run_config};
use millstream_testkit::{Kafka, unique_name, wait};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: i64 = 1_511_658_000_000;

fn event(user: &str, time: i64) -> String {
    format!(r#"{{"userId":"{user}","itemId":"1","categoryId":"2","behavior":"pv","timestamp":{time}}}"#)
}

fn produce(brokers: &str, topic: &str, messages: &[String]) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    for message in messages {
        let record = BaseRecord::<(), str>::to(topic).payload(message);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(PATIENCE)?)
}

fn clicks(dir: &Path) -> usize {
    let text = std::fs::read_to_string(dir.join("out/user_clicks.csv")).unwrap_or_default();
    text.lines().skip(1).count()
}

fn start(dir: &Path, config: &str) -> Result<Child> {
    std::fs::write(dir.join("job.yaml"), config)?;
    let log = File::create(dir.join("run.log"))?;
    Ok(clickstream(dir).args(["run", "--config", "job.yaml"]).stderr(log).spawn()?)
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("run.log")).unwrap_or_default()
}

fn end(job: &mut Child) -> Result<()> {
    ensure!(Command::new("kill").args(["-TERM", &job.id().to_string()]).status()?.success());
    let status = job.wait()?;
    ensure!(status.success(), "the job ended with {status}");
    Ok(())
}

#[test]
fn kafka_that_is_away_at_the_start_is_waited_for() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (mut kafka, topic) = (Kafka::start()?, unique_name("away"));
    kafka.create_topics(&[(&topic, 1)])?;
    let events: Vec<_> = (0..120).map(|second| event("a", MINUTE + second * 1_000)).collect();
    produce(kafka.bootstrap(), &topic, &events)?;
    kafka.stop()?;
    let config = format!(
        "source: {{type: kafka, brokers: \"{}\", topic: {topic}, connect-timeout: 1s}}\njobs: [user-clicks]\n\
         sinks: [{{type: csv, dir: out}}]\n",
        kafka.bootstrap()
    );
    let mut job = start(dir.path(), &config)?;
    let said = wait::until(PATIENCE, || log(dir.path()).contains("it is tried again"));
    assert!(said, "{}", log(dir.path()));
    kafka.restart()?;
    let counted = wait::until(PATIENCE, || clicks(dir.path()) == 1);
    assert!(counted, "{}", log(dir.path()));
    end(&mut job)
}

// Whoever waits can be stopped.
#[test]
fn a_job_that_waits_for_kafka_ends_when_it_is_told() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = "source: {type: kafka, brokers: \"127.0.0.1:1\", topic: x, connect-timeout: 1s}\n\
                  sinks: [{type: csv, dir: out}]\n";
    let mut job = start(dir.path(), config)?;
    assert!(wait::until(PATIENCE, || log(dir.path()).contains("it is tried again")));
    end(&mut job)
}

#[test]
fn a_dead_letter_that_is_too_large_for_its_topic_is_cut_and_marked() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    let (topic, letters) = (unique_name("broken"), unique_name("letters"));
    kafka.create_topics(&[(&topic, 1), (&letters, 1)])?;
    // Base64 makes more of it than the topic takes, and compression nothing less.
    let noise = (0..900_000_u32).map(|n| char::from(33 + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90));
    let broken = format!("{{{}", noise.collect::<String>());
    let messages = [event("a", MINUTE), broken.clone(), "{short".to_owned(), event("b", MINUTE)];
    produce(kafka.bootstrap(), &topic, &messages)?;
    let brokers = kafka.bootstrap();
    run_config(
        dir.path(),
        &format!(
            "source: {{type: kafka, brokers: \"{brokers}\", topic: {topic}, bounded: latest}}\njobs: [user-clicks]\n\
             sinks: [{{type: csv, dir: out}}]\n\
             dead-letter: {{type: kafka, brokers: \"{brokers}\", topic: {letters}, compression: none}}\n"
        ),
    )?;
    assert_eq!(clicks(dir.path()), 2);
    let mut letters = read(brokers, &letters, 2)?;
    letters.sort_by_key(|letter| letter["position"].as_i64());
    let raw = |letter: &Value| -> Result<Vec<u8>> {
        Ok(BASE64_STANDARD.decode(letter["raw"].as_str().context("raw is a text")?)?)
    };
    assert!(raw(&letters[0])? == broken.as_bytes()[..broken.len() / 2]);
    assert_eq!(letters[0]["raw_bytes"], broken.len());
    assert_eq!((raw(&letters[1])?.as_slice(), letters[1].get("raw_bytes")), (b"{short".as_slice(), None));
    Ok(())
}

// Nothing is too small for this topic: whatever is left of a letter is too large.
#[test]
fn a_dead_letter_that_its_topic_never_takes_stops_the_job() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    let (topic, letters) = (unique_name("broken"), unique_name("tiny"));
    kafka.create_topics(&[(&topic, 1)])?;
    kafka.create_topic_with(&letters, 1, &[("max.message.bytes", "100")])?;
    let brokers = kafka.bootstrap();
    produce(brokers, &topic, &["{short".to_owned()])?;
    let config = format!(
        "source: {{type: kafka, brokers: \"{brokers}\", topic: {topic}, bounded: latest}}\n\
         sinks: [{{type: csv, dir: out}}]\ndead-letter: {{type: kafka, brokers: \"{brokers}\", topic: {letters}}}\n"
    );
    let status = start(dir.path(), &config)?.wait()?;
    assert!(!status.success());
    assert!(log(dir.path()).contains("refused by its own place"), "{}", log(dir.path()));
    Ok(())
}

fn read(brokers: &str, topic: &str, count: usize) -> Result<Vec<Value>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", topic)
        .set("fetch.message.max.bytes", "10000000");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    let mut values = Vec::new();
    let read = wait::until(PATIENCE, || {
        while let Some(Ok(message)) = consumer.poll(Duration::ZERO) {
            values.push(serde_json::from_slice(message.payload().unwrap_or_default()));
        }
        values.len() >= count
    });
    ensure!(read, "{} of {count} messages came", values.len());
    values.into_iter().map(|value| Ok(value?)).collect()
}

#[test]
fn commands_give_up_where_no_kafka_answers() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let generate = ["generate", "--count", "3", "--topic", "clicks", "--brokers", "127.0.0.1:9"];
    let output = finish(dir.path(), &generate)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{}:\n{said}", output.status);
    ensure!(said.contains("no Kafka broker answered at 127.0.0.1:9 within 15 s"), "{said}");
    ensure!(said.lines().count() < 10, "{said}");
    Ok(())
}

#[test]
fn a_replay_logs_in_as_its_command_config_says() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let kafka = Kafka::builder().sasl("alice", "right-password").start()?;
    kafka.create_topics(&[("clicks", 1)])?;
    std::fs::write(dir.path().join("in"), event("a", MINUTE) + "\n")?;
    let login = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=alice\nsasl.password=right-password\n";
    std::fs::write(dir.path().join("client.properties"), login)?;
    let brokers = kafka.sasl_bootstrap().context("a listener with logins")?;
    let replay = ["replay", "in", "--format", "jsonl", "--topic", "clicks", "--brokers", brokers];
    run(dir.path(), &[&replay[..], &["--command-config", "client.properties"]].concat())?;
    assert_eq!(read(kafka.bootstrap(), "clicks", 1)?[0]["userId"], "a");
    Ok(())
}

#[test]
fn a_message_that_its_topic_never_takes_fails_a_replay_and_the_others_are_sent() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (kafka, topic) = (Kafka::shared()?, unique_name("small"));
    kafka.create_topic_with(&topic, 1, &[("max.message.bytes", "2000")])?;
    let noise = (0..9_000_u32).map(|n| char::from(35 + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 50));
    let large = event(&noise.collect::<String>(), MINUTE);
    let lines = [event("a", MINUTE), large, event("b", MINUTE)];
    std::fs::write(dir.path().join("events.jsonl"), lines.join("\n"))?;
    let replay =
        ["replay", "events.jsonl", "--format", "jsonl", "--brokers", kafka.bootstrap(), "--topic", &topic];
    let output = finish(dir.path(), &replay)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a message is not sent: Kafka refuses it for topic"), "{said}");
    assert!(said.contains("1 of the messages were not sent"), "{said}");
    assert_eq!(read(kafka.bootstrap(), &topic, 2)?.len(), 2);
    Ok(())
}
