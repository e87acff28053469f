//! What users may set.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How much memory and which folder the RocksDB state backend may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RocksOptions {
    /// Where the databases are while the job runs (`state.backend.rocksdb.localdir`). A disk, not a file
    /// system in memory; what a killed process left there is removed at the next start. None:
    /// `millstream-rocksdb` in the system's folder for temporary files.
    pub localdir: Option<PathBuf>,
    /// Bytes of memory for all keyed state of the process together
    /// (`state.backend.rocksdb.memory.fixed-per-tm`).
    pub memory: u64,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { localdir: None, memory: 512 << 20 }
    }
}

impl RocksOptions {
    /// The folder that `localdir` means.
    pub fn folder(&self) -> PathBuf {
        self.localdir.clone().unwrap_or_else(|| std::env::temp_dir().join("millstream-rocksdb"))
    }
}
