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

/// Who claims, from one attempt to the next.
pub(crate) struct Claimant {
    /// 32 hexadecimal digits.
    pub(crate) name: String,
    /// Whether it has claimed before: it then gives way to everybody who has claimed since.
    pub(crate) again: bool,
    /// An epoch that was claimed before, even where the log does not know of it.
    pub(crate) floor: u64,
}

/// Claims an epoch that is higher than every one that was claimed before.
///
/// # Errors
/// [`ErrorKind::Fenced`](millstream_record::ErrorKind::Fenced) where another job of this name has begun since
/// the claimant claimed before.
pub(crate) fn claim(program: &dyn Program, job: &Job, claimant: &Claimant) -> Result<u64> {
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
    let store = store.of_process(&claimant.name, claimant.again);
    runtime()?.block_on(async {
        store.probe().await?;
        loop {
            let attempt = store.claim(Base::Latest).await?;
            if attempt.epoch() > claimant.floor {
                return Ok(attempt.epoch());
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use millstream_api::Environment;
    use millstream_cli::{App, NoOptions};
    use millstream_operators::collection::{Collected, Collection};
    use millstream_record::ErrorKind;

    use super::*;

    fn build(_: &NoOptions, env: &Environment) -> Result<()> {
        env.source("numbers", Collection::of([1_i64])).sink_to("results", Collected::default());
        Ok(())
    }

    #[test]
    fn of_two_jobs_of_one_name_the_older_one_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("job.yaml");
        let config = format!("state.checkpoints.dir: file://{}\n", dir.path().join("checkpoints").display());
        std::fs::write(&file, config).unwrap();
        let job = Job::of_args(vec!["--config".to_owned(), file.display().to_string()]).unwrap();
        let claim = |name: &str, again, floor| {
            let claimant = Claimant { name: name.repeat(32), again, floor };
            super::claim(&App::new("numbers").program(build), &job, &claimant)
        };
        assert_eq!(claim("a", false, 0).unwrap(), 1);
        assert_eq!(claim("a", true, 1).unwrap(), 2);
        assert_eq!(claim("b", false, 0).unwrap(), 3);
        assert_eq!(claim("a", true, 2).unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(claim("b", true, 9).unwrap(), 10);
    }
}
