//! Savepoints own all that they need.

use anyhow::{Context, Result, ensure};
use millstream_checkpoint::manifest::SAVEPOINT_MANIFEST;
use millstream_checkpoint::store::{AttemptStore, ReadOptions, open};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_id::JobId;
use millstream_protocol::log::Base;
use millstream_storage::Storage;

use super::job::{Job, Machine, plan};
use super::{exactly_what_is_referenced, folder};

pub(super) async fn can_be_moved_and_forked(machine: &Machine, root: &Storage) -> Result<()> {
    let mut job = Job::large_items(5000);
    job.advance(2);
    let attempt = machine.claim(root, "old").await?;
    job.checkpoint(machine, &attempt, 1, 1).await?;
    let moved = taken_and_moved(machine, root, &attempt, &job).await?;
    forked(machine, root, &moved, &job).await.context("a fork")?;
    let metadata = moved.child(SAVEPOINT_MANIFEST).url();
    let again = open(&metadata, &machine.options, &ReadOptions::default()).await?;
    job.is_in(again.snapshot, false).await?;

    let unfinished = attempt.savepoint(3, None, &plan("old", 2))?;
    job.write(machine, unfinished.clone(), 2).await?;
    unfinished.discard().await?;
    ensure!(root.list("savepoints").await?.is_empty(), "a discarded savepoint leaves nothing");
    Ok(())
}

async fn taken_and_moved(
    machine: &Machine,
    root: &Storage,
    attempt: &AttemptStore,
    job: &Job,
) -> Result<Storage> {
    let writer = attempt.savepoint(2, None, &plan("old", 2))?;
    let (written, _) = job.write(machine, writer, 2).await?;
    attempt.savepoint_complete(&written).await?;
    attempt.clean().await?;
    let name = written.url.rsplit('/').next().context("a name")?.to_owned();
    ensure!(name.starts_with(&format!("savepoint-{}-", JobId::of("old").short())), "{name}");
    let (place, moved) = (root.child("savepoints").child(&name), root.child("elsewhere").child("moved"));
    let files = place.list("").await?;
    for file in &files {
        place.copy_to(&file.path, &moved, &file.path).await?;
    }
    let paths: Vec<_> = files.into_iter().map(|file| file.path).collect();
    place.delete(&paths).await?;
    Ok(moved)
}

async fn forked(machine: &Machine, root: &Storage, from: &Storage, job: &Job) -> Result<()> {
    let old = folder(root, "old").list("").await?;
    let fork = machine.store(root, "fork").claim(Base::Savepoint(from.url())).await?;
    let recovered = fork.restore().await?.context("the savepoint")?;
    ensure!(recovered.reference.kind == CheckpointKind::Savepoint && recovered.url == from.url());
    job.is_in(recovered.snapshot, false).await?;
    let mut forked = job.clone();
    for id in fork.next_checkpoint()..fork.next_checkpoint() + 3 {
        forked.advance(2);
        forked.checkpoint(machine, &fork, id, 1).await?;
        fork.clean().await?;
    }
    ensure!(folder(root, "old").list("").await? == old, "the old job's files are its own");
    exactly_what_is_referenced(&folder(root, "fork"), &fork).await
}
