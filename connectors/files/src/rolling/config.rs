//! What can be set for files that roll.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use millstream_record::{Error, Result};
use millstream_stage::options::{duration, size};
use millstream_storage::StorageOptions;

use super::output_directory::OutputDirectory;

/// Settings of a [`RollingFilesSink`](crate::RollingFilesSink).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RollingOptions {
    /// The directory to write to, which is made where it is missing. `s3://bucket/prefix` (feature `s3`) and
    /// `hdfs://host:port/path` (feature `hdfs`) close their files at every checkpoint.
    pub dir: String,
    /// How to reach an object store or HDFS.
    pub storage: StorageOptions,
    /// A file of this size is closed.
    #[serde(with = "size")]
    pub roll_size: usize,
    /// A file of this age is closed at the next checkpoint.
    #[serde(with = "duration")]
    pub roll_interval: Duration,
    /// How much one subtask holds back while the disk is busy; more blocks it.
    #[serde(with = "size")]
    pub buffer_size: usize,
}

impl Default for RollingOptions {
    fn default() -> Self {
        Self {
            dir: String::new(),
            storage: StorageOptions::default(),
            roll_size: 128 << 20,
            roll_interval: Duration::from_secs(60),
            buffer_size: 4 << 20,
        }
    }
}

impl RollingOptions {
    /// The defaults for a directory.
    pub fn to(dir: impl Into<String>) -> Self {
        Self { dir: dir.into(), ..Self::default() }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.dir.is_empty() {
            return Err(Error::configuration("dir is empty: name the directory to write to"));
        }
        OutputDirectory::new(self)?;
        if self.roll_size == 0 || self.buffer_size == 0 {
            return Err(Error::configuration("roll-size and buffer-size must be at least 1 byte"));
        }
        Ok(())
    }
}
