//! Deletes files that nothing refers to any more: lists the job's folder, and deletes what the pure rule
//! [`checkpoint_retention`](millstream_protocol::checkpoint_retention) allows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use millstream_protocol::checkpoint_retention::{KnownFiles, Owner, deletable};
use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::log::CheckpointRef;
use millstream_record::Result;

use super::attempt_store::AttemptStore;
use super::paths;
use super::read::read_manifest;
use crate::manifest::{CHECKPOINT_MANIFEST, Manifest};

/// What a writer that died left of files that never became visible is removed after this time.
const DRAFT_AGE: Duration = Duration::from_secs(3600);

impl AttemptStore {
    /// Deletes the files of checkpoints that are retained no more or were given up, and, at its first call,
    /// what earlier attempts left. Gives their number. Never a file that a retained checkpoint or one under
    /// way refers to, never one of a newer attempt or a savepoint's. Call it after each completion, and leave
    /// it out at any time: what was left is deleted the next time.
    ///
    /// # Errors
    /// Returns the errors of the storage: nothing else has happened then.
    pub async fn clean(&self) -> Result<usize> {
        if self.in_doubt().await {
            return Ok(0); // What is retained is not known.
        }
        let strays = std::mem::take(&mut self.in_flight().dropped().strays);
        let (retired, swept) = {
            let mut cleaning = self.cleaning();
            (std::mem::take(&mut cleaning.retired), cleaning.swept)
        };
        match self.remove(&retired, strays || !swept).await {
            Ok(removed) => {
                self.forget(&retired);
                self.cleaning().swept = true;
                Ok(removed)
            }
            Err(error) => {
                let mut cleaning = self.cleaning();
                cleaning.retired.extend(retired);
                cleaning.swept = false;
                Err(error.in_context("cannot clean up"))
            }
        }
    }

    async fn remove(&self, retired: &[CheckpointRef], sweeping: bool) -> Result<usize> {
        let mut candidates = BTreeSet::new();
        for reference in retired.iter().filter(|reference| reference.kind != CheckpointKind::Savepoint) {
            // Without its manifest its own files are found by their folder.
            let Some(manifest) = self.known_manifest(reference) else { return self.sweep(retired).await };
            candidates.extend(files_of(reference, &manifest));
        }
        if sweeping {
            return self.sweep(retired).await;
        }
        let known = self.known(retired).await?;
        self.delete(candidates, &known).await
    }

    async fn sweep(&self, retired: &[CheckpointRef]) -> Result<usize> {
        let known = self.known(retired).await?;
        let listed = self.store.folder().list("").await?;
        let now = u64::try_from(self.store.inner.options.clock.now()).unwrap_or(0);
        let before = UNIX_EPOCH + Duration::from_millis(now).saturating_sub(DRAFT_AGE);
        self.store.folder().sweep("", before).await?;
        self.delete(listed.into_iter().map(|file| file.path).collect(), &known).await
    }

    async fn delete(&self, candidates: BTreeSet<String>, known: &KnownFiles) -> Result<usize> {
        let gone = deletable(candidates.iter().map(String::as_str), known);
        self.store.folder().delete(&gone).await?;
        self.in_flight().dropped().shared.retain(|file| !known.dropped.contains(file));
        Ok(gone.len())
    }

    /// What is known now. What begins or completes from now on is safe whatever follows from it.
    async fn known(&self, retired: &[CheckpointRef]) -> Result<KnownFiles> {
        let mut known = KnownFiles { epoch: self.epoch(), ..KnownFiles::default() };
        let retained = self.retained().await;
        let pinned = self.pinned().await?;
        for reference in retained.iter().chain(&pinned) {
            if reference.kind == CheckpointKind::Savepoint {
                continue; // Outside the job's folder.
            }
            let manifest = self.manifest_of(reference).await?;
            known.referenced.extend(files_of(reference, &manifest));
            known.kept.insert((reference.id, reference.epoch));
        }
        let mut in_flight = self.in_flight();
        let (alive, in_use) = in_flight.alive();
        known.kept.extend(alive.into_iter().map(|id| (id, self.epoch())));
        known.in_use = in_use;
        known.next_checkpoint = in_flight.next();
        self.drop_shared_of(retired, &mut in_flight.dropped().shared);
        known.dropped.clone_from(&in_flight.dropped().shared);
        Ok(known)
    }

    fn drop_shared_of(&self, retired: &[CheckpointRef], dropped: &mut BTreeSet<String>) {
        for manifest in retired.iter().filter_map(|reference| self.known_manifest(reference)) {
            let own = manifest.shared().map(|file| &file.file.path);
            dropped.extend(own.filter(|path| Owner::of(path) == Owner::Shared(self.epoch())).cloned());
        }
    }

    /// The checkpoint of this very job that a user told it to begin from: the user's, like a savepoint.
    async fn pinned(&self) -> Result<Option<CheckpointRef>> {
        let folder = self.store.folder().url();
        let Some(base) = &self.claimed().base else { return Ok(None) };
        let Some(path) = base.strip_prefix(&folder) else { return Ok(None) };
        let path = path.trim_matches('/').trim_end_matches(CHECKPOINT_MANIFEST).trim_end_matches('/');
        let manifest = read_manifest(self.store.folder(), path).await?;
        let Manifest { checkpoint: id, epoch, kind, time, bytes, .. } = manifest;
        Ok(Some(CheckpointRef { id, epoch, kind, path: paths::checkpoint(id, epoch), time, bytes }))
    }

    async fn manifest_of(&self, reference: &CheckpointRef) -> Result<Arc<Manifest>> {
        if let Some(manifest) = self.known_manifest(reference) {
            return Ok(manifest);
        }
        let manifest = Arc::new(read_manifest(self.store.folder(), &reference.path).await?);
        self.remember(reference, &manifest);
        Ok(manifest)
    }
}

fn files_of<'a>(reference: &'a CheckpointRef, manifest: &'a Manifest) -> impl Iterator<Item = String> + 'a {
    let own = format!("{}/{CHECKPOINT_MANIFEST}", reference.path);
    manifest.files().map(|file| file.path.clone()).chain([own])
}
