//! What is done after a failure: by its kind, then by the job's strategy. A pure state machine that lives as
//! long as the process.
//!
//! - **Configuration** and **fenced** never loop: the first would fail again in the same way, the second must
//!   not come back.
//! - **Data** never loops either. While a checkpoint is being restored it says that the checkpoint is
//!   damaged: then the next older one that is retained is taken, at once and loudly, and all newer ones are
//!   retired, for they belong to a past that is given up.
//! - Everything else is left to the [`RestartStrategy`]; a bug too, as in Flink, for it may be one that shows
//!   rarely.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_record::ErrorKind;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::time::{Nanos, nanos};

use crate::checkpoint_options::RestartStrategy;
use crate::log::CheckpointRef;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum RestartDecision {
    /// Start again from the latest checkpoint after this pause.
    Restart {
        /// The pause.
        after: Duration,
    },
    /// Start again at once from an older checkpoint.
    FallBack {
        /// The checkpoint.
        to: CheckpointRef,
        /// Those that are to be retired in the log before anything runs.
        retire: Vec<CheckpointId>,
    },
    /// The job has failed.
    End {
        /// Why there is no restart, for people; to stand before the error.
        why: String,
    },
}

/// What failed.
#[derive(Clone, Copy, Debug)]
pub enum FailureCause<'a> {
    /// A job that ran, or could not be started for a reason that does not lie in its checkpoint.
    Running(ErrorKind),
    /// A checkpoint could not be read.
    Restoring {
        /// What reading it gave.
        kind: ErrorKind,
        /// The checkpoint.
        from: &'a CheckpointRef,
        /// All that are retained, oldest first.
        retained: &'a [CheckpointRef],
    },
}

/// The restarts of one job in one process.
#[derive(Clone, Debug)]
pub struct Restarts {
    strategy: RestartStrategy,
    /// Restarts in a row.
    attempts: u32,
    /// The last failures, oldest first.
    failures: VecDeque<Nanos>,
    /// The last pause without its jitter, and when the job came back from it.
    backoff: Option<(Duration, Nanos)>,
}

impl Restarts {
    /// By a strategy.
    pub fn new(strategy: RestartStrategy) -> Self {
        Self { strategy, attempts: 0, failures: VecDeque::new(), backoff: None }
    }

    /// How many restarts in a row there were.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Decides. `random` is in `0.0..1.0`.
    pub fn on_failure(&mut self, failure: FailureCause<'_>, now: Nanos, random: f64) -> RestartDecision {
        let kind = match failure {
            FailureCause::Restoring { kind: ErrorKind::Data, from, retained } => {
                return fall_back(from, retained);
            }
            FailureCause::Running(kind) | FailureCause::Restoring { kind, .. } => kind,
        };
        let hopeless = match kind {
            ErrorKind::Configuration => "it would fail in the same way again",
            ErrorKind::Fenced => "a newer attempt runs the job",
            ErrorKind::Data => "it would meet the same data again",
            ErrorKind::Retry | ErrorKind::Restart | ErrorKind::BadRecord | ErrorKind::Bug => {
                return self.by_strategy(now, random);
            }
        };
        end(format!("not started again: {hopeless}"))
    }

