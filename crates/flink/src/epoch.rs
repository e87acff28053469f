//! Numbers the attempts to run a job, in the job's own log: so an attempt in Flink is newer than every one
//! before, in this cluster, in another one, or in one process.

use std::sync::Arc;

use millstream_checkpoint::store::{CheckpointStore, ReadOptions, StoreOptions};
use millstream_protocol::log::Base;
use millstream_record::{Error, Result};
use millstream_runtime::SystemClock;
use millstream_stage::chance::Chance;
use millstream_storage::StorageOptions;

use crate::program::{Job, Program};
use crate::savepoint::runtime;

/// Claims an epoch that is higher than `floor` and than every one that was claimed before.
pub(crate) fn claim(program: &dyn Program, job: &Job, floor: u64) -> Result<u64> {
    let loaded = job.load(program)?;
    let url = loaded.settings.checkpoints_dir.as_deref();
    let url = url.ok_or_else(|| Error::configuration("execution.checkpointing.dir is not set"))?;
    let options = StoreOptions {
        storage: StorageOptions { chance: Chance::from_system(), ..loaded.storage },
        savepoints: None,
        incremental: false,
        read: ReadOptions::default(),
        clock: Arc::new(SystemClock::new()),
    };
    let store = CheckpointStore::open(url, &loaded.plan.name, options)?;
    runtime()?.block_on(async {
        store.probe().await?;
        loop {
            let attempt = store.claim(Base::Latest).await?;
            if attempt.epoch() > floor {
                return Ok(attempt.epoch());
            }
        }
    })
}
