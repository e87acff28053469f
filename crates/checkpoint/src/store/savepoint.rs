//! Savepoints: snapshots in folders of their own, which only the user deletes.

use std::sync::Arc;

use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_id::JobId;
use millstream_protocol::log::Change;
use millstream_record::{Error, Result};
use millstream_stage::chance::Chance;
use millstream_stage::plan::Plan;
use millstream_stage::snapshot::CheckpointId;
use millstream_storage::Storage;
use parking_lot::Mutex;

use super::attempt_store::AttemptStore;
use super::writer::{CheckpointWriter, Writing, WrittenCheckpoint};

impl AttemptStore {
    /// Begins to write a savepoint into a new folder below `dir`, or below `state.savepoints.dir`. It holds
    /// entries alone, refers to nothing outside its folder, and only the user deletes it.
    /// [`CheckpointWriter::discard`] removes an unfinished one.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when there is no folder for
    /// it, or its URL is wrong.
    pub fn savepoint(&self, id: CheckpointId, dir: Option<&str>, plan: &Plan) -> Result<CheckpointWriter> {
        let options = &self.store.inner.options;
        let dir = dir.or(options.savepoints.as_deref()).ok_or_else(|| {
            Error::configuration(
                "no folder for savepoints: set state.savepoints.dir, or name one with the request",
            )
        })?;
        let folder = folder_name(self.store.job_id(), &options.storage.chance);
        let base = Storage::open(dir, &options.storage)?.child(&folder);
        Ok(CheckpointWriter::new(Writing {
            manifest: self.manifest(id, CheckpointKind::Savepoint, plan),
            base,
            folder: String::new(),
            native: false,
            ticket: None,
            clock: Arc::clone(&options.clock),
            parts: Mutex::default(),
        }))
    }

    /// Notes that a savepoint is complete. It is not retained: it belongs to the user.
    ///
    /// # Errors
    /// See [`complete`](Self::complete).
    pub async fn savepoint_complete(&self, written: &WrittenCheckpoint) -> Result<()> {
        self.append(Change::Savepoint(written.reference.id), None).await.map(drop)
    }
}

// Named as in Flink, with random digits.
fn folder_name(job: JobId, chance: &Chance) -> String {
    format!("savepoint-{}-{}", job.short(), chance.digits(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_savepoint_has_a_folder_of_its_own() {
        let chance = Chance::seeded(1);
        let name = folder_name(JobId::of("demo"), &chance);
        assert_eq!(name.len(), "savepoint-".len() + 6 + 1 + 12);
        assert_ne!(name, folder_name(JobId::of("demo"), &chance));
    }
}
