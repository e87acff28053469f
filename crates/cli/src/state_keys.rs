//! The keys of checkpoints, restarts and state in a configuration file: Flink's, where the thing is the same.

use std::path::PathBuf;
use std::time::Duration;

use millstream_protocol::checkpoint_options::{
    CheckpointOptions, CheckpointingMode, RestartStrategy, Retention,
};
use millstream_protocol::job_settings::{BackendKind, BackendOptions, JobSettings};
use millstream_record::{Error, Result};
use millstream_runtime::StorageOptions;
use millstream_stage::options::schema::add_value_alias;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config_origin::ConfigOrigin;
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

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    /// How often a checkpoint is taken, from one trigger to the next. Without it there are no periodic
    /// checkpoints, and a crash loses the state.
    #[serde(rename = "execution.checkpointing.interval")]
    interval: Option<Time>,
    /// Whether the channels of a subtask wait for each other's barriers.
    #[serde(rename = "execution.checkpointing.mode")]
    mode: Option<CheckpointingMode>,
    /// The least time from the end of a checkpoint, however it ended, to the next periodic one.
    #[serde(rename = "execution.checkpointing.min-pause")]
    min_pause: Option<Time>,
    /// A checkpoint that takes longer than this is given up.
    #[serde(rename = "execution.checkpointing.timeout")]
    timeout: Option<Time>,
    /// How many checkpoints in a row may fail. One more restarts the job.
    #[serde(rename = "execution.checkpointing.tolerable-failed-checkpoints")]
    tolerable_failed: Option<u32>,
    /// What becomes of the checkpoints when the job is cancelled or fails.
    #[serde(rename = "execution.checkpointing.externalized-checkpoint-retention")]
    retention: Option<Retention>,
    /// Whether checkpoints keep the files of RocksDB, so that only new files travel. Needs
    /// `state.backend.type: rocksdb`.
    #[serde(rename = "execution.checkpointing.incremental")]
    incremental: Option<bool>,
    /// How long after the last savepoint the next one is taken. Without it, savepoints are taken on request
    /// only.
    #[serde(rename = "execution.savepointing.interval")]
    savepoint_interval: Option<Time>,
    /// How many completed checkpoints are kept. With more than one, a checkpoint that is damaged does not end
    /// the job: an older one is taken.
    #[serde(rename = "state.checkpoints.num-retained")]
    num_retained: Option<usize>,
    /// Where checkpoints are kept, a URL such as `file:///var/lib/clicks`, `s3://bucket/clicks` or
    /// `hdfs://namenode:8020/clicks`. Without it they are kept below `job.dir`.
    #[serde(rename = "state.checkpoints.dir")]
    checkpoints_dir: Option<String>,
    /// Where savepoints go for which no place was given, a URL.
    #[serde(rename = "state.savepoints.dir")]
    savepoints_dir: Option<String>,
    /// Where keyed state lives. `rocksdb` needs a build with the feature `rocksdb`.
    #[serde(rename = "state.backend.type")]
    backend: Option<BackendKind>,
    /// The memory for all keyed state of the process in RocksDB.
    #[serde(rename = "state.backend.rocksdb.memory.fixed-per-tm")]
    memory: Option<Size>,
    /// The directory of the RocksDB databases while the job runs. Take a local disk; by default it is the
    /// system's temporary folder. The databases are a working copy, the checkpoint is the truth.
    #[serde(rename = "state.backend.rocksdb.localdir")]
    localdir: Option<PathBuf>,
    /// What is done after a failure that a restart may cure. The default is `exponential-delay` where
    /// `execution.checkpointing.interval` is set, else `none`.
    #[serde(rename = "restart-strategy.type")]
    restart: Option<Restart>,
    /// How often the job is started again in the life of the process.
    #[serde(rename = "restart-strategy.fixed-delay.attempts")]
    fixed_attempts: Option<u32>,
    /// The pause before each restart.
    #[serde(rename = "restart-strategy.fixed-delay.delay")]
    fixed_delay: Option<Time>,
    /// How many failures within the interval are followed by a restart. One more ends the job.
    #[serde(rename = "restart-strategy.failure-rate.max-failures-per-interval")]
    rate_failures: Option<u32>,
    /// The interval in which failures are counted.
    #[serde(rename = "restart-strategy.failure-rate.failure-rate-interval")]
    rate_interval: Option<Time>,
    /// The pause before each restart.
    #[serde(rename = "restart-strategy.failure-rate.delay")]
    rate_delay: Option<Time>,
    /// The pause before the first restart.
    #[serde(rename = "restart-strategy.exponential-delay.initial-backoff")]
    initial_backoff: Option<Time>,
    /// The longest pause before a restart.
    #[serde(rename = "restart-strategy.exponential-delay.max-backoff")]
    max_backoff: Option<Time>,
    /// How much longer each pause is than the one before.
    #[serde(rename = "restart-strategy.exponential-delay.backoff-multiplier")]
    multiplier: Option<f64>,
    /// After this time without a failure, the pauses begin with the first one again.
    #[serde(rename = "restart-strategy.exponential-delay.reset-backoff-threshold")]
    reset_after: Option<Time>,
    /// A pause is up to this fraction longer or shorter, so that many jobs that failed together do not come
    /// back together.
    #[serde(rename = "restart-strategy.exponential-delay.jitter-factor")]
    jitter: Option<f64>,
    /// How many restarts in a row are tried before the job ends. Without it there is no end.
    #[serde(rename = "restart-strategy.exponential-delay.attempts-before-reset-backoff")]
    backoff_attempts: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Time(#[serde(with = "millstream_stage::options::duration")] Duration);

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Size(#[serde(with = "millstream_stage::options::size")] usize);

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(transform = also_flinks)]
enum Restart {
    /// The first failure ends the job.
    #[serde(alias = "off", alias = "disable")]
    None,
    /// The job is started again so many times, always after the same pause.
    #[serde(alias = "fixeddelay")]
    FixedDelay,
    /// The job is started again unless there are too many failures in an interval.
    #[serde(alias = "failurerate")]
    FailureRate,
    /// The job is started again after longer and longer pauses.
    #[serde(alias = "exponentialdelay")]
    ExponentialDelay,
}

fn also_flinks(schema: &mut Schema) {
    for (strategy, alias) in [
        ("none", "off"),
        ("none", "disable"),
        ("fixed-delay", "fixeddelay"),
        ("failure-rate", "failurerate"),
        ("exponential-delay", "exponentialdelay"),
    ] {
        add_value_alias(schema, strategy, alias);
    }
}

/// Whether a key of the top level is read here.
pub(crate) fn is_state_key(key: &str) -> bool {
    FAMILIES.iter().chain(&STORAGE).any(|family| key.starts_with(family)) || key == STORAGE_MAP
}

/// Whether a key of the top level says how storages are reached.
pub(crate) fn is_storage_key(key: &str) -> bool {
    STORAGE.iter().any(|family| key.starts_with(family))
}

/// The defaults of the keys that are read here, as far as they have one that depends on nothing else.
pub(crate) fn defaults() -> Map<String, Value> {
    let backend = BackendOptions::default();
    let strategies = [RestartStrategy::fixed(), RestartStrategy::rate(), RestartStrategy::exponential()];
    let strategies = strategies.iter().flat_map(|strategy| {
        let fields = fields_of(strategy);
        let family = fields["type"].as_str().unwrap_or_default().to_owned();
        fields.into_iter().map(move |(field, value)| (format!("restart-strategy.{family}.{field}"), value))
    });
    let checkpointing = fields_of(&CheckpointOptions::default()).into_iter().flat_map(|(field, value)| {
        ["execution.checkpointing", "state.checkpoints"]
            .map(|family| (format!("{family}.{field}"), value.clone()))
    });
    let backend = [
        ("state.backend.type", json!(backend.kind)),
        ("state.backend.rocksdb.memory.fixed-per-tm", json!(backend.memory)),
        ("execution.checkpointing.incremental", json!(backend.incremental)),
    ];
    let backend = backend.map(|(key, value)| (key.to_owned(), value));
    strategies.chain(checkpointing).chain(backend).collect()
}

fn fields_of(options: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(options) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

impl StateKeys {
    /// Takes the keys out of a file that belong here.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration): keys that are not known or
    /// are refused, values of the wrong kind.
    pub(crate) fn take(map: &mut Map<String, Value>, origin: &ConfigOrigin) -> Result<Self> {
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
        let s3: Vec<_> = state.keys().filter(|key| is_storage_key(key)).cloned().collect();
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
