//! Checkpoints of millions of keys in RocksDB: while they are written, when nothing has changed since, and
//! when a tenth has.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream_testkit::{Checkpoint, FlinkJob, Kafka, unique_name};

use super::cluster;
use super::topics;
use super::work::{InFlink, Programs, Work};
use crate::Arguments;
use crate::kafka::{self, Producer};
use crate::measure::{time, wait};
use crate::report::Report;

const KEYS: f64 = 5_000_000.0;
const PARTITIONS: u16 = 4;
// 2017-11-26 01:00:00 UTC: all within one minute, so that the window stays open.
const TIME: u64 = 1_511_658_000_000;
/// Of all users, those who come once more.
const CHANGED: u64 = 10;
const INTERVAL: Duration = Duration::from_secs(10);

/// By their ids.
type Seen = BTreeMap<u64, Checkpoint>;

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let users = (KEYS * arguments.scale) as u64;
    let (dir, broker) = (tempfile::tempdir()?, Kafka::start()?);
    let programs = Programs::make(dir.path())?;
    report.line(format!(
        "clicks of {users} users in an open window, parallelism 1, 512 MiB for RocksDB, incremental checkpoints every 10 s"
    ));
    for (name, who) in [("Java on Flink", InFlink::Java), ("Millstream in Flink", InFlink::Ours)] {
        report.line(name);
        one(&broker, users, who, &programs, report)?;
    }
    Ok(())
}

fn one(broker: &Kafka, users: u64, who: InFlink, programs: &Programs, report: &mut Report) -> Result<()> {
    let topic = unique_name("clicks");
    broker.create_topics(&[(&topic, i32::from(PARTITIONS))])?;
    let (producer, dir) = (kafka::producer(broker.bootstrap())?, tempfile::tempdir()?);
    send(&producer, &topic, 0..users)?;
    let flink = cluster::builder().slots(1).start()?;
    let before = cluster::cpu(&flink);
    let job = flink.run(&work(broker, &topic).submission(who, programs, dir.path())?)?;
    let following = Following { job: &job, kafka: broker, topic: &topic, group: group(who) };
    let (mut seen, took) = time(|| following.until_committed(users))?;
    let cpu = cluster::cpu(&flink) - before;
    report.line(format!(
        "  all written and in a checkpoint after {:.0} s, {:.0} s of processor time",
        took.wall.as_secs_f64(),
        cpu.as_secs_f64()
    ));
    seen.values().for_each(|checkpoint| report.line(row("", checkpoint)));
    let unchanged = job.wait_for_checkpoints(2)?;
    following.look(&mut seen)?;
    seen.get(&unchanged).into_iter().for_each(|checkpoint| report.line(row("nothing changed", checkpoint)));
    seen.clear();
    send(&producer, &topic, (0..users).step_by(CHANGED as usize))?;
    for checkpoint in following.until_committed(users + users.div_ceil(CHANGED))?.values() {
        report.line(row("a tenth comes again", checkpoint));
    }
    report.line(format!("  the TaskManager holds {} MiB", cluster::memory(&flink) >> 20));
    let written = bytes_below(dir.path())?;
    report.line(format!("  the folder of checkpoints holds {} MiB", written >> 20));
    job.cancel()
}

fn work(kafka: &Kafka, topic: &str) -> Work {
    Work {
        brokers: kafka.bootstrap().to_owned(),
        topic: topic.to_owned(),
        metrics: "user-clicks",
        parallelism: 1,
        results: None,
        bounded: false,
        rocksdb: true,
        interval: INTERVAL,
    }
}

fn group(who: InFlink) -> &'static str {
    if who == InFlink::Java { "clickstream-java" } else { "clicks" }
}

fn send(producer: &Producer, topic: &str, users: impl Iterator<Item = u64>) -> Result<()> {
    use rdkafka::producer::Producer as _;
    for (number, user) in (0_u64..).zip(users) {
        // Neighbours in the topic are no neighbours in the database.
        let user = 100_000_000 + user.wrapping_mul(7919) % 90_000_000;
        let time = TIME + number % 50_000;
        let line =
            format!("{{\"userId\":\"{user}\",\"itemId\":\"1\",\"behavior\":\"pv\",\"timestamp\":{time}}}");
        kafka::send(producer, topic, (number % u64::from(PARTITIONS)) as i32, line.as_bytes())?;
    }
    Ok(producer.flush(Duration::from_secs(60))?)
}

struct Following<'a> {
    job: &'a FlinkJob,
    kafka: &'a Kafka,
    topic: &'a str,
    group: &'a str,
}

impl Following<'_> {
    /// Until a checkpoint has all these events. Returns those that there were meanwhile.
    fn until_committed(&self, events: u64) -> Result<Seen> {
        let mut seen = Seen::new();
        loop {
            let committed = topics::committed(self.kafka.bootstrap(), self.group, self.topic, PARTITIONS)?;
            self.look(&mut seen)?;
            if committed >= events {
                return Ok(seen);
            }
            ensure!(self.job.failures()?.is_empty(), "the job failed: {:?}", self.job.failures()?);
            wait(Duration::from_millis(500));
        }
    }

    fn look(&self, seen: &mut Seen) -> Result<()> {
        let latest = self.job.checkpoints()?.latest.completed;
        seen.extend(latest.map(|checkpoint| (checkpoint.id, checkpoint)));
        Ok(())
    }
}

fn row(what: &str, checkpoint: &Checkpoint) -> String {
    format!(
        "  checkpoint {:>3}: {:>6} MiB, of which {:>6} new; complete after {:>6} ms  {what}",
        checkpoint.id,
        checkpoint.state_size >> 20,
        checkpoint.checkpointed_size >> 20,
        checkpoint.end_to_end_duration
    )
}

fn bytes_below(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        // A checkpoint may be deleted meanwhile.
        bytes +=
            if path.is_dir() { bytes_below(&path)? } else { path.metadata().map_or(0, |file| file.len()) };
    }
    Ok(bytes)
}
