//! The keys of checkpoints, restarts and state in a configuration file: Flink's, where the thing is the same.

use std::path::PathBuf;
use std::time::Duration;

use millstream_protocol::checkpoint_options::{
    CheckpointOptions, CheckpointingMode, RestartStrategy, Retention,
};
use millstream_protocol::job_settings::{BackendKind, JobSettings};
use millstream_record::{Error, Result};
use millstream_runtime::StorageOptions;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::origin::Origin;
use crate::spelling::modernise;
use crate::strict;

/// The beginnings of the keys that are read here.
const FAMILIES: [&str; 4] = ["execution.", "state.", "restart-strategy", "restart.strategy"];
/// The beginnings of the keys that say how storages are reached.
const STORAGE: [&str; 2] = ["s3.", "hdfs."];
/// A map with the other keys of storages, such as `timeout`.
pub(crate) const STORAGE_MAP: &str = "storage";

/// What a file says about checkpoints, restarts and state; what it does not say is left to the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateKeys {
    keys: Keys,
    storage: StorageOptions,
    notes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    #[serde(rename = "execution.checkpointing.interval")]
    interval: Option<Time>,
    #[serde(rename = "execution.checkpointing.mode")]
    mode: Option<CheckpointingMode>,
    #[serde(rename = "execution.checkpointing.min-pause")]
    min_pause: Option<Time>,
    #[serde(rename = "execution.checkpointing.timeout")]
    timeout: Option<Time>,
    #[serde(rename = "execution.checkpointing.tolerable-failed-checkpoints")]
    tolerable_failed: Option<u32>,
    #[serde(rename = "execution.checkpointing.externalized-checkpoint-retention")]
    retention: Option<Retention>,
    #[serde(rename = "execution.checkpointing.incremental")]
    incremental: Option<bool>,
    #[serde(rename = "execution.savepointing.interval")]
    savepoint_interval: Option<Time>,
    #[serde(rename = "state.checkpoints.num-retained")]
    num_retained: Option<usize>,
    #[serde(rename = "state.checkpoints.dir")]
    checkpoints_dir: Option<String>,
    #[serde(rename = "state.savepoints.dir")]
    savepoints_dir: Option<String>,
    #[serde(rename = "state.backend.type")]
    backend: Option<BackendKind>,
    #[serde(rename = "state.backend.rocksdb.memory.fixed-per-tm")]
    memory: Option<Size>,
    #[serde(rename = "state.backend.rocksdb.localdir")]
    localdir: Option<PathBuf>,
    #[serde(rename = "restart-strategy.type")]
    restart: Option<Restart>,
    #[serde(rename = "restart-strategy.fixed-delay.attempts")]
    fixed_attempts: Option<u32>,
    #[serde(rename = "restart-strategy.fixed-delay.delay")]
    fixed_delay: Option<Time>,
    #[serde(rename = "restart-strategy.failure-rate.max-failures-per-interval")]
    rate_failures: Option<u32>,
    #[serde(rename = "restart-strategy.failure-rate.failure-rate-interval")]
    rate_interval: Option<Time>,
    #[serde(rename = "restart-strategy.failure-rate.delay")]
    rate_delay: Option<Time>,
    #[serde(rename = "restart-strategy.exponential-delay.initial-backoff")]
    initial_backoff: Option<Time>,
    #[serde(rename = "restart-strategy.exponential-delay.max-backoff")]
    max_backoff: Option<Time>,
    #[serde(rename = "restart-strategy.exponential-delay.backoff-multiplier")]
    multiplier: Option<f64>,
    #[serde(rename = "restart-strategy.exponential-delay.reset-backoff-threshold")]
    reset_after: Option<Time>,
    #[serde(rename = "restart-strategy.exponential-delay.jitter-factor")]
    jitter: Option<f64>,
    #[serde(rename = "restart-strategy.exponential-delay.attempts-before-reset-backoff")]
    backoff_attempts: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
