//! The proof on real servers: the program is killed, stopped, frozen and moved while events come, and so are
//! the servers; then every result in Elasticsearch, Redis and a Kafka topic read with `read_committed` is
//! what a count by brute force says.
//!
//! `MILLSTREAM_DRILL_BLOWS` says how many blows each drill deals; 4 without it. The great drill is
//! `MILLSTREAM_DRILL_BLOWS=50`.

#![allow(clippy::print_stdout, reason = "the report of a drill is for people")]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use clickstream::drill::{Blow, DrillPlan, Hook, drill};
use common::schema::mistakes;
use millstream_testkit::wait::pause;
use millstream_testkit::{Elasticsearch, Hdfs, Kafka, MinIo, Redis, unique_name};
use parking_lot::{Mutex, MutexGuard};

fn blows() -> Result<u32> {
    Ok(std::env::var("MILLSTREAM_DRILL_BLOWS").ok().map(|text| text.parse()).transpose()?.unwrap_or(4))
}

/// Servers of one's own: they are killed.
struct Servers {
    kafka: Kafka,
    elasticsearch: Elasticsearch,
    redis: Redis,
    _turn: MutexGuard<'static, ()>,
}

impl Servers {
    /// Starts them as soon as no other drill runs: on a small machine the servers of several take the job's
    /// time.
    fn start() -> Result<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock();
        // Each write on the disk before it is acknowledged: what Redis itself forgets nobody can keep.
        let redis = Redis::builder().option("appendonly", "yes").option("appendfsync", "always").start()?;
        Ok(Self { kafka: Kafka::start()?, elasticsearch: Elasticsearch::start()?, redis, _turn: turn })
    }

    fn config(&self, storage: &str) -> String {
        let (brokers, elasticsearch, redis) =
            (self.kafka.bootstrap(), self.elasticsearch.url(), self.redis.url());
        format!(
            "pipeline.name: clicks\nparallelism.default: 2\n\
             source: {{type: kafka, brokers: \"{brokers}\", topic: clicks}}\n\
             sinks:\n  - {{type: elasticsearch, hosts: [\"{elasticsearch}\"]}}\n  - {{type: redis, url: \"{redis}\"}}\n  \
             - {{type: kafka, brokers: \"{brokers}\", topic: results, delivery-guarantee: exactly-once}}\n\
             execution.checkpointing.interval: 1s\n\
             execution.checkpointing.tolerable-failed-checkpoints: 100\n\
             state.backend.type: rocksdb\nexecution.checkpointing.incremental: true\n\
             restart-strategy.type: fixed-delay\nrestart-strategy.fixed-delay.attempts: 100\n\
             restart-strategy.fixed-delay.delay: 1s\n\
             runtime.stop-flush-timeout: 60s\nruntime.stop-timeout: 80s\n{storage}"
        )
    }
}

fn plan(dir: &Path, config: &str, kinds: &[Blow], blows: u32, hooks: Vec<Hook>) -> Result<DrillPlan> {
    let file = dir.join("clicks.yaml");
    std::fs::write(&file, config)?;
    Ok(DrillPlan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_clickstream")),
        config: file,
        set: Vec::new(),
        dir: dir.join("drill"),
        blows,
        kinds: kinds.to_vec(),
        rate: 800, // for two cores, and a program that was not built for speed
        between: (Duration::from_millis(300), Duration::from_secs(5)),
        seed: 11,
        hooks,
        patience: Duration::from_secs(180),
    })
}

fn must_be_clean(plan: DrillPlan) -> Result<()> {
    let (log, config) = (plan.dir.join("job.log"), plan.dir.join("job.yaml"));
    let report = drill(plan).map_err(|error| anyhow::anyhow!("{}\n{}", error.chain(), tail(&log)))?;
    println!("{report}");
    let mistakes = mistakes(&std::fs::read_to_string(config)?);
    ensure!(mistakes.is_empty(), "the schema refuses the drill's configuration: {mistakes:?}");
    ensure!(report.is_clean(), "{report}\n{}", tail(&log));
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

#[test]
fn every_blow_over_s3() -> Result<()> {
    let (dir, servers) = (tempfile::tempdir()?, Servers::start()?);
    let minio = MinIo::start()?;
    let bucket = unique_name("drill");
    minio.create_bucket(&bucket)?;
    let storage = format!(
        "state.checkpoints.dir: s3://{bucket}/checkpoints\nstate.savepoints.dir: s3://{bucket}/savepoints\n\
         s3.endpoint: {}\ns3.access-key: {}\ns3.secret-key: {}\n",
        minio.endpoint(),
        minio.access_key(),
        minio.secret_key()
    );
    let kinds = [Blow::Kill, Blow::Stop, Blow::Pause, Blow::Rescale];
    must_be_clean(plan(dir.path(), &servers.config(&storage), &kinds, blows()?, Vec::new())?)
}

#[test]
fn kills_while_storage_kafka_and_elasticsearch_die_too() -> Result<()> {
    let (dir, servers) = (tempfile::tempdir()?, Servers::start()?);
    let mut minio = MinIo::start()?;
    let bucket = unique_name("drill");
    minio.create_bucket(&bucket)?;
    let storage = format!(
        "state.checkpoints.dir: s3://{bucket}/checkpoints\ns3.endpoint: {}\ns3.access-key: {}\ns3.secret-key: {}\n",
        minio.endpoint(),
        minio.access_key(),
        minio.secret_key()
    );
    let config = servers.config(&storage);
    let Servers { mut kafka, mut elasticsearch, redis: _redis, _turn } = servers;
    let hook = |name: &str, mut run: Box<dyn FnMut() -> Result<()>>| Hook {
        name: name.to_owned(),
        run: Box::new(move || run().map_err(|error| millstream::Error::restart(format!("{error:#}")))),
    };
    let hooks = vec![
        hook(
            "the storage is killed and comes back after 3 s",
            Box::new(move || {
                minio.kill9()?;
                pause(Duration::from_secs(3));
                minio.restart()
            }),
        ),
        hook(
            "Kafka is killed and comes back after 3 s",
            Box::new(move || {
                kafka.kill9()?;
                pause(Duration::from_secs(3));
                kafka.restart()
            }),
        ),
        hook(
            "Elasticsearch is killed and comes back after 5 s",
            Box::new(move || {
                elasticsearch.kill9()?;
                pause(Duration::from_secs(5));
                elasticsearch.restart()
            }),
        ),
    ];
    must_be_clean(plan(dir.path(), &config, &[Blow::Kill], blows()?, hooks)?)
}

#[test]
fn kills_over_hdfs() -> Result<()> {
    let (dir, servers) = (tempfile::tempdir()?, Servers::start()?);
    let hdfs = Hdfs::start()?;
    let storage = format!("state.checkpoints.dir: {}/drill/checkpoints\n", hdfs.url());
    must_be_clean(plan(dir.path(), &servers.config(&storage), &[Blow::Kill], blows()?, Vec::new())?)
}
