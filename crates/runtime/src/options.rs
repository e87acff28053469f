//! How a job runs on the thread driver.

use std::path::PathBuf;
use std::time::Duration;

use millstream_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// Plain settings of a run. The defaults fit one machine and a few subtasks per core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeOptions {
    /// Bytes that may wait before one subtask, shared out evenly among its channels. A single batch that is larger than a channel's
    /// share passes alone. Default: 4 MiB.
    pub channel_bytes: usize,
    /// Threads that run the futures of sources and sinks (requests, timers); calls that block have threads of their own. Default: 2.
    pub io_threads: usize,
    /// How many records one call of a source or of a firing window may handle before barriers and commands are looked at.
    /// Default: 4096.
    pub records_per_call: usize,
    /// How long an orderly stop may take before the job is aborted with an error that names who was not done. Default: 60 s.
    #[serde(with = "duration")]
    pub stop_timeout: Duration,
    /// Number of this attempt to run the job, higher than that of every attempt before. Without it: claimed in `job_dir`; without
    /// that too: 1.
    pub epoch: Option<u64>,
    /// The job's directory, where epochs are claimed (see [`epoch::claim`](crate::epoch::claim)).
    pub job_dir: Option<PathBuf>,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            channel_bytes: 4 << 20,
            io_threads: 2,
            records_per_call: 4096,
            stop_timeout: Duration::from_secs(60),
            epoch: None,
            job_dir: None,
        }
    }
}

impl RuntimeOptions {
    /// Refuses settings that can never work.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_core::ErrorKind::Configuration), naming the setting.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("channel_bytes", self.channel_bytes),
            ("io_threads", self.io_threads),
            ("records_per_call", self.records_per_call),
        ];
        match at_least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(Error::configuration(format!("{name} must be at least 1"))),
            None => Ok(()),
        }
    }
}

/// Durations as people write them: `60s`, `2m 30s`.
mod duration {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_plain_data() {
        let options: RuntimeOptions = serde_json::from_str(r#"{"stop_timeout": "2m 5s"}"#).unwrap();
        assert_eq!(options.stop_timeout, Duration::from_secs(125));
        assert_eq!(options.channel_bytes, RuntimeOptions::default().channel_bytes);
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<RuntimeOptions>(&text).unwrap(), options);
    }

    #[test]
    fn unknown_and_impossible_settings_are_refused() {
        assert!(serde_json::from_str::<RuntimeOptions>(r#"{"chanel_bytes": 1}"#).is_err());
        let error = RuntimeOptions { io_threads: 0, ..Default::default() }.validate().unwrap_err();
        assert!(error.chain().contains("io_threads"), "{error}");
    }
}
