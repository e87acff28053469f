//! From SIGKILL of the TaskManager that runs the job to the next result, with a spare one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};
use millstream::runtime::SystemClock;
use millstream::time::Clock as _;
use millstream_testkit::group::Group;
use millstream_testkit::{Flink, Kafka, unique_name};
use rdkafka::consumer::BaseConsumer;

use super::cluster;
use super::topics;
use super::work::{InFlink, Programs, Work};
use crate::Arguments;
use crate::kafka;
use crate::measure::wait;
use crate::report::Report;

const USERS: u64 = 1_000;
const PER_MILLISECOND: u64 = 5;
/// Milliseconds of event time in one: a minute's results come ten times a second.
const FASTER: u64 = 600;
const QUIET: Duration = Duration::from_secs(20);

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let (dir, broker) = (tempfile::tempdir()?, Kafka::start()?);
    let programs = Programs::make(dir.path())?;
    report.line(format!(
        "from SIGKILL of the TaskManager to the next row in Kafka, {} times; a spare TaskManager, parallelism 1, {} events per \
         second, checkpoints every second, restart after 500 ms",
        arguments.runs,
        PER_MILLISECOND * 1000
    ));
    for (name, who) in [("Java on Flink", InFlink::Java), ("Millstream in Flink", InFlink::Ours)] {
        let mut gaps = gaps(&broker, who, &programs, arguments.runs)?;
        gaps.sort();
        let (least, most) = (gaps[0].as_secs_f64(), gaps[gaps.len() - 1].as_secs_f64());
        let middle = gaps[gaps.len() / 2].as_secs_f64();
        report.line(format!("{name:<24}{least:>6.2} s least {middle:>6.2} s median {most:>6.2} s most"));
    }
    Ok(())
}

fn gaps(broker: &Kafka, who: InFlink, programs: &Programs, runs: usize) -> Result<Vec<Duration>> {
    let (topic, results, dir) = (unique_name("clicks"), unique_name("results"), tempfile::tempdir()?);
    broker.create_topics(&[(&topic, 1), (&results, 1)])?;
    let work = Work {
        brokers: broker.bootstrap().to_owned(),
        topic: topic.clone(),
        metrics: "user-clicks",
        parallelism: 1,
        results: Some(results.clone()),
        bounded: false,
        rocksdb: false,
        interval: Duration::from_secs(1),
    };
    let mut flink = cluster::builder().task_managers(2).slots(1).start()?;
    let traffic = Traffic::start(broker.bootstrap(), &topic)?;
    let job = flink.run(&work.submission(who, programs, dir.path())?)?;
    let mut gaps = Vec::new();
    for _ in 0..runs.max(1) {
        job.wait_until_running()?;
        job.wait_for_checkpoints(3)?;
        let rows = topics::tail(broker.bootstrap(), &results)?;
        rows.poll(QUIET).context("no rows come")??;
        gaps.push(kill(&mut flink, &rows)?);
        flink.wait_for_slots(2)?;
    }
    job.cancel()?;
    drop(traffic);
    Ok(gaps)
}

/// Kills the TaskManager that works, and starts it again once results have come.
fn kill(flink: &mut Flink, rows: &BaseConsumer) -> Result<Duration> {
    let busy = busy(flink)?;
    let clock = SystemClock::new();
    flink.task_manager(busy)?.kill9()?;
    let killed = clock.nanos();
    let mut last = killed;
    // Rows that were on their way come at once. The next ones come after the longest pause.
    let gap = loop {
        rows.poll(Duration::from_secs(60)).context("no results came for a minute")??;
        let now = clock.nanos();
        if now - last > Duration::from_secs(1).as_nanos() as u64 {
            break Duration::from_nanos(now - killed);
        }
        last = now;
    };
    flink.task_manager(busy)?.restart()?;
    Ok(gap)
}

/// The TaskManager that takes processor time.
fn busy(flink: &mut Flink) -> Result<usize> {
    let mut taken =
        |number: usize| Ok::<_, anyhow::Error>(flink.task_manager(number)?.group().map(Group::cpu));
    let before = [taken(0)?, taken(1)?];
    wait(Duration::from_secs(2));
    let worked = |number: usize, now: Option<Duration>| Some(now? - before[number]?);
    let (first, second) = (taken(0)?, taken(1)?);
    Ok(usize::from(worked(1, second) > worked(0, first)))
}

/// Events of the present until it is dropped, in a thread.
struct Traffic {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<Result<()>>>,
}

impl Traffic {
    #[allow(clippy::disallowed_methods, reason = "not part of a pipeline")]
    fn start(brokers: &str, topic: &str) -> Result<Self> {
        let (producer, topic, ended) =
            (kafka::producer(brokers)?, topic.to_owned(), Arc::<AtomicBool>::default());
        let stop = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let clock = SystemClock::new();
            let begin = clock.nanos();
            let mut sent = 0;
            while !stop.load(Relaxed) {
                let due = (clock.nanos() - begin) / 1_000_000 * PER_MILLISECOND;
                while sent < due {
                    kafka::send(&producer, &topic, 0, event(sent).as_bytes())?;
                    sent += 1;
                }
                wait(Duration::from_millis(1));
            }
            Ok(())
        });
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn event(number: u64) -> String {
    // 2017-11-26 01:00:00 UTC
    let time = 1_511_658_000_000 + number * FASTER / PER_MILLISECOND;
    let user = 1 + number % USERS;
    format!("{{\"userId\":\"{user}\",\"itemId\":\"1\",\"behavior\":\"pv\",\"timestamp\":{time}}}")
}
