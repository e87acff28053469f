//! When what is due: the arithmetic of rates, without a clock.

use std::time::Duration;

use millstream_stage::time::{Nanos, Time, nanos};

/// Gives out positions at a rate. What was missed is caught up with, up to a bound.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    per_nano: f64,
    catch_up: Nanos,
    // When the position was due.
    base: Option<(Nanos, u64)>,
}

impl Pace {
    /// So many per second.
    pub(crate) fn new(per_second: f64, catch_up: Duration) -> Self {
        Self { per_nano: per_second / 1e9, catch_up: nanos(catch_up), base: None }
    }

    /// How many are due, `position` being the next one. The first call starts the count.
    pub(crate) fn due(&mut self, nanos: Nanos, position: u64) -> u64 {
        let (start, first) = *self.base.get_or_insert((nanos, position));
        // The first one is due at once, the others follow.
        let all = ((nanos.saturating_sub(start)) as f64 * self.per_nano) as u64 + 1;
        let due = (first + all).saturating_sub(position);
        let most = (self.catch_up as f64 * self.per_nano) as u64 + 1;
        if due > most {
            self.base = Some((nanos.saturating_sub(self.catch_up), position));
        }
        due.min(most)
    }

    /// How long until this position is due.
    pub(crate) fn wait(&self, nanos: Nanos, position: u64) -> Duration {
        let Some((start, first)) = self.base else { return Duration::ZERO };
        let at = start as f64 + position.saturating_sub(first) as f64 / self.per_nano;
        Duration::from_nanos((at - nanos as f64).max(0.0) as u64)
    }
}

/// A processing time at which a duration has passed, in whole milliseconds.
pub(crate) fn wake_at(now: Time, wait: Duration) -> Time {
    let wait = Time::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(Time::MAX);
    now.saturating_add(wait.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn positions_come_at_the_rate() {
        let mut pace = Pace::new(10.0, Duration::from_secs(1));
        assert_eq!(pace.due(5 * SECOND, 100), 1);
        assert_eq!(pace.due(5 * SECOND, 101), 0);
        assert_eq!(pace.wait(5 * SECOND, 101), Duration::from_millis(100));
        assert_eq!(pace.due(5 * SECOND + SECOND / 2, 101), 5);
        assert_eq!(wake_at(7, Duration::from_micros(100_100)), 108);
    }

    #[test]
    fn no_more_is_caught_up_with_than_allowed() {
        let mut pace = Pace::new(10.0, Duration::from_secs(1));
        pace.due(0, 0);
        assert_eq!(pace.due(100 * SECOND, 1), 11);
        assert_eq!(pace.due(100 * SECOND, 12), 0);
        assert_eq!(pace.due(101 * SECOND, 12), 10);
    }
}
