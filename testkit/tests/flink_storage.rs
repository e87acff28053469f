//! Checkpoints and savepoints of a job on Flink go to HDFS and to S3, and it is restored from there.

#[path = "flink/sequence.rs"]
mod sequence;

use anyhow::{Context, Result};
use millstream_testkit::{Flink, Hdfs, MinIo, SavepointFormat, ZooKeeper};

/// Two runs of a job on a cluster whose storage is below `url`.
fn run_and_restore(flink: &Flink, url: &str) -> Result<()> {
    let (_dir, jar) = sequence::jar(flink.version())?;
    let job = flink.run(&sequence::endless(&jar))?;
    job.wait_for_checkpoints(2)?;
    let checkpoint = job.checkpoints()?.latest.completed.context("a checkpoint is complete")?;
    let path = checkpoint.external_path.unwrap_or_default();
    assert!(path.starts_with(&format!("{url}/checkpoints/{}/chk-", job.id())), "{path}");
    let savepoint = job.stop(SavepointFormat::Canonical, false, None)?;
    assert!(savepoint.starts_with(&format!("{url}/savepoints/")), "{savepoint}");
    let job = flink.run(&sequence::endless(&jar).from_savepoint(savepoint))?;
    job.wait_for_checkpoints(1)?;
    job.cancel()
}

#[test]
fn hdfs_keeps_checkpoints_and_what_a_new_leader_needs() -> Result<()> {
    let (hdfs, zookeeper) = (Hdfs::start()?, ZooKeeper::start()?);
    let url = format!("{}/flink", hdfs.url());
    let builder = Flink::builder().with_hadoop().storage(&url).high_availability(&zookeeper.quorum(), 1);
    let mut flink = builder.start()?;
    run_and_restore(&flink, &url)?;

    // All that the next JobManager knows of the job comes from HDFS.
    let (_dir, jar) = sequence::jar(flink.version())?;
    let job = flink.run(&sequence::endless(&jar))?;
    let before = job.wait_for_checkpoints(1)?;
    flink.job_manager(0)?.kill9()?;
    flink.job_manager(0)?.restart()?;
    job.wait_until_running()?;
    let restored = job.checkpoints()?.latest.restored.context("it was restored")?;
    assert!(restored.id >= before, "restored from {}, though {before} was complete", restored.id);
    job.cancel()
}

#[test]
fn s3_keeps_checkpoints() -> Result<()> {
    let minio = MinIo::start()?;
    minio.create_bucket("flink")?;
    run_and_restore(&Flink::builder().with_s3_plugin(&minio).storage("s3://flink/a").start()?, "s3://flink/a")
}
