//! What a store of checkpoints must do on every storage: one list, called for each kind.

mod clean_up;
mod damage;
mod faults;
mod faulty;
mod fences;
pub(crate) mod job;
mod round_trip;
mod savepoints;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use millstream_checkpoint::store::{AttemptStore, read_manifest};
use millstream_protocol::job_id::JobId;
use millstream_storage::{Storage, StorageOptions};

use self::job::{Job, Machine};

/// Goes through the list below `root`, which `Storage::open` gives with these options; with a fault at every
/// `step`-th call of a run.
pub(crate) async fn conforms(root: &Storage, options: &StorageOptions, step: usize) -> Result<()> {
    let machine = Machine::new(options)?;
    let place = |name: &str| root.child(name);
    round_trip::whatever_is_frozen_is_restored(&machine, &place("round")).await.context("round trip")?;
    round_trip::only_new_files_travel(&machine, &place("incremental")).await.context("incremental")?;
    clean_up::only_what_nobody_wants_goes(&machine, &place("clean")).await.context("clean-up")?;
    fences::racing_claims(&machine, &place("races")).await.context("racing claims")?;
    fences::a_zombie_changes_nothing(&machine, &place("zombie")).await.context("zombie")?;
    damage::is_named(&machine, &place("damage")).await.context("damage")?;
    damage::an_older_checkpoint_helps(&machine, &place("older")).await.context("fallback")?;
    faults::harm_nothing(&machine, &place("faults"), step).await.context("faults")?;
    savepoints::can_be_moved_and_forked(&machine, root).await.context("savepoints")
}

/// Nothing but the log and what retained checkpoints refer to is there, and all of that is.
async fn exactly_what_is_referenced(folder: &Storage, attempt: &AttemptStore) -> Result<()> {
    let mut wanted = BTreeSet::new();
    for reference in attempt.retained().await {
        let manifest = read_manifest(folder, &reference.path).await?;
        wanted.insert(format!("{}/manifest", reference.path));
        wanted.extend(manifest.files().map(|file| file.path.clone()));
    }
    let found = folder.list("").await?.into_iter().map(|file| file.path);
    let found: BTreeSet<_> = found.filter(|path| !path.starts_with("log/")).collect();
    ensure!(found == wanted, "too many: {:?}, missing: {:?}", &found - &wanted, &wanted - &found);
    Ok(())
}

/// A new attempt restores the job, and everything is as it was.
async fn restored(machine: &Machine, root: &Storage, job: &Job) -> Result<()> {
    let attempt = machine.claim(root, "job").await?;
    let recovered = attempt.restore().await?.context("a checkpoint")?;
    job.is_in(recovered.snapshot, true).await
}

fn folder(root: &Storage, job: &str) -> Storage {
    root.child(&JobId::of(job).to_string())
}
