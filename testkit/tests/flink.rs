//! A session cluster of Flink runs jobs, tells of their failures, and takes and restores savepoints.

#[path = "flink/sequence.rs"]
mod sequence;

use std::time::Duration;

use anyhow::{Context, Result};
use millstream_testkit::{ClaimMode, Flink, FlinkVersion, JobState, SavepointFormat, Submission, wait};

#[test]
fn a_session_cluster_runs_stops_and_restores_a_job() -> Result<()> {
    let flink = Flink::builder().start()?;
    let (_dir, jar) = sequence::jar(flink.version())?;
    let endless = sequence::endless(&jar).setting("execution.checkpointing.timeout", "77 s");

    let job = flink.run(&endless)?;
    job.wait_until_running()?;
    assert_eq!(job.checkpoint_settings()?["timeout"], 77_000);
    job.wait_for_checkpoints(2)?;
    let savepoint = job.savepoint(SavepointFormat::Native, None)?;
    assert!(savepoint.starts_with("file:/"), "{savepoint}");
    let canonical = job.stop(SavepointFormat::Canonical, false, None)?;
    assert_eq!(job.state()?, JobState::Finished);

    let restored = flink.run_by_client(&endless.from_savepoint(canonical.clone()))?;
    restored.wait_until_running()?;
    assert_eq!(restored.checkpoint_settings()?["timeout"], 77_000);
    let latest = restored.checkpoints()?.latest;
    let from = latest.restored.context("it was restored")?;
    assert!(from.is_savepoint);
    assert_eq!(from.external_path.as_deref(), Some(canonical.as_str()));
    restored.cancel()
}

#[test]
fn the_root_cause_of_a_failure_is_told() -> Result<()> {
    let flink = Flink::builder().setting("restart-strategy.type", "none").start()?;
    let (_dir, jar) = sequence::jar(flink.version())?;
    let job = flink.run(&sequence::counting(&jar, i64::MAX, 1000))?;
    let error = job.wait_for(JobState::Finished).expect_err("it fails").root_cause().to_string();
    assert!(
        error.contains("caused by: java.lang.IllegalStateException: the number 1000 is broken"),
        "{error}"
    );
    assert_eq!(job.state()?, JobState::Failed);
    let refused = flink.run(&Submission::jar(&jar).class("NoSuchJob")).expect_err("no class").to_string();
    assert!(refused.contains("NoSuchJob"), "{refused}");
    Ok(())
}

#[test]
fn an_application_cluster_runs_its_job_by_itself() -> Result<()> {
    let (_dir, jar) = sequence::jar(FlinkVersion::default())?;
    let storage = tempfile::tempdir()?;
    let url = format!("file://{}", storage.path().display());
    let start = |job| Flink::builder().storage(&url).application(job).start();
    let flink = start(sequence::endless(&jar).parallelism(1))?;
    let job = flink.latest_job()?;
    job.wait_until_running()?;
    assert!(job.vertices()?.iter().all(|vertex| vertex.parallelism == 1));
    let savepoint = job.savepoint(SavepointFormat::Canonical, None)?;
    drop(flink);

    let flink = start(sequence::endless(&jar).from_savepoint(savepoint.clone()).claim(ClaimMode::NoClaim))?;
    let job = flink.latest_job()?;
    job.wait_until_running()?;
    assert!(job.vertices()?.iter().all(|vertex| vertex.parallelism == 2));
    let restored = job.checkpoints()?.latest.restored.context("it was restored")?;
    assert_eq!(restored.external_path.as_deref(), Some(savepoint.as_str()));
    Ok(())
}

#[test]
fn parallelism_metrics_and_plan_of_a_running_job_can_be_asked_for() -> Result<()> {
    let flink = Flink::builder().setting("jobmanager.scheduler", "adaptive").start()?;
    let (_dir, jar) = sequence::jar(flink.version())?;
    let job = flink.run(&sequence::endless(&jar))?;
    job.wait_until_running()?;
    assert!(job.vertices()?.iter().all(|vertex| vertex.parallelism == 2));
    job.wait_for_checkpoints(1)?;
    job.rescale(1)?;
    job.wait_for_vertices("a parallelism of 1", |vertices| vertices.iter().all(|it| it.parallelism == 1))?;
    job.wait_until_running()?;

    let count =
        job.vertices()?.into_iter().find(|vertex| vertex.name.contains("count")).context("no count")?;
    assert!(job.metric_names(&count.id)?.contains(&"numRecordsIn".to_owned()));
    let counted = || job.metrics(&count.id, &["numRecordsIn"]).ok()?.get("numRecordsIn").map(|it| it.sum);
    assert!(wait::until(Duration::from_secs(60), || counted().is_some_and(|sum| sum > 0.0)));
    assert_eq!(job.plan()?["name"], "sequence");
    Ok(())
}
