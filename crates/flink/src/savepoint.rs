//! Savepoints of the thread driver, from which a job in Flink may start.

use millstream_checkpoint::store::{self, ReadOptions};
use millstream_protocol::job_snapshot::JobSnapshot;
use millstream_record::{Error, Result};
use millstream_storage::StorageOptions;
use tokio::runtime::{Builder, Runtime};

/// Reads a savepoint. Its entries are read when they are asked for, on the caller's thread.
pub(crate) fn read(url: &str, storage: &StorageOptions, options: &ReadOptions) -> Result<JobSnapshot> {
    let opened = runtime()?.block_on(store::open(url, storage, options))?;
    Ok(opened.snapshot)
}

/// A runtime for what is done once, such as a claim or a restore.
pub(crate) fn runtime() -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    built.map_err(|error| Error::restart("no thread can be started for I/O").caused_by(error))
}
