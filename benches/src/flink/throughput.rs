//! Events per second of the workers' processor time.
//!
//! A side runs the job over a small topic and over a large one. What the large one takes longer is what its
//! further events take: the start, class loading and the JIT's first seconds are in both.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use millstream_testkit::{Flink, Kafka};

use super::cluster;
use super::equal;
use super::work::{ALL, InFlink, Programs, Work};
use crate::Arguments;
use crate::kafka::produce;
use crate::measure::children_cpu;
use crate::report::Report;

const EVENTS: f64 = 4_000_000.0;
/// Of them, how many are in the small topic.
const SMALL: u64 = 4;

/// What a side takes for the events that the large topic has more.
struct Cost {
    name: &'static str,
    cpu: Duration,
    /// What the workers hold at the end, where they are still there.
    memory: Option<u64>,
}

struct Bench<'a> {
    kafka: &'a Kafka,
    programs: &'a Programs,
    small: String,
    large: String,
    runs: usize,
}

/// Runs it.
pub(super) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let events = (EVENTS * arguments.scale) as u64;
    let (few, dir, kafka) = (events / SMALL, tempfile::tempdir()?, Kafka::start()?);
    let programs = &Programs::make(dir.path())?;
    let (small, large) = (produce(&kafka, few)?, produce(&kafka, events)?);
    let bench = Bench { kafka: &kafka, programs, small, large, runs: arguments.runs };
    let tables = equal::check(&kafka, &bench.work(&bench.small, ALL, 2), programs)?;
    report.line(format!("{few} events give the same rows on all sides: {tables:?}"));
    report.line(format!(
        "CPU of the workers for {} events, after {few} in the same run; no store; heap state; checkpoints every 10 s; \
         least of {}",
        events - few,
        bench.runs
    ));
    for metrics in [ALL, "user-clicks"] {
        for parallelism in [1, 2] {
            report.line(heading(&format!("{metrics}, parallelism {parallelism}")));
            let costs = bench.costs(metrics, parallelism)?;
            costs.iter().for_each(|cost| report.line(row(cost, &costs, events - few)));
        }
    }
    Ok(())
}

impl Bench<'_> {
    fn work(&self, topic: &str, metrics: &'static str, parallelism: u32) -> Work {
        Work {
            brokers: self.kafka.bootstrap().to_owned(),
            topic: topic.to_owned(),
            metrics,
            parallelism,
            results: None,
            bounded: true,
            rocksdb: false,
            interval: Duration::from_secs(10),
        }
    }

    fn costs(&self, metrics: &'static str, parallelism: u32) -> Result<[Cost; 3]> {
        Ok([
            self.in_flink("Java on Flink", InFlink::Java, metrics, parallelism)?,
            self.in_flink("Millstream in Flink", InFlink::Ours, metrics, parallelism)?,
            self.in_process("Millstream, one process", metrics, parallelism)?,
        ])
    }

    fn in_flink(
        &self,
        name: &'static str,
        who: InFlink,
        metrics: &'static str,
        parallelism: u32,
    ) -> Result<Cost> {
        let flink = cluster::builder().start()?;
        let run = |topic: &str| self.once_in_flink(&flink, who, &self.work(topic, metrics, parallelism));
        // Flink's own classes are cold.
        run(&self.small)?;
        let cpu = self.further(run)?;
        Ok(Cost { name, cpu, memory: Some(cluster::memory(&flink)) })
    }

    fn once_in_flink(&self, flink: &Flink, who: InFlink, work: &Work) -> Result<Duration> {
        let dir = tempfile::tempdir()?;
        cluster::run(flink, &work.submission(who, self.programs, dir.path())?)
    }

    fn in_process(&self, name: &'static str, metrics: &'static str, parallelism: u32) -> Result<Cost> {
        let run = |topic: &str| {
            let dir = tempfile::tempdir()?;
            let mut command = self.work(topic, metrics, parallelism).process(self.programs, dir.path())?;
            cpu_of(&mut command)
        };
        Ok(Cost { name, cpu: self.further(run)?, memory: None })
    }

    fn further(&self, run: impl Fn(&str) -> Result<Duration>) -> Result<Duration> {
        let (mut few, mut all) = (Duration::MAX, Duration::MAX);
        for _ in 0..self.runs {
            few = few.min(run(&self.small)?);
            all = all.min(run(&self.large)?);
        }
        Ok(all.saturating_sub(few))
    }
}

fn cpu_of(command: &mut Command) -> Result<Duration> {
    let before = children_cpu()?;
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(children_cpu()? - before)
}

fn heading(title: &str) -> String {
    format!(
        "{title:<44}{:>8}{:>14}{:>10}{:>16}{:>8}",
        "CPU ns", "M/CPU-second", "of Java", "of one process", "MiB"
    )
}

fn row(cost: &Cost, all: &[Cost; 3], events: u64) -> String {
    let each = |cost: &Cost| cost.cpu.as_nanos() as f64 / events as f64;
    let (ns, [java, _, process]) = (each(cost), all);
    let memory = cost.memory.map_or_else(String::new, |bytes| (bytes >> 20).to_string());
    format!(
        "  {:<42}{ns:>8.0}{:>14.2}{:>10.2}{:>16.2}{memory:>8}",
        cost.name,
        1e3 / ns,
        each(java) / ns,
        each(process) / ns
    )
}
