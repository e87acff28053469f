//! Settings with which no pipeline could be exact are refused when the job is submitted.

use anyhow::{Context, Result, ensure};
use flink_golden::Pipeline;
use millstream_testkit::{Flink, JobState};

use crate::common::{Case, Place};

#[test]
fn settings_that_cannot_work_are_refused_with_the_reason() -> Result<()> {
    let place = Place::new()?;
    // Nothing is left for native memory.
    let flink = Flink::builder().task_off_heap(0).start()?;
    let case = Case::bounded(Pipeline::Straight, 1_000);
    let in_cluster = [
        ("execution.runtime-mode", "BATCH", "a pipeline is a stream even where its input ends"),
        ("execution.checkpointing.unaligned.enabled", "true", "cannot be split when the job is rescaled"),
        ("state.changelog.enabled", "true", "the changelog does not see the pipeline's state"),
        ("execution.checkpointing.checkpoints-after-tasks-finish", "false", "sinks commit their last output"),
        (
            "pipeline.operator-chaining.enabled",
            "false",
            "the stage of a source must be chained to its reader",
        ),
    ];
    for (key, value, reason) in in_cluster {
        let refused = flink.run(&place.submission(&case, key)?.setting(key, value)).err();
        says(key, refused, &[&format!("{key} is {value}, but "), reason])?;
    }
    let in_file = [
        ("state.checkpoints.dir", None, "a job in Flink needs execution.checkpointing.dir"),
        ("execution.checkpointing.interval", None, "a job in Flink needs execution.checkpointing.interval"),
        ("execution.checkpointing.mode", Some("AT_LEAST_ONCE"), "must be EXACTLY_ONCE in Flink"),
    ];
    for (key, value, reason) in in_file {
        let case = match value {
            Some(value) => case.clone().with(&format!("{key}: {value}")),
            None => case.clone().without(key),
        };
        says(key, flink.run(&place.submission(&case, key)?).err(), &["[configuration] ", reason])?;
    }
    // Only a TaskManager knows its memory.
    let job = flink.run(&place.submission(&case, "memory")?)?;
    job.wait_for(JobState::Failed)?;
    let failure = job.failures()?.into_iter().next().unwrap_or_default();
    ensure!(failure.contains("taskmanager.memory.task.off-heap.size is 0"), "{failure}");
    ensure!(job.checkpoints()?.counts.restored == 0, "it was restarted");
    Ok(())
}

fn says(what: &str, error: Option<anyhow::Error>, parts: &[&str]) -> Result<()> {
    let error = format!("{:#}", error.with_context(|| format!("{what} was not refused"))?);
    ensure!(parts.iter().all(|part| error.contains(part)), "{what}: {parts:?} were expected: {error}");
    Ok(())
}