    fn by_strategy(&mut self, now: Nanos, random: f64) -> RestartDecision {
        match self.strategy.clone() {
            RestartStrategy::None => end("not started again: restart-strategy.type is none".into()),
            RestartStrategy::FixedDelay { attempts, delay } => self.attempt(Some(attempts), delay),
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                self.by_rate(max_failures, interval, delay, now)
            }
            RestartStrategy::ExponentialDelay { initial, max, multiplier, reset_after, jitter, attempts } => {
                let pause = self.next_backoff(initial, max, multiplier, reset_after, now);
                let pause = pause.mul_f64(1.0 + jitter * (2.0 * random - 1.0)).clamp(initial, max);
                self.backoff = self.backoff.map(|(base, _)| (base, now.saturating_add(nanos(pause))));
                self.attempt(attempts, pause)
            }
        }
    }

    fn attempt(&mut self, most: Option<u32>, after: Duration) -> RestartDecision {
        if most.is_some_and(|most| self.attempts >= most) {
            return end(format!("not started again: it has failed after {} restarts", self.attempts));
        }
        self.attempts += 1;
        RestartDecision::Restart { after }
    }

    // Flink counts a restart less than its documentation says; here the documentation counts: so many
    // failures are allowed.
    fn by_rate(&mut self, most: u32, interval: Duration, delay: Duration, now: Nanos) -> RestartDecision {
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now.saturating_sub(*at) > nanos(interval)) {
            self.failures.pop_front();
        }
        if self.failures.len() > most as usize {
            let why =
                format!("not started again: it has failed {} times within {interval:?}", self.failures.len());
            return end(why);
        }
        self.attempts += 1;
        RestartDecision::Restart { after: delay }
    }

    fn next_backoff(
        &mut self,
        initial: Duration,
        max: Duration,
        multiplier: f64,
        reset_after: Duration,
        now: Nanos,
    ) -> Duration {
        let base = match self.backoff {
            Some((last, back)) if now.saturating_sub(back) < nanos(reset_after) => {
                last.mul_f64(multiplier).min(max)
            }
            _ => {
                self.attempts = 0;
                initial
            }
        };
        self.backoff = Some((base, now));
        base
    }
}

fn fall_back(from: &CheckpointRef, retained: &[CheckpointRef]) -> RestartDecision {
    let at = retained.iter().position(|kept| kept == from).unwrap_or(0);
    let retire = retained[at.min(retained.len())..].iter().map(|kept| kept.id).collect();
    match retained[..at].last() {
        Some(to) => RestartDecision::FallBack { to: to.clone(), retire },
        None => end(format!(
            "checkpoint {} is damaged and no older one is retained (state.checkpoints.num-retained): start the job under another name \
             from a savepoint, or from the beginning",
            from.id
        )),
    }
}

