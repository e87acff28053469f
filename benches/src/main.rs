//! Measurements: Millstream against hand-written loops and bare clients, in one run on one machine.
//!
//! `cargo xtask bench [NAME]…` runs them and puts what they say into `benches/RESULTS.md`. Each benchmark is
//! a file; `input`, `jobs` and `by_hand` hold what they share.

mod alignment;
mod by_hand;
mod checkpoints;
mod click;
mod count_each;
mod demo;
mod discard;
#[cfg(feature = "servers")]
mod flink;
mod input;
mod jobs;
#[cfg(feature = "servers")]
mod kafka;
mod latency;
mod live;
mod machine;
mod measure;
mod memory;
mod numbers;
mod prebuilt;
mod report;
mod restart;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod snapshot;
mod state;
#[cfg(feature = "servers")]
mod stores;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;

use crate::report::Report;

// What the `clickstream` binary uses, for both sides of every comparison.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs benchmarks and records them in benches/RESULTS.md.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which; all if none is named
    names: Vec<Name>,
    /// Share of the full amount of work: 0.1 for a quick look
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// How often each measurement is taken; the best counts, since other load only ever adds
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Print only, leave RESULTS.md alone
    #[arg(long)]
    dry: bool,
    /// Be the job that the benchmark `restart` kills, in this folder
    #[arg(long, hide = true)]
    restart_in: Option<PathBuf>,
}

/// A benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Lines in memory to counts, against a hand-written loop
    Memory,
    /// A Kafka topic to nothing, against bare rdkafka loops
    #[cfg(feature = "servers")]
    Kafka,
    /// Kafka to Elasticsearch and Redis
    #[cfg(feature = "servers")]
    Stores,
    /// Ingest to sink, at half load and idle
    Latency,
    /// Bytes per key in an open window
    State,
    /// A job without checkpoints, every 30 s and every second
    Checkpoints,
    /// Checkpoints while every queue is full
    Alignment,
    /// From the start of a process to its first result, anew and after SIGKILL
    Restart,
    /// Checkpoints written and restored, against the bare file system
    Snapshot,
    /// Peak memory of the demo
    Demo,
    /// The shop's job in Java on Flink, ours in Flink, and ours in one process
    #[cfg(feature = "servers")]
    Flink,
    /// Checkpoints of 5 million keys in Flink, with RocksDB, of Java and of ours
    #[cfg(feature = "servers")]
    FlinkKeys,
    /// From the loss of a TaskManager to the next result, of Java and of ours
    #[cfg(feature = "servers")]
    FlinkRecovery,
    /// State in RocksDB, against the bare crate and the heap
    #[cfg(feature = "rocksdb")]
    Rocksdb,
    /// 20 million keys in RocksDB with 512 MB, checkpointed and restored at another parallelism
    #[cfg(feature = "rocksdb")]
    Keys,
}

impl Name {
    fn run(self, arguments: &Arguments, report: &mut Report) -> Result<()> {
        match self {
            Self::Memory => memory::run(arguments, report),
            #[cfg(feature = "servers")]
            Self::Kafka => kafka::run(arguments, report),
            #[cfg(feature = "servers")]
            Self::Stores => stores::run(arguments, report),
            Self::Latency => latency::run(arguments, report),
            Self::State => state::run(arguments, report),
            Self::Checkpoints => checkpoints::run(arguments, report),
            Self::Alignment => alignment::run(arguments, report),
            Self::Restart => restart::run(arguments, report),
            Self::Snapshot => snapshot::run(arguments, report),
            Self::Demo => demo::run(arguments, report),
            #[cfg(feature = "servers")]
            Self::Flink => flink::run(arguments, report),
            #[cfg(feature = "servers")]
            Self::FlinkKeys => flink::keys(arguments, report),
            #[cfg(feature = "servers")]
            Self::FlinkRecovery => flink::recovery(arguments, report),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => rocksdb::run(arguments, report),
            #[cfg(feature = "rocksdb")]
            Self::Keys => rocksdb::many(arguments, report),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(dir) = &arguments.restart_in {
        return restart::job(dir);
    }
    let names = if arguments.names.is_empty() { Name::value_variants() } else { &arguments.names };
    for name in names {
        let title = name.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned());
        let mut report = Report::new(&title);
        name.run(&arguments, &mut report)?;
        if !arguments.dry {
            report.save()?;
        }
    }
    Ok(())
}
