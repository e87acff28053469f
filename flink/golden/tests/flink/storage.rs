//! The storage of checkpoints is away for a while.

use std::time::Duration;

use anyhow::{Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, FlinkJob, Hdfs, SavepointFormat, wait};

use crate::common::{self, Case, Place};

#[test]
fn a_storage_that_is_away_fails_checkpoints_and_holds_restarts_up() -> Result<()> {
    let (place, mut hdfs) = (Place::new()?, Hdfs::start()?);
    let flink = Flink::builder().slots(2).task_off_heap(256).with_hadoop().start()?;
    let case = Case::endless(Pipeline::TwoInputs).at_rate(4_000.0).with_tripwires();
    let case = case.with("execution.checkpointing.tolerable-failed-checkpoints: 1000");
    let case = case.with("execution.checkpointing.timeout: 5s");
    let url = format!("{}/checkpoints", hdfs.url());
    let job = flink.run(&place.submission_at(&case, "away", &url)?)?;
    job.wait_for_checkpoints(2)?;

    // Checkpoints fail, and the job goes on.
    hdfs.namenode()?.kill9()?;
    wait_for_failed_checkpoints(&job, 2)?;
    ensure!(job.checkpoints()?.counts.restored == 0, "a failed checkpoint restarted the job");

    // The job has to restart, and waits for the storage, for longer than Flink waits for an answer.
    place.trip(&case, "away", "interest", "error")?;
    wait::pause(Duration::from_secs(12));
    hdfs.namenode()?.restart()?;
    hdfs.wait_for(2)?;
    job.wait_for_checkpoints(2)?;
    // The operator's, and one for each claim that has lost its patience.
    let failures = job.failures()?;
    ensure!(failures.len() <= 3, "a storage that is away uses up the restart strategy: {failures:#?}");
    job.stop(SavepointFormat::Native, true, None)?;
    common::must_be_exact(&place, &case, "away")
}

fn wait_for_failed_checkpoints(job: &FlinkJob, more: u64) -> Result<()> {
    let failed = || job.checkpoints().map_or(0, |checkpoints| checkpoints.counts.failed);
    let before = failed();
    ensure!(wait::until(Duration::from_secs(60), || failed() >= before + more), "checkpoints do not fail");
    Ok(())
}
