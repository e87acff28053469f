//! What goes in comes out, and no more of it travels than must.

use anyhow::{Context, Result, ensure};
use millstream_storage::Storage;

use super::folder;
use super::job::{GROUPS, Job, Machine};

pub(super) async fn whatever_is_frozen_is_restored(machine: &Machine, root: &Storage) -> Result<()> {
    for item_bytes in [0, 1000, 200_000] {
        let mut job = Job::large_items(item_bytes);
        job.advance(2);
        let name = format!("job {item_bytes}");
        let attempt = machine.claim(root, &name).await?;
        ensure!(attempt.restore().await?.is_none(), "nothing to go on from");
        ensure!((attempt.epoch(), attempt.next_checkpoint()) == (1, 1));
        job.checkpoint(machine, &attempt, 1, 1).await?;
        let next = machine.claim(root, &name).await?;
        ensure!((next.epoch(), next.next_checkpoint()) == (2, 2));
        let recovered = next.restore().await?.context("a checkpoint")?;
        ensure!(recovered.passed_over.is_empty() && recovered.reference.id == 1);
        ensure!(recovered.snapshot.key_groups == GROUPS && recovered.snapshot.job == name);
        job.is_in(recovered.snapshot, true).await?;
    }
    let left = std::fs::read_dir(machine.path().join("restored"))?.count();
    ensure!(left == 0, "{left} folders of restored files are left");
    Ok(())
}

pub(super) async fn only_new_files_travel(machine: &Machine, root: &Storage) -> Result<()> {
    let mut job = Job::default();
    let attempt = machine.claim(root, "job").await?;
    for id in 1..=4 {
        job.advance(2);
        let shared = folder(root, "job").list("shared").await?.len();
        let metrics = job.checkpoint(machine, &attempt, id, 10).await?;
        let now = folder(root, "job").list("shared").await?.len();
        ensure!(now - shared == 2, "checkpoint {id} brought {} files", now - shared);
        if id > 1 {
            ensure!(metrics.written < metrics.bytes, "{metrics:?}");
        }
    }
    let next = machine.claim(root, "job").await?;
    let recovered = next.restore().await?.context("a checkpoint")?;
    job.is_in(recovered.snapshot, true).await?;
    job.advance(2);
    job.checkpoint(machine, &next, 5, 10).await?;
    let files = folder(root, "job").list("shared").await?;
    ensure!(files.len() == 10, "after a restore only new files travel as well: {} are there", files.len());
    Ok(())
}
