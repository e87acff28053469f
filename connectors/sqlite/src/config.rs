//! The sink's settings.

use std::path::PathBuf;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::options::{duration, size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which file to write to, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SqliteOptions {
    /// The database file, which is made if it is not there. Its directory must exist.
    pub path: PathBuf,
    /// A transaction begins when this many rows wait.
    pub batch_records: usize,
    /// A transaction begins when a row has waited for this long.
    #[serde(with = "duration")]
    pub linger: Duration,
    /// When a subtask holds more than this, waiting and being written, it takes no more data until there is
    /// room.
    #[serde(with = "size")]
    pub buffer_bytes: usize,
    /// How long one attempt waits for another writer of the file.
    #[serde(with = "duration")]
    pub busy_timeout: Duration,
    /// How long the file may stay locked before the job goes back to its last checkpoint.
    #[serde(with = "duration")]
    pub retry_for: Duration,
    /// How much a commit waits for.
    pub synchronous: Synchronous,
    /// The write-ahead log is cut to this size. Above it the log and the page name the reader
    /// that was left open and keeps it from that.
    #[serde(rename = "wal-size", with = "size")]
    pub wal_bytes: usize,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Synchronous {
    /// A commit waits until the disk has the data, so that whatever is acknowledged survives a loss of power.
    #[default]
    Full,
    /// A commit waits until the operating system has the data. A crash of the process loses nothing; a loss
    /// of power may lose the last transactions.
    Normal,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::from("millstream.db"),
            batch_records: 10_000,
            linger: Duration::from_millis(100),
            buffer_bytes: 32 << 20,
            busy_timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(120),
            synchronous: Synchronous::Full,
            wal_bytes: 64 << 20,
        }
    }
}

impl SqliteOptions {
    /// The default settings for a file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Refuses what can never work. No I/O.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() || self.path.as_os_str() == ":memory:" {
            return Err(Error::configuration("sqlite: path must name a file"));
        }
        if self.batch_records == 0 || self.buffer_bytes == 0 {
            return Err(Error::configuration("sqlite: batch-records and buffer-bytes must not be 0"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_defaults_and_unknown_ones_are_refused() {
        let options: SqliteOptions =
            serde_json::from_str(r#"{"path": "clicks.db", "linger": "1s", "synchronous": "normal"}"#)
                .unwrap();
        let expected = SqliteOptions {
            linger: Duration::from_secs(1),
            synchronous: Synchronous::Normal,
            ..SqliteOptions::at("clicks.db")
        };
        assert_eq!(options, expected);
        let unknown = serde_json::from_str::<SqliteOptions>(r#"{"file": "clicks.db"}"#).unwrap_err();
        assert!(unknown.to_string().contains("path"), "{unknown}");
    }

    #[test]
    fn what_can_never_work_is_refused() {
        assert!(SqliteOptions::default().validate().is_ok());
        assert!(SqliteOptions::at("").validate().is_err());
        assert!(SqliteOptions::at(":memory:").validate().is_err());
        assert!(SqliteOptions { batch_records: 0, ..SqliteOptions::default() }.validate().is_err());
    }
}
