//! Jobs that are cancelled and submitted again, and several jobs of the same jar.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{ClaimMode, Flink, FlinkJob, JobState, SavepointFormat, wait};

use crate::common::{self, Case, Place};

#[test]
fn a_retained_checkpoint_is_claimed_or_left_alone() -> Result<()> {
    let place = Place::new()?;
    let flink = Flink::builder().slots(2).task_off_heap(256).start()?;
    let checkpoints = place.fresh("checkpoints");
    let case = Case::endless(Pipeline::TwoInputs).at_rate(4_000.0).with_tripwires();
    let case = case.with("state.backend.type: rocksdb\nexecution.checkpointing.incremental: true");
    let submission = || place.submission_at(&case, "again", &common::url(&checkpoints));
    let first = flink.run(&submission()?)?;
    let retained = cancelled(&first)?;
    let of_first = files_of(&checkpoints, &first)?;

    let second = flink.run(&submission()?.from_savepoint(&retained).claim(ClaimMode::NoClaim))?;
    let retained = cancelled(&second)?;
    ensure!(files_of(&checkpoints, &first)? == of_first, "the first job's files changed");
    // What the second one has left needs nothing of the first one.
    fs::remove_dir_all(checkpoints.join(first.id()))?;

    let third = flink.run(&submission()?.from_savepoint(&retained).claim(ClaimMode::Claim))?;
    third.wait_for_checkpoints(3)?;
    let deleted = || files_of(&checkpoints, &second).is_ok_and(|files| files.is_empty());
    ensure!(wait::until(Duration::from_secs(60), deleted), "left: {:?}", files_of(&checkpoints, &second)?);
    third.stop(SavepointFormat::Native, true, None)?;
    common::must_be_exact(&place, &case, "again")
}

#[test]
fn jobs_of_one_jar_run_side_by_side_and_of_one_name_only_the_newest() -> Result<()> {
    let place = Place::new()?;
    let flink = Flink::builder().slots(6).task_off_heap(384).start()?;
    let case = Case::endless(Pipeline::TwoInputs).at_rate(2_000.0).with_tripwires();
    let (one, other) = (case.called("one"), case.called("other"));
    let checkpoints = common::url(&place.fresh("checkpoints"));
    let submission = |case: &Case, name: &str| place.submission_at(case, name, &checkpoints);
    let first = flink.run(&submission(&one, "one")?)?;
    let second = flink.run(&submission(&other, "other")?)?;
    for job in [&first, &second] {
        job.wait_for_checkpoints(3)?;
    }
    // Both at once.
    thread::scope(|scope| {
        let other = scope.spawn(|| savepoint_of(&second));
        savepoint_of(&first)?;
        other.join().map_err(|_| anyhow!("a savepoint panicked"))?
    })
    .context("a savepoint fails")?;

    // The same name again. Its attempts are newer, and the older job must see that.
    let again = flink.run(&submission(&one, "again")?)?;
    again.wait_for_checkpoints(3)?;
    place.trip(&one, "one", "interest", "error")?;
    first.wait_for(JobState::Failed)?;
    let failure = first.failures()?.into_iter().next().unwrap_or_default();
    ensure!(failure.contains("[fenced]"), "{failure}");

    for (job, case, name) in [(second, &other, "other"), (again, &one, "again")] {
        job.stop(SavepointFormat::Native, true, None)?;
        common::must_be_exact(&place, case, name)?;
    }
    Ok(())
}

/// Cancels a job after some checkpoints, and returns the last one.
fn cancelled(job: &FlinkJob) -> Result<String> {
    job.wait_for_checkpoints(3)?;
    job.cancel()?;
    let checkpoint = job.checkpoints()?.latest.completed.context("a checkpoint is complete")?;
    checkpoint.external_path.context("the checkpoint is retained")
}

fn savepoint_of(job: &FlinkJob) -> Result<String> {
    job.savepoint(SavepointFormat::Native, None)
}

/// The files that a job's checkpoints have.
fn files_of(checkpoints: &Path, job: &FlinkJob) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut directories = vec![checkpoints.join(job.id())];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.insert(path);
            }
        }
    }
    Ok(files)
}
