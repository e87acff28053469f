//! Writes a job's checkpoints and savepoints, reads them back, and knows which of them stand.
//!
//! ```text
//! <state.checkpoints.dir>/<job id>/
//!     log/0000000042        who runs the job, and which checkpoints stand: crate::job_log
//!     chk-7-2/manifest      checkpoint 7 of attempt 2, written last
//!     chk-7-2/0-1.state     entries of stage 0, subtask 1: crate::format
//!     chk-7-2/0-1-…         files of a cold store that belong to this checkpoint alone
//!     shared/2-7-…          files of a cold store that later checkpoints may refer to as well
//! <state.savepoints.dir>/savepoint-<6 of the job id>-<12 random>/
//!     _metadata             written last
//!     0-1.state             always entries, never files of a cold store
//! ```
//!
//! The order of a checkpoint: [`AttemptStore::checkpoint`], [`CheckpointWriter::part`] for each subtask as it
//! comes, [`CheckpointWriter::finish`], [`AttemptStore::complete`] (now it stands), then the operators hear of it,
//! then [`AttemptStore::clean`].
//!
//! All calls want a Tokio runtime; entries are encoded on its blocking threads, never on those of the job.

mod attempt_store;
mod check;
mod clean_up;
mod in_flight;
mod items;
mod local;
mod native;
mod native_part;
mod paths;
pub(crate) mod pieces;
mod read;
mod savepoint;
mod state_file;
mod stored_part;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use millstream_protocol::job_id::JobId;
use millstream_protocol::log::Base;
use millstream_record::Result;
use millstream_stage::time::Clock;
use millstream_storage::{Storage, StorageOptions};
use parking_lot::Mutex;

use crate::manifest::{FileManifest, Manifest};

pub use attempt_store::{AttemptStore, Recovered};
pub use millstream_stage::snapshot::NativeReader;
pub(crate) use native_part::{NativePart, NativePartFile};
pub(crate) use read::merge;
pub use read::{Opened, ReadOptions, open, read, read_manifest};
pub(crate) use stored_part::StoredPart;
pub use writer::{CheckpointWriter, PartMetrics, WrittenCheckpoint};

/// What a store needs to know beyond the place and the job.
#[derive(Clone)]
pub struct StoreOptions {
    /// How to reach storages.
    pub storage: StorageOptions,
    /// `state.savepoints.dir`: where savepoints go for which nothing else is said.
    pub savepoints: Option<String>,
    /// `execution.checkpointing.incremental`: checkpoints keep the files of cold stores instead of their
    /// entries.
    pub incremental: bool,
    /// How restored files of cold stores are read.
    pub read: ReadOptions,
    /// Gives the time that is written into manifests and the log.
    pub clock: Arc<dyn Clock>,
}

/// A job's folder below `state.checkpoints.dir`. Cheap to clone; one per process.
#[derive(Clone)]
pub struct CheckpointStore {
    inner: Arc<Inner>,
}

struct Inner {
    job: String,
    job_id: JobId,
    folder: Storage,
    options: StoreOptions,
    /// 32 digits that tell this process from any other in the log.
    process: String,
    /// Whether this process has claimed an epoch before.
    claimed: AtomicBool,
    shared: Mutex<SharedFiles>,
}

/// The files of cold stores that the next checkpoint may refer to, by id: those of the last one that stands.
type SharedFiles = Arc<HashMap<String, FileManifest>>;

impl CheckpointStore {
    /// The store of the job of this name (`pipeline.name`) below `url` (`state.checkpoints.dir`). No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a URL or options that
    /// are wrong.
    pub fn open(url: &str, job: &str, options: StoreOptions) -> Result<Self> {
        let storage = Storage::open(url, &options.storage)?;
        Ok(Self::over(&storage, job, options))
    }

    /// The store of the job of this name below an open storage.
    pub fn over(storage: &Storage, job: &str, options: StoreOptions) -> Self {
        let job_id = JobId::of(job);
        let folder = storage.child(&job_id.to_string());
        let (job, process) = (job.to_owned(), options.storage.chance.digits(32));
        let (claimed, shared) = (AtomicBool::new(false), Mutex::default());
        Self { inner: Arc::new(Inner { job, job_id, folder, options, process, claimed, shared }) }
    }

    /// The same store for whoever the log knows by `process`, 32 hexadecimal digits, and who may have claimed
    /// an epoch before.
    #[must_use]
    pub fn of_process(&self, process: &str, claimed: bool) -> Self {
        let Inner { job, job_id, folder, options, .. } = &*self.inner;
        let (job, folder, options) = (job.clone(), folder.clone(), options.clone());
        let (process, claimed, shared) = (process.to_owned(), AtomicBool::new(claimed), Mutex::default());
        Self { inner: Arc::new(Inner { job, job_id: *job_id, folder, options, process, claimed, shared }) }
    }

    /// The job's id.
    pub fn job_id(&self) -> JobId {
        self.inner.job_id
    }

    /// The job's folder.
    pub fn folder(&self) -> &Storage {
        &self.inner.folder
    }

    /// Refuses a storage that lacks what exactly-once needs; see [`Storage::probe`]. Call it once at start.
    ///
    /// # Errors
    /// Returns the errors of [`Storage::probe`].
    pub async fn probe(&self) -> Result<()> {
        self.inner.folder.probe().await
    }

    /// Claims the next epoch: a new attempt to run the job. Who ran it before is fenced from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`](millstream_record::ErrorKind::Fenced) when this store has claimed before and
    /// another process has taken over since, [`ErrorKind::Retry`](millstream_record::ErrorKind::Retry) when
    /// the storage is away, [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when no entry of the log
    /// can be read.
    pub async fn claim(&self, base: Base) -> Result<AttemptStore> {
        AttemptStore::claim(self.clone(), base).await
    }

    /// Reads the savepoint or checkpoint at `url`, whichever job it is of.
    ///
    /// # Errors
    /// See [`read`].
    pub async fn read(&self, url: &str) -> Result<Opened> {
        read::open(url, &self.inner.options.storage, &self.inner.options.read).await
    }

    fn shared(&self) -> SharedFiles {
        Arc::clone(&self.inner.shared.lock())
    }

    /// From now on checkpoints may refer to the files of this one. Never to those of a savepoint or of
    /// another job.
    fn build_on(&self, manifest: &Manifest) {
        let shared = manifest.shared().map(|file| (file.id.clone(), file.file.clone())).collect();
        *self.inner.shared.lock() = Arc::new(shared);
    }

    fn build_on_nothing(&self) {
        *self.inner.shared.lock() = Arc::default();
    }
}

impl fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckpointStore").field(&self.inner.folder.url()).finish()
    }
}
