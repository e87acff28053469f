//! Clocks and time zones as a shop meets them: phones and hosts whose clock is wrong, days that have 23 or 25
//! hours.
#![allow(
    clippy::disallowed_methods,
    reason = "events are told by the real clock, and a process is waited for"
)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use common::program::{clickstream, finish, run_config};
use millstream_testkit::{Kafka, http, unique_name};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

const HOUR: i64 = 3_600_000;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_millis() as i64
}

fn event(user: &str, time: i64) -> String {
    format!(r#"{{"userId":"{user}","itemId":"1","categoryId":"2","behavior":"pv","timestamp":{time}}}"#)
}

fn from_file(dir: &Path, lines: &str, settings: &str) -> Result<String> {
    std::fs::write(dir.join("events.jsonl"), lines)?;
    let config = "source: {type: files, path: events.jsonl}\nsinks: [{type: csv, dir: out}]\n";
    run_config(dir, &format!("{config}{settings}\n"))
}

/// Clicks by user.
fn clicks(dir: &Path) -> Result<BTreeMap<String, u64>> {
    let mut clicks = BTreeMap::new();
    for row in csv::Reader::from_path(dir.join("out/user_clicks.csv"))?.records() {
        let row = row?;
        *clicks.entry(row[0].to_owned()).or_default() += row[3].parse::<u64>()?;
    }
    Ok(clicks)
}

#[test]
fn a_phone_that_is_hours_or_seconds_ahead_costs_nobody_an_event() -> Result<()> {
    for (ahead, known) in [(8 * HOUR, "by 7 h 59 min"), (50_000, "")] {
        let dir = tempfile::tempdir()?;
        let (start, mut lines) = (now() - 60_000, String::new());
        for n in 0..60_000 {
            writeln!(lines, "{}", event("honest", start + n))?;
            if n == 2000 {
                writeln!(lines, "{}", event("phone", now() + ahead))?;
            }
        }
        let said = from_file(dir.path(), &lines, "jobs: [user-clicks]")?;
        let clicks = clicks(dir.path())?;
        assert_eq!((clicks["honest"], clicks["phone"]), (60_000, 1), "{ahead}: {said}");
        let reported =
            said.lines().filter(|line| line.contains("ahead of this host's clock")).collect::<Vec<_>>();
        let wanted = usize::from(!known.is_empty());
        assert_eq!(reported.len(), wanted, "{said}");
        assert!(
            reported.iter().all(|line| line.contains("1 event of split ") && line.contains(known)),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn an_event_that_is_further_ahead_than_max_ahead_is_a_dead_letter_that_names_the_clock() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let lines = [event("honest", now() - 1000), event("phone", now() + 2 * HOUR)].join("\n");
    let said =
        from_file(dir.path(), &lines, "jobs: [user-clicks]\nwatermark: {max-ahead: 1h, tolerance: 10s}")?;
    assert!(said.contains("dead letters 1"), "{said}");
    assert_eq!(clicks(dir.path())?, BTreeMap::from([("honest".to_owned(), 1)]));
    let letter = std::fs::read_to_string(dir.path().join("dead-letter.jsonl"))?;
    assert!(letter.contains("this host's clock plus max-ahead"), "{letter}");
    Ok(())
}

// The wall clock says nothing of a recording: a clock in it that is wrong cannot be told from the others, but
// what it does is said.
#[test]
fn a_wrong_clock_in_a_recording_is_said_with_the_jump_that_it_made() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (start, mut lines) = (1_511_658_000_000, String::new());
    for n in 0..60_000 {
        let (user, time) = if n == 40_000 { ("phone", start + 8 * HOUR) } else { ("honest", start + n) };
        writeln!(lines, "{}", event(user, time))?;
    }
    let said = from_file(dir.path(), &lines, "jobs: [user-clicks]")?;
    let reported: Vec<_> =
        said.lines().filter(|line| line.contains("are older than its event time")).collect();
    assert_eq!(reported.len(), 1, "{said}");
    assert!(reported[0].contains("Its largest step was from 2017-11-26T01:00:"), "{said}");
    assert!(reported[0].contains("to 2017-11-26T09:00:00Z"), "{said}");
    Ok(())
}

/// A job that runs until it is dropped.
struct Running {
    program: Child,
    port: u16,
}

impl Running {
    fn start(dir: &Path, topic: &str, watermark: &str) -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let brokers = Kafka::shared()?.bootstrap();
        let config = format!(
            "source: {{type: kafka, brokers: \"{brokers}\", topic: {topic}, start: earliest}}\nsinks: [{{type: csv, dir: out}}]\n\
             jobs: [user-clicks]\nwatermark: {watermark}\nrest.port: {port}\n"
        );
        std::fs::write(dir.join("job.yaml"), config)?;
        let log = std::fs::File::create(dir.join("log"))?;
        let arguments = ["run", "--config", "job.yaml"];
        let program = clickstream(dir).args(arguments).stdout(Stdio::null()).stderr(log).spawn()?;
        Ok(Self { program, port })
    }

    fn metrics(&self) -> Result<String> {
        Ok(http::get(self.port, "/metrics", None)?.body)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..1200 {
        if holds().unwrap_or(false) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("not within two minutes: {what}")
}

#[test]
fn where_the_hosts_clock_is_slow_the_clock_holds_the_watermark_until_it_is_told_to_believe_the_events()
-> Result<()> {
    let kafka = Kafka::shared()?;
    let topic = unique_name("slow-clock");
    kafka.create_topics(&[(&topic, 2)])?;
    let producer: ThreadedProducer<_> =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create()?;
    let start = now() + HOUR;
    for n in 0..988 {
        let (key, line) = (n.to_string(), event("shop", start + n * 200));
        let record = BaseRecord::to(&topic).key(&key).payload(&line);
        producer.send(record).map_err(|(error, _)| error).context("Kafka takes no event")?;
    }
    producer.flush(Duration::from_secs(30))?;

    let dir = tempfile::tempdir()?;
    let log = || std::fs::read_to_string(dir.path().join("log"));
    let running = Running::start(dir.path(), &topic, "{}")?;
    until("the clock is named", || {
        let metrics = running.metrics()?;
        let counted: f64 = metrics
            .lines()
            .filter(|line| line.contains("numRecordsAheadOfClock{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        let held = metrics
            .lines()
            .any(|line| line.contains("watermarkHeldBy{") && line.contains("held_by=\"the clock\""));
        let said = log()?.contains("the clock holds the watermark");
        Ok(held && said && (counted - 988.0).abs() < 0.5)
    })?;
    drop(running);

    // The last minute is open still, and its window closes 5 s behind its end: at 5 events per second, that
    // is up to 325 of them.
    let running = Running::start(dir.path(), &topic, "{tolerance: 2h}")?;
    until("the events are believed", || Ok(clicks(dir.path())?.values().sum::<u64>() >= 988 - 330))?;
    drop(running);
    Ok(())
}

/// Start and end of windows with their views, of one granularity and all categories.
fn views(dir: &Path, granularity: &str) -> Result<Vec<(i64, i64, u64)>> {
    let mut views = Vec::new();
    for row in csv::Reader::from_path(dir.join("out/pv_uv.csv"))?.records() {
        let row = row?;
        if (&row[0], &row[1]) == (granularity, "all") {
            views.push((row[3].parse()?, row[4].parse()?, row[5].parse()?));
        }
    }
    views.sort_unstable();
    Ok(views)
}

// One event at each full and half hour UTC: a window's views say how long it is.
fn hourly(from: i64, hours: i64) -> String {
    let times = (0..2 * hours).map(|half| from + half * HOUR / 2);
    times.map(|time| event("a", time) + "\n").collect()
}

#[test]
fn hours_and_days_are_those_of_the_shops_time_zone() -> Result<()> {
    let settings =
        |zone: &str| format!("jobs: [pv-uv]\ntime-zone: {zone}\npv-uv: {{granularities: [1h, 1d]}}");
    // 2025-10-25T00:00:00Z: in Berlin the 26th has 25 hours.
    let (from, dir) = (1_761_350_400_000, tempfile::tempdir()?);
    from_file(dir.path(), &hourly(from, 72), &settings("Europe/Berlin"))?;
    let [first, next, last] = [from + 22 * HOUR, from + 47 * HOUR, from + 71 * HOUR];
    let wanted =
        [(first - 24 * HOUR, first, 44), (first, next, 50), (next, last, 48), (last, last + 24 * HOUR, 2)];
    assert_eq!(views(dir.path(), "1d")?, wanted);
    let hours: Vec<_> = (0..72).map(|hour| (from + hour * HOUR, from + (hour + 1) * HOUR, 2)).collect();
    assert_eq!(views(dir.path(), "1h")?, hours, "whole hours are those of UTC");

    for zone in ["Asia/Kolkata", "+05:30"] {
        let dir = tempfile::tempdir()?;
        from_file(dir.path(), &hourly(from, 24), &settings(zone))?;
        let midnight = from + 18 * HOUR + HOUR / 2;
        let wanted = [(midnight - 24 * HOUR, midnight, 37), (midnight, midnight + 24 * HOUR, 11)];
        assert_eq!(views(dir.path(), "1d")?, wanted, "{zone}");
        let hours = views(dir.path(), "1h")?;
        assert_eq!((hours.len(), hours[0]), (25, (from - HOUR / 2, from + HOUR / 2, 1)), "{zone}");
    }
    Ok(())
}

#[test]
fn a_time_zone_that_does_not_exist_is_refused_with_advice() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config =
        "source: {type: files, path: none}\nsinks: [{type: csv, dir: out}]\ntime-zone: Asia/Shangai\n";
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let output = finish(dir.path(), &["plan", "--config", "job.yaml"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("there is no time zone") && said.contains("Asia/Shanghai"),
        "{said}"
    );
    Ok(())
}
