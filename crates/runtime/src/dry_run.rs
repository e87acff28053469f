//! What a restore would do, without a restore: nothing is claimed, written or started, and a job that runs is
//! not disturbed.

use std::sync::Arc;

use millstream_checkpoint::job_log::LogFolder;
use millstream_checkpoint::store::{Opened, ReadOptions, open, read};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_id::JobId;
use millstream_protocol::log::{CheckpointRef, LogEvent};
use millstream_protocol::restore_check::{RestoreReport, check};
use millstream_record::{Error, ErrorKind, Result};
use millstream_stage::plan::Plan;
use millstream_storage::{Reports, Storage};

use crate::RuntimeOptions;
use crate::clock::SystemClock;
use crate::io;

/// What a restore would do.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The checkpoint or savepoint that was looked at.
    pub url: String,
    /// What becomes of each state.
    pub report: RestoreReport,
}

/// Compares a plan with the savepoint or checkpoint at a URL; without one, with what a start would go on
/// from: the job's latest checkpoint, or the savepoint that it began from. Reads manifests, no state.
///
/// # Errors
/// [`ErrorKind::Configuration`] when there is nothing to look at, [`ErrorKind::Data`] when it is damaged;
/// those of the storage. What does not fit is no error of this: see [`RestoreReport::refusal`].
pub fn dry_run(plan: &Plan, options: &RuntimeOptions, from: Option<&str>) -> Result<DryRun> {
    let mut options = options.clone();
    options.storage.reports = Reports::to(Arc::default(), Arc::new(SystemClock::new()));
    let opened = io::runtime(1)?.block_on(async {
        match from {
            Some(url) => look(plan, url, &options).await,
            None => latest(plan, &options, None).await?.ok_or_else(|| nothing(plan)),
        }
    })?;
    Ok(DryRun { report: check(plan, &opened.snapshot)?, url: opened.url })
}

/// The same for a job that is about to start: from the savepoint `from`, if there is one and the job has not
/// begun from it before, else from its latest checkpoint; `None` when the job begins from nothing.
///
/// # Errors
/// Returns the same errors as [`dry_run`].
pub(crate) fn at_start(plan: &Plan, options: &RuntimeOptions, from: Option<&str>) -> Result<Option<DryRun>> {
    let opened = io::runtime(1)?.block_on(async {
        match (latest(plan, options, from).await?, from) {
            (None, Some(url)) => look(plan, url, options).await.map(Some),
            (opened, _) => Ok(opened),
        }
    })?;
    let report = |opened: Opened| Ok(DryRun { report: check(plan, &opened.snapshot)?, url: opened.url });
    opened.map(report).transpose()
}

// What the job's log says; with a savepoint, only what came of that.
async fn latest(plan: &Plan, options: &RuntimeOptions, from: Option<&str>) -> Result<Option<Opened>> {
    let Some(dir) = options.checkpoints_url()? else { return Ok(None) };
    let job = Storage::open(&dir, &options.storage)?.child(&JobId::of(&plan.name).to_string());
    let Some(entry) = LogFolder::of(&job).latest().await? else { return Ok(None) };
    let of_another = from.is_some() && from != entry.base.as_deref();
    if of_another || entry.event == LogEvent::Finished {
        return Ok(None);
    }
    let mut damaged = None;
    for reference in entry.retained.iter().rev() {
        match retained(plan, &job, reference, options).await {
            Err(error) if error.kind() == ErrorKind::Data => damaged = damaged.or(Some(error)),
            other => return other.map(Some),
        }
    }
    match (damaged, &entry.base) {
        (Some(error), _) => Err(error),
        (None, Some(base)) => look(plan, base, options).await.map(Some),
        (None, None) => Ok(None),
    }
}

async fn look(plan: &Plan, url: &str, options: &RuntimeOptions) -> Result<Opened> {
    open(url, &options.storage, &ReadOptions::default().for_plan(plan)).await
}

async fn retained(
    plan: &Plan,
    job: &Storage,
    reference: &CheckpointRef,
    options: &RuntimeOptions,
) -> Result<Opened> {
    match reference.kind {
        CheckpointKind::Savepoint => look(plan, &reference.path, options).await,
        CheckpointKind::Checkpoint | CheckpointKind::Final => {
            read(job, &reference.path, &ReadOptions::default()).await
        }
    }
}

fn nothing(plan: &Plan) -> Error {
    Error::configuration(format!(
        "job `{}` has no checkpoint where state.checkpoints.dir says: a start would begin from nothing. Name a savepoint, if there is one",
        plan.name
    ))
}
