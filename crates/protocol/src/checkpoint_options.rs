//! When checkpoints are taken and what is kept of them; what is done after a failure. Plain data with Flink's
//! keys and defaults.
//!
//! The names of the fields are the last parts of Flink's keys: `interval` is
//! `execution.checkpointing.interval`, `num-retained` is `state.checkpoints.num-retained`, `type` of
//! [`RestartStrategy`] is `restart-strategy.type`. Where a default is said to be Flink's, it is that of Flink
//! 2.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use millstream_record::{Error, Result};

/// Flink refuses shorter intervals and timeouts too: below this a job does nothing but checkpoints.
const SHORTEST: Duration = Duration::from_millis(10);

/// When checkpoints are taken, how long they may last, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct CheckpointOptions {
    /// `execution.checkpointing.interval`: from one trigger to the next. None (the default): no periodic
    /// checkpoints; savepoints and the final checkpoint are taken all the same.
    #[serde(with = "millstream_stage::options::optional_duration")]
    pub interval: Option<Duration>,
    /// `execution.checkpointing.mode`: whether channels wait for each other's barriers.
    pub mode: CheckpointingMode,
    /// `execution.checkpointing.min-pause`: from the end of a checkpoint, however it ended, to the next
    /// periodic one. 0 by default.
    #[serde(with = "millstream_stage::options::duration")]
    pub min_pause: Duration,
    /// `execution.checkpointing.timeout`: a checkpoint that takes longer is given up. Ten minutes by default.
    #[serde(with = "millstream_stage::options::duration")]
    pub timeout: Duration,
    /// `execution.checkpointing.tolerable-failed-checkpoints`: one failure in a row more than this restarts
    /// the job. 0 by default.
    #[serde(rename = "tolerable-failed-checkpoints")]
    pub tolerable_failed: u32,
    /// `execution.checkpointing.externalized-checkpoint-retention`: what becomes of the checkpoints when the
    /// job is cancelled or fails.
    #[serde(rename = "externalized-checkpoint-retention")]
    pub retention: Retention,
    /// `state.checkpoints.num-retained`: how many completed checkpoints are kept. 1 by default; with more, a
    /// damaged one does not end the job.
    pub num_retained: usize,
    /// `execution.savepointing.interval` (Millstream's own): a savepoint is taken this long after the last
    /// one. None by default.
    #[serde(with = "millstream_stage::options::optional_duration")]
    pub savepoint_interval: Option<Duration>,
}

/// Whether a subtask holds a channel whose barrier has come until the barrier has come on all channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointingMode {
    /// Channels wait for each other's barriers, so that the state counts each record once.
    #[default]
    ExactlyOnce,
    /// Channels do not wait. After a restore some records count twice.
    AtLeastOnce,
}

/// What becomes of the retained checkpoints. When a job has finished they are of no more use and are deleted,
/// as in Flink; a job that is stopped (`SIGTERM`, a crash) keeps them always and goes on from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Retention {
    /// Checkpoints are kept when the job is cancelled or fails. Flink's default is
    /// `NO_EXTERNALIZED_CHECKPOINTS`, with which a cancelled job cannot go on.
    #[default]
    RetainOnCancellation,
    /// Checkpoints are deleted when the job is cancelled, and kept when it fails.
    DeleteOnCancellation,
    /// Checkpoints are deleted when the job is cancelled and when it fails.
    NoExternalizedCheckpoints,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self {
            interval: None,
            mode: CheckpointingMode::ExactlyOnce,
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            tolerable_failed: 0,
            retention: Retention::default(),
            num_retained: 1,
            savepoint_interval: None,
        }
    }
}

impl CheckpointOptions {
    /// Refuses what can never work.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the key.
    pub fn validate(&self) -> Result<()> {
        let too_short = |duration: Option<Duration>| duration.is_some_and(|duration| duration < SHORTEST);
        let wrong = if too_short(self.interval) {
            "execution.checkpointing.interval must be 10 ms at least: leave it away to take no checkpoints"
        } else if too_short(Some(self.timeout)) {
            "execution.checkpointing.timeout must be 10 ms at least"
        } else if too_short(self.savepoint_interval) {
            "execution.savepointing.interval must be 10 ms at least: leave it away to take no savepoints"
        } else if self.num_retained == 0 {
            "state.checkpoints.num-retained must be 1 at least"
        } else {
            return Ok(());
        };
        Err(Error::configuration(wrong))
    }
}

/// What is done after a failure that a restart may cure: `restart-strategy.*`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RestartOptions {
    /// The strategy. None stands for the default: [`RestartStrategy::exponential`] when the job takes
    /// checkpoints, else [`RestartStrategy::None`].
    pub strategy: Option<RestartStrategy>,
}

