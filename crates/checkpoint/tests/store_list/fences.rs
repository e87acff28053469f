//! Of several attempts only the newest one can write.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use futures::future::join_all;
use millstream_checkpoint::store::AttemptStore;
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::log::Base;
use millstream_record::ErrorKind;
use millstream_storage::Storage;

use super::job::{Job, Machine, plan};
use super::{exactly_what_is_referenced, folder, restored};

pub(super) async fn racing_claims(machine: &Machine, root: &Storage) -> Result<()> {
    for round in 1..=3 {
        let claims = (0..8).map(|_| machine.claim(root, "job"));
        // One that lost to a higher claim may hear so at once.
        let claims: Vec<_> = join_all(claims).await.into_iter().filter_map(Result::ok).collect();
        let epochs: BTreeSet<_> = claims.iter().map(AttemptStore::epoch).collect();
        ensure!(epochs.len() == claims.len() && !epochs.is_empty(), "an epoch was given twice: {epochs:?}");
        let mut job = Job::default();
        job.advance(2);
        let mut completed = Vec::new();
        for attempt in &claims {
            let id = attempt.next_checkpoint();
            match job.checkpoint(machine, attempt, id, 1).await {
                Ok(_) => completed.push(attempt.epoch()),
                Err(error) => fenced(&error)?,
            }
        }
        ensure!(
            completed == [*epochs.last().context("one")?],
            "{completed:?} of {epochs:?} in round {round}"
        );
    }
    Ok(())
}

pub(super) async fn a_zombie_changes_nothing(machine: &Machine, root: &Storage) -> Result<()> {
    let mut job = Job::default();
    job.advance(2);
    let frozen = machine.store(root, "job");
    let first = frozen.claim(Base::Latest).await?;
    let zombie = frozen.claim(Base::Latest).await?;
    ensure!(zombie.epoch() == first.epoch() + 1, "nobody was there in between: it may restart");
    job.checkpoint(machine, &zombie, 1, 1).await?;
    let mut gone = job.clone();
    gone.advance(2);
    let late = zombie.checkpoint(2, CheckpointKind::Checkpoint, &plan("job", 2));
    let (late, _) = gone.write(machine, late, 2).await?;

    let newer = machine.claim(root, "job").await?;
    job.is_in(newer.restore().await?.context("a checkpoint")?.snapshot, true).await?;
    for round in 2..5 {
        job.advance(2);
        job.checkpoint(machine, &newer, round, 1).await?;
    }
    let folder = folder(root, "job");
    let Err(error) = zombie.complete(&late, 1).await else { bail!("the zombie completed a checkpoint") };
    ensure!(error.kind() == ErrorKind::Fenced, "{}", error.chain());
    let Err(error) = frozen.claim(Base::Latest).await else { bail!("the zombie won the job back") };
    ensure!(error.kind() == ErrorKind::Fenced, "{}", error.chain());
    zombie.clean().await.err(); // May find that it knows nothing any more.
    drop(late);
    zombie.clean().await.err();
    newer.clean().await?;
    exactly_what_is_referenced(&folder, &newer).await?;
    restored(machine, root, &job).await
}

fn fenced(error: &anyhow::Error) -> Result<()> {
    let kind = error.downcast_ref::<millstream_record::Error>().map(millstream_record::Error::kind);
    ensure!(kind == Some(ErrorKind::Fenced), "{error:#}");
    Ok(())
}
