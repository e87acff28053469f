//! The settings of the configuration file as Flink's own, where Flink decides: checkpoints, restarts, state.

use std::time::Duration;

use millstream_protocol::checkpoint_options::{RestartStrategy, Retention};
use millstream_protocol::job_settings::{BackendKind, BackendOptions, JobSettings};
use millstream_record::Result;

/// Flink's keys with their values, and notes on what has no meaning in Flink.
pub(crate) type FlinkConfiguration = (Vec<(String, String)>, Vec<String>);

/// What the settings are in Flink.
pub(crate) fn flink_configuration(settings: &JobSettings) -> Result<FlinkConfiguration> {
    let mut keys = Keys::default();
    checkpointing(settings, &mut keys);
    if let Some(strategy) = &settings.restart.strategy {
        restart_strategy(strategy, &mut keys);
    }
    let mut notes = Vec::new();
    if settings.checkpointing.savepoint_interval.is_some() {
        notes.push(
            "execution.savepointing.interval has no effect in Flink, which takes savepoints only when asked"
                .to_owned(),
        );
    }
    if settings.checkpointing.num_retained == 1 {
        notes.push(
            "state.checkpoints.num-retained is 1: a JobManager that hangs and wakes up may still complete a checkpoint and delete the one \
             that its successor restores; set it to 3 where several JobManagers run"
                .to_owned(),
        );
    }
    let backend = &settings.backend;
    if backend.kind == BackendKind::RocksDb && backend.memory != BackendOptions::default().memory {
        notes.push(
            "state.backend.rocksdb.memory.fixed-per-tm has no effect in Flink: state takes its share of taskmanager.memory.task.off-heap.size"
                .to_owned(),
        );
    }
    Ok((keys.0, notes))
}

#[derive(Default)]
struct Keys(Vec<(String, String)>);

impl Keys {
    fn set(&mut self, key: &str, value: &dyn std::fmt::Display) {
        self.0.push((key.to_owned(), format!("{value}")));
    }

    // Flink counts with an int, and these mean "for ever" long before that.
    fn count(&mut self, key: &str, value: impl TryInto<i32>) {
        self.set(key, &value.try_into().unwrap_or(i32::MAX));
    }

    fn duration(&mut self, key: &str, value: Duration) {
        self.set(key, &format_args!("{} ms", value.as_millis()));
    }
}

fn checkpointing(settings: &JobSettings, keys: &mut Keys) {
    let options = &settings.checkpointing;
    if let Some(interval) = options.interval {
        keys.duration("execution.checkpointing.interval", interval);
    }
    keys.set("execution.checkpointing.mode", &"EXACTLY_ONCE");
    keys.duration("execution.checkpointing.min-pause", options.min_pause);
    keys.duration("execution.checkpointing.timeout", options.timeout);
    keys.count("execution.checkpointing.tolerable-failed-checkpoints", options.tolerable_failed);
    let retention = match options.retention {
        Retention::RetainOnCancellation => "RETAIN_ON_CANCELLATION",
        Retention::DeleteOnCancellation => "DELETE_ON_CANCELLATION",
        Retention::NoExternalizedCheckpoints => "NO_EXTERNALIZED_CHECKPOINTS",
    };
    keys.set("execution.checkpointing.externalized-checkpoint-retention", &retention);
    keys.count("execution.checkpointing.num-retained", options.num_retained);
    keys.count("state.checkpoints.num-retained", options.num_retained);
    keys.set("execution.checkpointing.incremental", &settings.backend.incremental);
    for (url, key) in [(&settings.checkpoints_dir, "dir"), (&settings.savepoints_dir, "savepoint-dir")] {
        if let Some(url) = url {
            keys.set(&format!("execution.checkpointing.{key}"), &url);
        }
    }
    // The names of the same two in Flink 1.
    for (url, key) in [(&settings.checkpoints_dir, "checkpoints"), (&settings.savepoints_dir, "savepoints")] {
        if let Some(url) = url {
            keys.set(&format!("state.{key}.dir"), &url);
        }
    }
}

fn restart_strategy(strategy: &RestartStrategy, keys: &mut Keys) {
    const TYPE: &str = "restart-strategy.type";
    match strategy {
        RestartStrategy::None => keys.set(TYPE, &"none"),
        RestartStrategy::FixedDelay { attempts, delay } => {
            keys.set(TYPE, &"fixed-delay");
            keys.count("restart-strategy.fixed-delay.attempts", *attempts);
            keys.duration("restart-strategy.fixed-delay.delay", *delay);
        }
        RestartStrategy::FailureRate { max_failures, interval, delay } => {
            keys.set(TYPE, &"failure-rate");
            keys.count("restart-strategy.failure-rate.max-failures-per-interval", *max_failures);
            keys.duration("restart-strategy.failure-rate.failure-rate-interval", *interval);
            keys.duration("restart-strategy.failure-rate.delay", *delay);
        }
        RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, jitter, attempts } => {
            keys.set(TYPE, &"exponential-delay");
            keys.duration("restart-strategy.exponential-delay.initial-backoff", *initial);
            keys.duration("restart-strategy.exponential-delay.max-backoff", *max);
            keys.set("restart-strategy.exponential-delay.backoff-multiplier", &multiplier);
            keys.duration("restart-strategy.exponential-delay.reset-backoff-threshold", *reset_after);
            keys.set("restart-strategy.exponential-delay.jitter-factor", &jitter);
            if let Some(attempts) = attempts {
                keys.set("restart-strategy.exponential-delay.attempts-before-reset-backoff", &attempts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_keys_are_flinks() {
        let mut settings = JobSettings::default();
        settings.checkpointing.interval = Some(Duration::from_secs(3));
        settings.checkpointing.num_retained = 3;
        settings.checkpoints_dir = Some("s3://bucket/checkpoints".to_owned());
        settings.checkpointing.tolerable_failed = u32::MAX;
        settings.restart.strategy =
            Some(RestartStrategy::FixedDelay { attempts: 7, delay: Duration::from_millis(250) });
        settings.backend.kind = BackendKind::RocksDb;
        settings.backend.memory = 1 << 30;
        let (keys, notes) = flink_configuration(&settings).unwrap();
        let value =
            |wanted: &str| keys.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
        assert_eq!(value("execution.checkpointing.interval"), Some("3000 ms"));
        assert_eq!(value("execution.checkpointing.dir"), Some("s3://bucket/checkpoints"));
        assert_eq!(value("execution.checkpointing.tolerable-failed-checkpoints"), Some("2147483647"));
        assert_eq!(value("restart-strategy.type"), Some("fixed-delay"));
        assert_eq!(value("restart-strategy.fixed-delay.attempts"), Some("7"));
        assert_eq!(value("restart-strategy.fixed-delay.delay"), Some("250 ms"));
        assert_eq!(value("execution.checkpointing.savepoint-dir"), None);
        assert!(notes[0].contains("off-heap"), "{notes:?}");
    }
}
