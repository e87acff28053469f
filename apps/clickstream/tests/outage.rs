//! The main job through an outage of everything: Elasticsearch is gone for 20 s, Redis and Kafka are killed
//! and come back.

mod common;

use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use common::program::{clickstream, run};
use common::stores::{compare, compare_redis, has_results, in_elasticsearch};
use common::{brute_force, recording};
use millstream_testkit::wait::{self, pause};
use millstream_testkit::{Elasticsearch, Kafka, Redis};

#[test]
fn nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, events) = recording::recording(dir.path())?;
    let (mut kafka, mut elasticsearch) = (Kafka::start()?, Elasticsearch::start()?);
    // Each write on the disk before it is acknowledged: what Redis itself forgets nobody can keep.
    let mut redis = Redis::builder().option("appendonly", "yes").option("appendfsync", "always").start()?;
    kafka.create_topics(&[("clicks", 4)])?;
    let (file, brokers) = (file.to_string_lossy(), kafka.bootstrap().to_owned());
    run(
        dir.path(),
        &["replay", &file, "--format", "taobao-csv", "--topic", "clicks", "--brokers", &brokers],
    )?;

    let config = format!(
        "parallelism.default: 2\nsource: {{type: kafka, brokers: \"{brokers}\", topic: clicks, bounded: latest}}\nsinks:\n  \
         - {{type: elasticsearch, hosts: [\"{}\"], bulk-flush.max-actions: 500}}\n  - {{type: redis, url: \"{}\"}}\n",
        elasticsearch.url(),
        redis.url()
    );
    std::fs::write(dir.path().join("job.yaml"), config)?;
    let mut job =
        clickstream(dir.path()).args(["run", "--config", "job.yaml"]).stderr(Stdio::piped()).spawn()?;
    let in_mid_run = is_in_mid_run(&mut job, redis.url());
    elasticsearch.kill9()?;
    redis.kill9()?;
    kafka.kill9()?;
    pause(Duration::from_secs(3));
    kafka.restart()?;
    redis.restart()?;
    pause(Duration::from_secs(15));
    elasticsearch.restart()?;
    let output = job.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(in_mid_run, "nothing was interrupted, {}:\n{said}", output.status);
    ensure!(output.status.success(), "the job ended with {}:\n{said}", output.status);
    // Shown where what follows fails.
    println!("{said}");

    let wanted =
        (brute_force::user_clicks(&events), brute_force::hot_items(&events, 3), brute_force::pv_uv(&events));
    compare("Elasticsearch", &in_elasticsearch(elasticsearch.url(), "")?, &wanted);
    compare_redis(redis.url(), &wanted)
}

// An outage before that is another matter: a store that is away when the job starts is waited for by its
// `start.timeout`.
fn is_in_mid_run(job: &mut Child, redis: &str) -> bool {
    let mut runs = true;
    let results = wait::until(Duration::from_secs(120), || {
        runs = matches!(job.try_wait(), Ok(None));
        !runs || has_results(redis)
    });
    runs && results
}
