//! Operators that fail in native code, in every way, while the job runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, FlinkJob, JobState, SavepointFormat, wait};

use crate::common::{self, Case, Place};

/// Two TaskManagers, of which each has room for the job.
fn cluster() -> Result<Flink> {
    Flink::builder().task_managers(2).slots(2).task_off_heap(256).start()
}

fn case() -> Case {
    Case::endless(Pipeline::TwoInputs).at_rate(4_000.0).with_tripwires()
}

#[test]
fn an_error_or_a_panic_costs_a_restart_and_says_where_it_happened() -> Result<()> {
    let (place, flink, case) = (Place::new()?, cluster()?, case());
    let job = flink.run(&place.submission(&case, "caught")?)?;
    let trip = |operator: &str, fault: &str| {
        job.wait_for_checkpoints(1)?;
        place.trip(&case, "caught", operator, fault)?;
        job.wait_for_checkpoints(2)?;
        job.stack_traces()?.into_iter().next().context("the job has not failed")
    };
    says(
        &trip("interest", "error")?,
        &["Stage interest", " of 2: [restart] the store is away: nobody listens (operator interest)"],
    )?;
    says(
        &trip("interest", "panic")?,
        &["Stage interest", " of 2: [bug] it panicked: a tripwire was touched, at ", "tripwire.rs:"],
    )?;
    says(
        &trip("source", "panic")?,
        &["Stage traffic", " of 2: [bug] it panicked: a tripwire was touched", "tripwire.rs:"],
    )?;
    ensure!(job.checkpoints()?.counts.restored == 3, "restored {}", job.checkpoints()?.counts.restored);
    ensure!(gone(&flink).is_empty(), "a TaskManager is gone");
    job.stop(SavepointFormat::Native, true, None)?;
    common::must_be_exact(&place, &case, "caught")
}

#[test]
fn native_code_that_ends_its_process_costs_a_task_manager() -> Result<()> {
    let (place, mut flink, case) = (Place::new()?, cluster()?, case());
    let job = flink.run(&place.submission(&case, "crashed")?)?;
    let mut lost: Option<usize> = None;
    for (operator, fault) in [("interest", "abort"), ("source", "segfault"), ("interest", "stack-overflow")] {
        if let Some(lost) = lost {
            flink.task_manager(lost)?.restart()?;
        }
        job.wait_for_checkpoints(1)?;
        place.trip(&case, "crashed", operator, fault)?;
        lost = wait::for_some(Duration::from_secs(30), || gone(&flink).first().copied());
        ensure!(lost.is_some(), "all TaskManagers survive {fault}");
        // The other one takes over.
        job.wait_for_checkpoints(2)?;
    }
    job.stop(SavepointFormat::Native, true, None)?;
    common::must_be_exact(&place, &case, "crashed")
}

#[test]
fn an_operator_that_blocks_holds_up_its_job_alone() -> Result<()> {
    let (place, flink, case) = (Place::new()?, cluster()?, case());
    let job = flink.run(&place.submission(&case, "blocked")?)?;
    job.wait_for_checkpoints(1)?;
    place.trip(&case, "blocked", "interest", "block 3")?;
    job.wait_for_checkpoints(3)?;
    ensure!(job.checkpoints()?.counts.restored == 0, "a pause is no failure");
    // A task that is cancelled ends when its call does.
    place.trip(&case, "blocked", "interest", "block 3")?;
    let checkpoint = cancel(&job)?;
    let job = flink.run(&place.submission(&case, "blocked")?.from_savepoint(checkpoint))?;
    job.wait_for_checkpoints(2)?;
    ensure!(gone(&flink).is_empty(), "a TaskManager is gone");
    // Data that no restart can heal: the job ends.
    place.trip(&case, "blocked", "interest", "data")?;
    job.wait_for(JobState::Failed)?;
    says(
        &job.stack_traces()?[0],
        &["Stage interest", " of 2: [data] the stored state is damaged (operator interest)"],
    )
}

/// Cancels a job and returns its latest checkpoint.
fn cancel(job: &FlinkJob) -> Result<String> {
    job.cancel()?;
    let checkpoint = job.checkpoints()?.latest.completed.context("a checkpoint is complete")?;
    checkpoint.external_path.context("the checkpoint is retained")
}

/// The TaskManagers whose process has ended by itself.
fn gone(flink: &Flink) -> Vec<usize> {
    let task_managers = flink.processes().skip(flink.rest_ports().len());
    let gone =
        task_managers.enumerate().filter(|(_, it)| it.group().is_some_and(|group| !group.is_running()));
    gone.map(|(number, _)| number).collect()
}

fn says(trace: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(trace.contains(part), "the exception does not say {part:?}:\n{trace}");
    }
    Ok(())
}