struct Time(#[serde(with = "millstream_stage::options::duration")] Duration);

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
struct Size(#[serde(with = "millstream_stage::options::size")] usize);

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Restart {
    #[serde(alias = "off", alias = "disable")]
    None,
    #[serde(alias = "fixeddelay")]
    FixedDelay,
    #[serde(alias = "failurerate")]
    FailureRate,
    #[serde(alias = "exponentialdelay")]
    ExponentialDelay,
}

/// Whether a key of the top level is read here.
pub(crate) fn is_state_key(key: &str) -> bool {
    FAMILIES.iter().chain(&STORAGE).any(|family| key.starts_with(family)) || key == STORAGE_MAP
}

impl StateKeys {
    /// Takes the keys out of a file that belong here.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration): keys that are not known or are refused, values of the
    /// wrong kind.
    pub(crate) fn take(map: &mut Map<String, Value>, origin: &Origin) -> Result<Self> {
        let (mut state, mut storage) = (Map::new(), Map::new());
        let keys: Vec<_> = map.keys().filter(|key| is_state_key(key)).cloned().collect();
        for (key, value) in keys.iter().filter_map(|key| map.remove_entry(key)) {
            if key == STORAGE_MAP {
                storage.extend(map_of(value).map_err(|error| error.at(origin.place(STORAGE_MAP)))?);
            } else {
                state.insert(key, value);
            }
        }
        let notes = modernise(&mut state).map_err(|error| origin.here(error))?;
        let s3: Vec<_> = state
            .keys()
            .filter(|key| STORAGE.iter().any(|family| key.starts_with(family)))
            .cloned()
            .collect();
        storage.extend(s3.iter().filter_map(|key| state.remove_entry(key)));
        let wrong = |mistake: strict::Mistake| origin.mistake(&mistake);
        let keys = Self {
            keys: strict::read(Value::Object(state)).map_err(wrong)?,
            storage: strict::read(Value::Object(storage)).map_err(wrong)?,
            notes,
        };
        keys.storage.validate().map_err(|error| origin.here(error))?;
        Ok(keys)
    }

    /// What a program says, with what the file says over it.
    ///
    /// # Errors
    /// Settings that do not go together.
    pub fn over(&self, code: &JobSettings) -> Result<JobSettings> {
        let Keys { checkpoints_dir, savepoints_dir, backend, incremental, memory, localdir, .. } =
            self.keys.clone();
        let mut settings = code.clone();
        self.checkpointing(&mut settings.checkpointing);
        if let Some(strategy) = self.restart(code)? {
            settings.restart = strategy.into();
        }
        settings.checkpoints_dir = checkpoints_dir.or(settings.checkpoints_dir);
        settings.savepoints_dir = savepoints_dir.or(settings.savepoints_dir);
        let over = &mut settings.backend;
        set(&mut over.kind, backend);
        set(&mut over.incremental, incremental);
        set(&mut over.memory, memory.map(|Size(bytes)| bytes as u64));
        over.localdir = localdir.or(over.localdir.take());
        settings.checkpointing.validate()?;
        settings.restart.validate()?;
        Ok(settings)
    }

    fn checkpointing(&self, over: &mut CheckpointOptions) {
        let keys = &self.keys;
        over.interval = keys.interval.map(|Time(time)| time).or(over.interval);
        over.savepoint_interval = keys.savepoint_interval.map(|Time(time)| time).or(over.savepoint_interval);
        set(&mut over.mode, keys.mode);
        set(&mut over.min_pause, keys.min_pause.map(|Time(time)| time));
        set(&mut over.timeout, keys.timeout.map(|Time(time)| time));
        set(&mut over.tolerable_failed, keys.tolerable_failed);
        set(&mut over.retention, keys.retention);
        set(&mut over.num_retained, keys.num_retained);
    }

    // The type in the file begins with Flink's defaults; without one, sub-keys change what the program chose.
    fn restart(&self, code: &JobSettings) -> Result<Option<RestartStrategy>> {
        let chosen = self.keys.restart.map(|chosen| match chosen {
            Restart::None => RestartStrategy::None,
            Restart::FixedDelay => RestartStrategy::fixed(),
            Restart::FailureRate => RestartStrategy::rate(),
            Restart::ExponentialDelay => RestartStrategy::exponential(),
        });
        let Some(mut strategy) = chosen.or_else(|| code.restart.strategy.clone()) else {
            return self.stray(None).map(|()| None);
        };
        self.stray(Some(&strategy))?;
        self.refine(&mut strategy);
        Ok(Some(strategy))
    }

    fn refine(&self, strategy: &mut RestartStrategy) {
        let keys = &self.keys;
        let time = |time: Option<Time>| time.map(|Time(time)| time);
        match strategy {
            RestartStrategy::None => {}
            RestartStrategy::FixedDelay { attempts, delay } => {
                set(attempts, keys.fixed_attempts);
                set(delay, time(keys.fixed_delay));
            }
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                set(max_failures, keys.rate_failures);
                set(interval, time(keys.rate_interval));
                set(delay, time(keys.rate_delay));
            }
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, jitter, attempts } => {
                set(initial, time(keys.initial_backoff));
                set(max, time(keys.max_backoff));
                set(multiplier, keys.multiplier);
                set(reset_after, time(keys.reset_after));
                set(jitter, keys.jitter);
                *attempts = keys.backoff_attempts.or(*attempts);
            }
        }
    }

    // A sub-key of a strategy that was not chosen would do nothing: somebody meant something else.
    fn stray(&self, chosen: Option<&RestartStrategy>) -> Result<()> {
        let keys = &self.keys;
        let fixed = keys.fixed_attempts.is_some() || keys.fixed_delay.is_some();
        let rate = keys.rate_failures.is_some() || keys.rate_interval.is_some() || keys.rate_delay.is_some();
        let exponential =
            [keys.initial_backoff, keys.max_backoff, keys.reset_after].iter().any(Option::is_some)
                || keys.multiplier.is_some()
                || keys.jitter.is_some()
                || keys.backoff_attempts.is_some();
        let stray = [
            (fixed && !matches!(chosen, Some(RestartStrategy::FixedDelay { .. })), "fixed-delay"),
            (rate && !matches!(chosen, Some(RestartStrategy::FailureRate { .. })), "failure-rate"),
            (
                exponential && !matches!(chosen, Some(RestartStrategy::ExponentialDelay { .. })),
                "exponential-delay",
            ),
        ];
        match stray.iter().find(|(stray, _)| *stray) {
            Some((_, family)) => Err(Error::configuration(format!(
                "restart-strategy.{family}.* does nothing unless restart-strategy.type is {family}"
            ))),
            None => Ok(()),
        }
    }

    /// How storages are reached.
    pub fn storage(&self) -> &StorageOptions {
        &self.storage
    }

    /// Old spellings that were met, and what they are called today.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn map_of(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(Error::configuration("storage holds keys and values, such as `storage: {timeout: 30s}`")),
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

#[cfg(test)]
mod tests;
