//! Whether and when a failed job is started again.

use std::time::Duration;

use millstream_core::drive::checkpoint_options::RestartStrategy;
use millstream_core::time::Time;
use millstream_core::{Error, ErrorKind};

use crate::setup::Setup;

/// The restarts of one process.
pub(crate) struct Restarts {
    strategy: RestartStrategy,
    failures: u32,
}

impl Restarts {
    pub(crate) fn new(setup: &Setup) -> Self {
        let options = &setup.options;
        let strategy = options.restart.resolved(options.checkpointing.interval.is_some());
        Self { strategy, failures: 0 }
    }

    /// The pause before the next attempt; none where there is to be none.
    pub(crate) fn after(&mut self, error: &Error, _: Time) -> Option<Duration> {
        self.failures += 1;
        if matches!(error.kind(), ErrorKind::Configuration | ErrorKind::Fenced | ErrorKind::Data) {
            return None;
        }
        match &self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => (self.failures <= *attempts).then_some(*delay),
            RestartStrategy::FailureRate { delay, .. } => Some(*delay),
            RestartStrategy::ExponentialDelay { initial, .. } => Some(*initial),
        }
    }
}