fn end(why: String) -> RestartDecision {
    RestartDecision::End { why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint_stats::CheckpointKind;

    const SECOND: Nanos = 1_000_000_000;
    const FAILS: FailureCause<'static> = FailureCause::Running(ErrorKind::Restart);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn restart(after: u64) -> RestartDecision {
        RestartDecision::Restart { after: seconds(after) }
    }

    fn ends(verdict: &RestartDecision, why: &str) -> bool {
        matches!(verdict, RestartDecision::End { why: said } if said.contains(why))
    }

    #[test]
    fn what_a_restart_cannot_cure_never_loops() {
        for kind in [ErrorKind::Configuration, ErrorKind::Fenced, ErrorKind::Data] {
            let mut restarts = Restarts::new(RestartStrategy::exponential());
            assert!(
                ends(&restarts.on_failure(FailureCause::Running(kind), 0, 0.5), "not started again"),
                "{kind:?}"
            );
        }
        let mut restarts = Restarts::new(RestartStrategy::exponential());
        for kind in [ErrorKind::Retry, ErrorKind::Restart, ErrorKind::BadRecord, ErrorKind::Bug] {
            let verdict = restarts.on_failure(FailureCause::Running(kind), 0, 0.5);
            assert!(matches!(verdict, RestartDecision::Restart { .. }), "{kind:?}: {verdict:?}");
        }
        let mut never = Restarts::new(RestartStrategy::None);
        assert!(ends(&never.on_failure(FAILS, 0, 0.5), "none"));
    }

    #[test]
    fn five_restarts_ten_seconds_apart() {
        let mut restarts = Restarts::new(RestartStrategy::FixedDelay { attempts: 5, delay: seconds(10) });
        for round in 0..5 {
            assert_eq!(restarts.on_failure(FAILS, round * 100 * SECOND, 0.5), restart(10));
        }
        assert!(ends(&restarts.on_failure(FAILS, 999 * SECOND, 0.5), "after 5 restarts"));
    }

    #[test]
    fn too_many_failures_in_an_interval_end_the_job() {
        let strategy =
            RestartStrategy::FailureRate { max_failures: 2, interval: seconds(60), delay: seconds(1) };
        let mut restarts = Restarts::new(strategy);
        for at in [0, 50, 100, 150, 161] {
            assert_eq!(restarts.on_failure(FAILS, at * SECOND, 0.5), restart(1), "at {at}");
        }
        assert!(ends(&restarts.on_failure(FAILS, 170 * SECOND, 0.5), "3 times within 60s"));
    }

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew_after_a_long_quiet_time() {
        let mut restarts = Restarts::new(RestartStrategy::ExponentialDelay {
            initial: seconds(1),
            max: seconds(10),
            multiplier: 3.0,
            reset_after: seconds(100),
            jitter: 0.0,
            attempts: Some(5),
        });
        for (at, after) in [(0, 1), (2, 3), (6, 9), (20, 10), (129, 10), (239, 1), (245, 3)] {
            assert_eq!(restarts.on_failure(FAILS, at * SECOND, 0.5), restart(after), "at {at}");
        }
        for _ in 0..3 {
            assert!(matches!(restarts.on_failure(FAILS, 250 * SECOND, 0.5), RestartDecision::Restart { .. }));
        }
        assert!(ends(&restarts.on_failure(FAILS, 250 * SECOND, 0.5), "after 5 restarts"));
    }

    fn checkpoint(id: CheckpointId) -> CheckpointRef {
        let (kind, path) = (CheckpointKind::Checkpoint, format!("chk-{id}-1"));
        CheckpointRef { id, epoch: 1, kind, path, time: 0, bytes: 0 }
    }

    #[test]
    fn a_damaged_checkpoint_gives_way_to_an_older_one() {
        let retained: Vec<_> = [3, 5, 6, 8].map(checkpoint).into();
        let mut restarts = Restarts::new(RestartStrategy::None);
        let restoring = |kind, from| FailureCause::Restoring { kind, from, retained: &retained };
        let verdict = restarts.on_failure(restoring(ErrorKind::Data, &retained[3]), 0, 0.5);
        assert_eq!(verdict, RestartDecision::FallBack { to: checkpoint(6), retire: vec![8] });
        let verdict = restarts.on_failure(restoring(ErrorKind::Data, &retained[1]), 0, 0.5);
        assert_eq!(verdict, RestartDecision::FallBack { to: checkpoint(3), retire: vec![5, 6, 8] });
        let verdict = restarts.on_failure(restoring(ErrorKind::Data, &retained[0]), 0, 0.5);
        assert!(ends(&verdict, "checkpoint 3 is damaged"));
        let away = restarts.on_failure(restoring(ErrorKind::Retry, &retained[3]), 0, 0.5);
        assert!(ends(&away, "none"), "a storage that is away is no damage: {away:?}");
    }

    proptest! {
        #[test]
        fn a_pause_is_always_between_the_shortest_and_the_longest(
            failures in prop::collection::vec((0_u64..5000, 0.0_f64..1.0), 1..100),
            jitter in 0.0_f64..=1.0,
        ) {
            let mut restarts = Restarts::new(RestartStrategy::ExponentialDelay {
                initial: seconds(2),
                max: seconds(50),
                multiplier: 1.7,
                reset_after: seconds(3600),
                jitter,
                attempts: None,
            });
            let (mut now, mut waited) = (0, Duration::ZERO);
            for (quiet, random) in failures {
                now += quiet * SECOND + nanos(waited);
                let RestartDecision::Restart { after } = restarts.on_failure(FAILS, now, random) else {
                    return Err(TestCaseError::fail("it must go on"));
                };
                prop_assert!(after >= seconds(2) && after <= seconds(50));
                let first = seconds(2).mul_f64(1.0 + jitter).max(seconds(2));
                prop_assert!(quiet < 3600 || after <= first, "begins anew after a quiet hour");
                waited = after;
            }
        }
    }
}
