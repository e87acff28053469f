//! How a job runs on the thread driver.

use std::path::PathBuf;
use std::time::Duration;

use millstream_protocol::checkpoint_options::{CheckpointOptions, RestartOptions};
use millstream_protocol::job_settings::JobSettings;
use millstream_record::{Error, Result};
use millstream_storage::{StorageOptions, validate_url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Plain settings of a run. The defaults fit one machine and a few subtasks per core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuntimeOptions {
    /// How many bytes may wait before one subtask, shared out evenly among its channels. A single batch that
    /// is larger than a channel's share passes alone.
    #[serde(with = "millstream_stage::options::size")]
    pub channel_bytes: usize,
    /// The number of threads that run the requests and timers of sources and sinks. Calls that block have
    /// threads of their own.
    pub io_threads: usize,
    /// How many records one call of a source or of a firing window may handle before barriers and commands
    /// are looked at.
    pub records_per_call: usize,
    /// How long an orderly stop may take before the job is aborted with an error that names the subtasks that
    /// were not done. The default lets the process end by itself before Kubernetes kills it after 30 s.
    #[serde(with = "millstream_stage::options::duration")]
    pub stop_timeout: Duration,
    /// How long sinks may go on writing during a stop. After that, a checkpoint takes along the rows that
    /// they have not written. It matters to jobs whose checkpoints are kept in a storage.
    #[serde(with = "millstream_stage::options::duration")]
    pub stop_flush_timeout: Duration,
    /// The number of this attempt to run the job, which must be higher than that of every attempt before.
    /// Without it, a number is claimed in `job-dir`; without that too, it is 1.
    pub epoch: Option<u64>,
    /// The job's directory, where attempts are numbered. In a configuration file, `job.dir` overrides it.
    pub job_dir: Option<PathBuf>,
    /// When checkpoints are taken and what is kept of them. In a configuration file these are keys of the top
    /// level.
    #[serde(skip)]
    pub checkpointing: CheckpointOptions,
    /// Where checkpoints are kept, a URL such as `file:///var/lib/clicks` or `s3://bucket/clicks`
    /// (`state.checkpoints.dir`). Without it: in `job_dir` where checkpoints are taken at all; without that
    /// too: in memory.
    #[serde(skip)]
    pub checkpoints_dir: Option<String>,
    /// Where savepoints go for which no place was given (`state.savepoints.dir`).
    #[serde(skip)]
    pub savepoints_dir: Option<String>,
    /// How storages are reached.
    #[serde(skip)]
    pub storage: StorageOptions,
    /// Whether checkpoints keep the files of cold stores, so that only new ones travel
    /// (`execution.checkpointing.incremental`).
    #[serde(skip)]
    pub incremental: bool,
    /// What is done after a failure. In a configuration file these are keys of the top level.
    #[serde(skip)]
    pub restart: RestartOptions,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            channel_bytes: 4 << 20,
            io_threads: 2,
            records_per_call: 4096,
            stop_timeout: Duration::from_secs(20),
            stop_flush_timeout: Duration::from_secs(4),
            epoch: None,
            job_dir: None,
            checkpointing: CheckpointOptions::default(),
            checkpoints_dir: None,
            savepoints_dir: None,
            storage: StorageOptions::default(),
            incremental: false,
            restart: RestartOptions::default(),
        }
    }
}

impl RuntimeOptions {
    /// Refuses settings that can never work.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the setting.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("channel-bytes", self.channel_bytes),
            ("io-threads", self.io_threads),
            ("records-per-call", self.records_per_call),
        ];
        match at_least_one.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(Error::configuration(format!("{name} must be at least 1"))),
            None => {
                let urls = self.checkpoints_dir.iter().chain(&self.savepoints_dir);
                urls.map(String::as_str).try_for_each(validate_url)?;
                self.checkpointing.validate().and_then(|()| self.restart.validate())
            }
        }
    }

    /// Takes over what a program says about its checkpoints, restarts and state.
    #[must_use]
    pub fn with_settings(self, settings: &JobSettings) -> Self {
        let JobSettings { checkpointing, restart, checkpoints_dir, savepoints_dir, backend } =
            settings.clone();
        let incremental = backend.incremental;
        Self { checkpointing, restart, checkpoints_dir, savepoints_dir, incremental, ..self }
    }

    /// Where checkpoints are kept, as a URL; none for in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for a job directory that no
    /// URL can name.
    pub(crate) fn checkpoints_url(&self) -> Result<Option<String>> {
        let options = &self.checkpointing;
        let wanted = options.interval.is_some() || options.savepoint_interval.is_some();
        match (&self.checkpoints_dir, &self.job_dir) {
            (Some(url), _) => Ok(Some(url.clone())),
            (None, Some(dir)) if wanted || self.savepoints_dir.is_some() => {
                let dir = std::path::absolute(dir.join("checkpoints"));
                let url = dir.ok().and_then(|dir| dir.to_str().map(|dir| format!("file://{dir}")));
                url.map(Some).ok_or_else(|| Error::configuration("job.dir has a name that no URL can have"))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_plain_data() {
        let options: RuntimeOptions = serde_json::from_str(r#"{"stop-timeout": "125 s"}"#).unwrap();
        assert_eq!(options.stop_timeout, Duration::from_secs(125));
        assert_eq!(options.channel_bytes, RuntimeOptions::default().channel_bytes);
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<RuntimeOptions>(&text).unwrap(), options);
    }

    #[test]
    fn unknown_and_impossible_settings_are_refused() {
        assert!(serde_json::from_str::<RuntimeOptions>(r#"{"chanel-bytes": 1}"#).is_err());
        let error = RuntimeOptions { io_threads: 0, ..Default::default() }.validate().unwrap_err();
        assert!(error.chain().contains("io-threads"), "{error}");
    }
}