/// How often and how soon a failed job is started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum RestartStrategy {
    /// `none` (also `off`, `disable`): the first failure ends the job.
    #[serde(alias = "off", alias = "disable")]
    None,
    /// `fixed-delay`: so many times, always after the same pause.
    #[serde(alias = "fixeddelay")]
    FixedDelay {
        /// `restart-strategy.fixed-delay.attempts`: restarts in the whole life of the process.
        attempts: u32,
        /// `restart-strategy.fixed-delay.delay`: the pause.
        #[serde(with = "millstream_stage::options::duration")]
        delay: Duration,
    },
    /// `failure-rate`: unless there are too many failures in an interval.
    #[serde(alias = "failurerate")]
    FailureRate {
        /// `restart-strategy.failure-rate.max-failures-per-interval`: one more failure than this within the
        /// interval ends the job.
        #[serde(rename = "max-failures-per-interval")]
        max_failures: u32,
        /// `restart-strategy.failure-rate.failure-rate-interval`: the interval.
        #[serde(rename = "failure-rate-interval", with = "millstream_stage::options::duration")]
        interval: Duration,
        /// `restart-strategy.failure-rate.delay`: the pause.
        #[serde(with = "millstream_stage::options::duration")]
        delay: Duration,
    },
    /// `exponential-delay`: after longer and longer pauses.
    #[serde(alias = "exponentialdelay")]
    ExponentialDelay {
        /// `restart-strategy.exponential-delay.initial-backoff`: the first pause.
        #[serde(rename = "initial-backoff", with = "millstream_stage::options::duration")]
        initial: Duration,
        /// `restart-strategy.exponential-delay.max-backoff`: the longest pause.
        #[serde(rename = "max-backoff", with = "millstream_stage::options::duration")]
        max: Duration,
        /// `restart-strategy.exponential-delay.backoff-multiplier`: how much longer each is than the one
        /// before.
        #[serde(rename = "backoff-multiplier")]
        multiplier: f64,
        /// `restart-strategy.exponential-delay.reset-backoff-threshold`: after so long without a failure it
        /// begins with the first pause again.
        #[serde(rename = "reset-backoff-threshold", with = "millstream_stage::options::duration")]
        reset_after: Duration,
        /// `restart-strategy.exponential-delay.jitter-factor`: a pause is up to this fraction longer or
        /// shorter, so that many jobs that failed together do not come back together.
        #[serde(rename = "jitter-factor")]
        jitter: f64,
        /// `restart-strategy.exponential-delay.attempts-before-reset-backoff`: restarts in a row before the
        /// job ends. None: without end.
        #[serde(rename = "attempts-before-reset-backoff", default)]
        attempts: Option<u32>,
    },
}

impl RestartOptions {
    /// The strategy of a job that takes checkpoints, or does not.
    pub fn resolved(&self, checkpointing: bool) -> RestartStrategy {
        match &self.strategy {
            Some(strategy) => strategy.clone(),
            None if checkpointing => RestartStrategy::exponential(),
            None => RestartStrategy::None,
        }
    }

    /// Refuses what can never work.
    ///
    /// # Errors
    /// Returns the same errors as [`RestartStrategy::validate`].
    pub fn validate(&self) -> Result<()> {
        self.strategy.as_ref().map_or(Ok(()), RestartStrategy::validate)
    }
}

impl From<RestartStrategy> for RestartOptions {
    fn from(strategy: RestartStrategy) -> Self {
        Self { strategy: Some(strategy) }
    }
}

impl RestartStrategy {
    /// Fixed delay with Flink's defaults: once, after a second.
    pub fn fixed() -> Self {
        Self::FixedDelay { attempts: 1, delay: Duration::from_secs(1) }
    }

    /// Failure rate with Flink's defaults: one failure a minute, after a second.
    pub fn rate() -> Self {
        let (interval, delay) = (Duration::from_secs(60), Duration::from_secs(1));
        Self::FailureRate { max_failures: 1, interval, delay }
    }

    /// Exponential delay with Flink's defaults: from one second to a minute, each half as long again, without
    /// end.
    pub fn exponential() -> Self {
        Self::ExponentialDelay {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            multiplier: 1.5,
            reset_after: Duration::from_secs(3600),
            jitter: 0.1,
            attempts: None,
        }
    }

