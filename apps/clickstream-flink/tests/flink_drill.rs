//! The proof in Flink: a real cluster of two JobManagers, two TaskManagers and ZooKeeper runs the shop's job
//! while its processes are killed and frozen, and the job is rescaled and moved; then every result in
//! Elasticsearch, Redis and a Kafka topic read with `read_committed` is what a count by brute force says.
//!
//! `MILLSTREAM_FLINK_BLOWS` says how many blows each drill deals; 5 without it. The great drill is
//! `MILLSTREAM_FLINK_BLOWS=40`.

#![allow(clippy::print_stdout, reason = "the report of a drill is for people")]

mod subject;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clickstream::drill::{DrillPlan, drill_subject};
use millstream_testkit::{Elasticsearch, Flink, Hdfs, Kafka, MinIo, Redis, ZooKeeper, unique_name};
use subject::FlinkSubject;

fn blows() -> Result<u32> {
    let set = std::env::var("MILLSTREAM_FLINK_BLOWS").ok();
    Ok(set.map(|text| text.parse()).transpose()?.unwrap_or(5))
}

/// The servers that the job reads from and writes to.
struct Servers {
    kafka: Kafka,
    elasticsearch: Elasticsearch,
    redis: Redis,
}

impl Servers {
    fn start() -> Result<Self> {
        let redis = Redis::builder().option("appendonly", "yes").option("appendfsync", "always").start()?;
        Ok(Self { kafka: Kafka::start()?, elasticsearch: Elasticsearch::start()?, redis })
    }

    fn config(&self, storage: &str) -> String {
        let (brokers, elasticsearch, redis) =
            (self.kafka.bootstrap(), self.elasticsearch.url(), self.redis.url());
        format!(
            "pipeline.name: clicks\nparallelism.default: 2\n\
             source: {{type: kafka, brokers: \"{brokers}\", topic: clicks}}\n\
             sinks:\n  - {{type: elasticsearch, hosts: [\"{elasticsearch}\"]}}\n  - {{type: redis, url: \"{redis}\"}}\n  \
             - {{type: kafka, brokers: \"{brokers}\", topic: results, delivery-guarantee: exactly-once}}\n\
             execution.checkpointing.interval: 1s\nexecution.checkpointing.timeout: 30s\n\
             execution.checkpointing.tolerable-failed-checkpoints: 100\nstate.checkpoints.num-retained: 3\n\
             state.backend.type: rocksdb\nexecution.checkpointing.incremental: true\n\
             restart-strategy.type: fixed-delay\nrestart-strategy.fixed-delay.attempts: 1000\n\
             restart-strategy.fixed-delay.delay: 500ms\n{storage}"
        )
    }
}

fn cluster(zookeeper: &ZooKeeper) -> millstream_testkit::FlinkBuilder {
    Flink::builder()
        .high_availability(&zookeeper.quorum(), 2)
        .task_managers(2)
        .slots(4)
        .task_off_heap(512)
        .setting("jobmanager.scheduler", "adaptive")
        .setting("jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout", "1s")
        .setting("jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout", "1s")
        .setting("jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling", "1s")
        .setting("high-availability.zookeeper.client.session-timeout", "6s")
        .setting("heartbeat.interval", "1s")
        .setting("heartbeat.timeout", "6s")
}

fn plan(dir: &Path, config: &str) -> Result<DrillPlan> {
    let file = dir.join("clicks.yaml");
    std::fs::write(&file, config)?;
    Ok(DrillPlan {
        program: PathBuf::new(),
        config: file,
        set: Vec::new(),
        dir: dir.join("drill"),
        blows: blows()?,
        kinds: Vec::new(),
        rate: 500, // for two cores, many processes, and a library that was not built for speed
        between: (Duration::from_millis(300), Duration::from_secs(3)),
        seed: 7,
        hooks: Vec::new(),
        patience: Duration::from_secs(180),
    })
}

fn must_be_clean(plan: DrillPlan, flink: Flink, zookeeper: ZooKeeper) -> Result<()> {
    let jar = plan.config.with_file_name("clickstream.jar");
    flink.version().pipeline_jar(&library()?, &jar)?;
    let mut cluster = Some((flink, zookeeper));
    let report = drill_subject(plan, |_, site| {
        let (flink, zookeeper) = cluster.take().ok_or_else(|| millstream::Error::bug("one job per drill"))?;
        FlinkSubject::start(flink, zookeeper, &jar, site)
    });
    let report = report.map_err(|error| anyhow::anyhow!(error.chain()))?;
    println!("{report}");
    ensure!(report.is_clean(), "{report}");
    Ok(())
}

/// The library that cargo has built beside this test.
fn library() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let dir = test.parent().context("a test is in a directory")?;
    let library = dir.join("libclickstream_flink.so");
    ensure!(library.is_file(), "there is no {}", library.display());
    Ok(library)
}

#[test]
fn blows_over_hdfs() -> Result<()> {
    let (dir, servers, zookeeper) = (tempfile::tempdir()?, Servers::start()?, ZooKeeper::start()?);
    let hdfs = Hdfs::start()?;
    let flink = cluster(&zookeeper).with_hadoop().storage(&format!("{}/flink", hdfs.url())).start()?;
    let storage = format!(
        "state.checkpoints.dir: {0}/drill/checkpoints\nstate.savepoints.dir: {0}/drill/savepoints\n",
        hdfs.url()
    );
    must_be_clean(plan(dir.path(), &servers.config(&storage))?, flink, zookeeper)
}

#[test]
fn blows_over_s3() -> Result<()> {
    let (dir, servers, zookeeper) = (tempfile::tempdir()?, Servers::start()?, ZooKeeper::start()?);
    let minio = MinIo::start()?;
    let bucket = unique_name("flink");
    minio.create_bucket(&bucket)?;
    // What the cluster needs for itself is in a folder, what the job writes is in the bucket.
    let flink = cluster(&zookeeper).with_s3_plugin(&minio).start()?;
    let storage = format!(
        "state.checkpoints.dir: s3://{bucket}/checkpoints\nstate.savepoints.dir: s3://{bucket}/savepoints\n\
         s3.endpoint: {}\ns3.access-key: {}\ns3.secret-key: {}\n",
        minio.endpoint(),
        minio.access_key(),
        minio.secret_key()
    );
    must_be_clean(plan(dir.path(), &servers.config(&storage))?, flink, zookeeper)
}
