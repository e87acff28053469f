//! Clean-up deletes exactly what nobody refers to.

use anyhow::{Context, Result, ensure};
use millstream_checkpoint::store::AttemptStore;
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_storage::Storage;

use super::job::{Job, Machine, plan};
use super::{exactly_what_is_referenced, folder};

pub(super) async fn only_what_nobody_wants_goes(machine: &Machine, root: &Storage) -> Result<()> {
    let mut job = Job::default();
    let attempt = machine.claim(root, "job").await?;
    retention(machine, root, &attempt, &mut job).await.context("retention")?;
    under_way(machine, root, &attempt, &mut job).await.context("under way")?;
    after_a_crash(machine, root, &attempt, &job).await.context("after a crash")
}

async fn retention(machine: &Machine, root: &Storage, attempt: &AttemptStore, job: &mut Job) -> Result<()> {
    for id in 1..=5 {
        job.advance(2);
        job.checkpoint(machine, attempt, id, 2).await?;
        attempt.clean().await?;
        exactly_what_is_referenced(&folder(root, "job"), attempt)
            .await
            .with_context(|| format!("checkpoint {id}"))?;
    }
    Ok(())
}

async fn under_way(machine: &Machine, root: &Storage, attempt: &AttemptStore, job: &mut Job) -> Result<()> {
    let folder = folder(root, "job");
    job.advance(2);
    let begin = |id| attempt.checkpoint(id, CheckpointKind::Checkpoint, &plan("job", 2));
    let (written, _) = job.write(machine, begin(6), 2).await?;
    let before = folder.list("").await?;
    // One that is given up makes the clean-up look at everything.
    drop(job.write(machine, begin(7), 2).await?);
    ensure!(attempt.clean().await? > 0);
    ensure!(folder.list("").await? == before, "what is under way is left alone, what was given up is gone");
    drop(written);
    attempt.clean().await?;
    exactly_what_is_referenced(&folder, attempt).await.context("after it was given up")
}

async fn after_a_crash(machine: &Machine, root: &Storage, crashed: &AttemptStore, job: &Job) -> Result<()> {
    let folder = folder(root, "job");
    job.checkpoint(machine, crashed, 8, 2).await?;
    let abandoned = crashed.checkpoint(9, CheckpointKind::Checkpoint, &plan("job", 2));
    let (_abandoned, _) = job.write(machine, abandoned, 2).await?;
    let attempt = machine.claim(root, "job").await?;
    attempt.clean().await?;
    exactly_what_is_referenced(&folder, &attempt).await?;
    job.is_in(attempt.restore().await?.context("a checkpoint")?.snapshot, true).await?;
    ensure!(attempt.finish().await?.len() == 2, "nothing is retained after the end");
    attempt.clean().await?;
    exactly_what_is_referenced(&folder, &attempt).await.context("after the end")?;
    ensure!(machine.claim(root, "job").await?.restore().await?.is_none(), "it begins anew");
    Ok(())
}