    /// Refuses what can never work.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the key.
    pub fn validate(&self) -> Result<()> {
        let wrong = match self {
            Self::FailureRate { max_failures: 0, .. } => {
                "restart-strategy.failure-rate.max-failures-per-interval must be 1 at least: or take the type none"
            }
            Self::FailureRate { interval, .. } if interval.is_zero() => {
                "restart-strategy.failure-rate.failure-rate-interval must be longer than 0"
            }
            Self::ExponentialDelay { initial, max, .. } if initial.is_zero() || initial > max => {
                "restart-strategy.exponential-delay.initial-backoff must be longer than 0 and at most max-backoff"
            }
            Self::ExponentialDelay { multiplier, .. } if !multiplier.is_finite() || *multiplier < 1.0 => {
                "restart-strategy.exponential-delay.backoff-multiplier must be 1 at least"
            }
            Self::ExponentialDelay { jitter, .. } if !(0.0..=1.0).contains(jitter) => {
                "restart-strategy.exponential-delay.jitter-factor must be between 0 and 1"
            }
            Self::ExponentialDelay { attempts: Some(0), .. } => {
                "restart-strategy.exponential-delay.attempts-before-reset-backoff must be 1 at least: or take the type none"
            }
            Self::None
            | Self::FixedDelay { .. }
            | Self::FailureRate { .. }
            | Self::ExponentialDelay { .. } => return Ok(()),
        };
        Err(Error::configuration(wrong))
    }
}

#[cfg(test)]
mod tests {
    use millstream_record::ErrorKind;

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(json: &str) -> serde_json::Result<T> {
        serde_json::from_str(json)
    }

    #[test]
    fn the_settings_of_the_mission_are_read() {
        let json = r#"{"interval": "30s", "mode": "EXACTLY_ONCE", "min-pause": "15s", "timeout": "10min",
            "tolerable-failed-checkpoints": 3, "externalized-checkpoint-retention": "DELETE_ON_CANCELLATION", "num-retained": 2}"#;
        let options: CheckpointOptions = read(json).unwrap();
        let wanted = CheckpointOptions {
            interval: Some(Duration::from_secs(30)),
            min_pause: Duration::from_secs(15),
            tolerable_failed: 3,
            retention: Retention::DeleteOnCancellation,
            num_retained: 2,
            ..CheckpointOptions::default()
        };
        assert_eq!(options, wanted);
        let strategy: RestartStrategy =
            read(r#"{"type": "fixed-delay", "attempts": 5, "delay": "10 s"}"#).unwrap();
        assert_eq!(strategy, RestartStrategy::FixedDelay { attempts: 5, delay: Duration::from_secs(10) });
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut options = CheckpointOptions { interval: Some(Duration::from_secs(1)), ..Default::default() };
        options.savepoint_interval = Some(Duration::from_secs(3600));
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(read::<CheckpointOptions>(&json).unwrap(), options);
        let all = [RestartStrategy::fixed(), RestartStrategy::rate(), RestartStrategy::exponential()];
        for strategy in all.into_iter().chain([RestartStrategy::None]) {
            let json = serde_json::to_string(&strategy).unwrap();
            assert_eq!(read::<RestartStrategy>(&json).unwrap(), strategy, "{json}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(read::<CheckpointOptions>(r#"{"intervall": "30s"}"#).is_err());
        assert!(
            read::<RestartStrategy>(r#"{"type": "fixed-delay", "attempts": 5, "delay": "1s", "dealy": 1}"#)
                .is_err()
        );
    }

    #[test]
    fn what_can_never_work_names_its_key() {
        let defaults = CheckpointOptions::default;
        let short = Some(Duration::from_millis(9));
        for (key, options) in [
            (".interval", CheckpointOptions { interval: short, ..defaults() }),
            (".timeout", CheckpointOptions { timeout: Duration::ZERO, ..defaults() }),
            ("savepointing.interval", CheckpointOptions { savepoint_interval: short, ..defaults() }),
            ("num-retained", CheckpointOptions { num_retained: 0, ..defaults() }),
        ] {
            let error = options.validate().unwrap_err();
            assert!(error.kind() == ErrorKind::Configuration && error.to_string().contains(key), "{error}");
        }
        assert!(defaults().validate().is_ok());
    }

    #[test]
    fn restarts_come_with_checkpoints() {
        let options = RestartOptions::default();
        assert_eq!(options.resolved(true), RestartStrategy::exponential());
        assert_eq!(options.resolved(false), RestartStrategy::None);
        assert_eq!(
            RestartOptions::from(RestartStrategy::fixed()).resolved(false),
            RestartStrategy::fixed(),
            "what was chosen stands"
        );
        let zero = Duration::ZERO;
        let bad = RestartStrategy::FailureRate { max_failures: 1, interval: zero, delay: zero };
        assert!(bad.validate().unwrap_err().to_string().contains("failure-rate-interval"));
        for good in [RestartStrategy::fixed(), RestartStrategy::rate(), RestartStrategy::exponential()] {
            good.validate().unwrap();
        }
    }
}
