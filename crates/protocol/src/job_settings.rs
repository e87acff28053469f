//! What a program sets for its checkpoints, restarts and state. The configuration file overrides it, and the
//! command line (`--set`) overrides both.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checkpoint_options::{CheckpointOptions, RestartOptions};

/// Settings of a job that are the same on every driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobSettings {
    /// When checkpoints are taken and what is kept of them.
    pub checkpointing: CheckpointOptions,
    /// What is done after a failure.
    pub restart: RestartOptions,
    /// `state.checkpoints.dir`: where checkpoints are kept, a URL such as `s3://bucket/clicks`.
    pub checkpoints_dir: Option<String>,
    /// `state.savepoints.dir`: where savepoints go for which no place was given.
    pub savepoints_dir: Option<String>,
    /// Where keyed state lives.
    pub backend: BackendOptions,
}

/// Where keyed state lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendOptions {
    /// `state.backend.type`.
    pub kind: BackendKind,
    /// `execution.checkpointing.incremental`: checkpoints keep the files of the backend, so that only new
    /// ones travel.
    pub incremental: bool,
    /// `state.backend.rocksdb.memory.fixed-per-tm`: bytes of memory for all keyed state of the process. 512
    /// MiB by default.
    pub memory: u64,
    /// `state.backend.rocksdb.localdir`: where the databases are while the job runs.
    pub localdir: Option<PathBuf>,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self { kind: BackendKind::Heap, incremental: false, memory: 512 << 20, localdir: None }
    }
}

/// A state backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(transform = also_hashmap)]
pub enum BackendKind {
    /// State is kept in memory, which is fastest while it fits.
    #[default]
    #[serde(alias = "hashmap")]
    Heap,
    /// State is kept in RocksDB on a local disk, with a cache in memory, so that it may be larger than
    /// memory.
    #[serde(rename = "rocksdb")]
    RocksDb,
}

fn also_hashmap(schema: &mut schemars::Schema) {
    millstream_stage::options::schema::add_value_alias(schema, "heap", "hashmap");
}
