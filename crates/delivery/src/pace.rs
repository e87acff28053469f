//! How much may be on its way: less after the store has pushed back, slowly more while it answers.

use millstream_stage::time::{Nanos, nanos};

use millstream_stage::backoff::Backoff;

/// Requests do not shrink below this fraction of the configured size.
const SMALLEST: usize = 64;

/// Requests in flight, their size, and a pause after a failure. Halved on a failure, raised step by step on
/// success.
#[derive(Debug)]
pub(crate) struct Pace {
    backoff: Backoff,
    most_in_flight: usize,
    most_bytes: usize,
    in_flight: usize,
    bytes: usize,
    failures: u32,
    pause_until: Option<Nanos>,
}

impl Pace {
    pub(crate) fn new(most_in_flight: usize, most_bytes: usize, backoff: Backoff) -> Self {
        let (in_flight, bytes) = (most_in_flight, most_bytes);
        Self { backoff, most_in_flight, most_bytes, in_flight, bytes, failures: 0, pause_until: None }
    }

    /// How large a request may be.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a request may leave while so many are on their way.
    pub(crate) fn may_send(&self, now: Nanos, on_their_way: usize) -> bool {
        on_their_way < self.in_flight && self.pause_until.is_none_or(|until| until <= now)
    }

    /// Until when nothing is sent, if the pause is not over.
    pub(crate) fn paused_until(&self, now: Nanos) -> Option<Nanos> {
        self.pause_until.filter(|until| *until > now)
    }

    /// A request has failed as a whole: nothing is sent for a while. (Those that were on their way together
    /// fail together: that is one failure.)
    pub(crate) fn failed(&mut self, now: Nanos) {
        if self.paused_until(now).is_some() {
            return;
        }
        self.slow_down();
        self.failures = self.failures.saturating_add(1);
        let pause = self.backoff.delay(self.failures);
        self.pause_until = Some(now.saturating_add(nanos(pause)));
    }

    /// Ends the pause.
    pub(crate) fn resume(&mut self) {
        self.pause_until = None;
    }

    /// The store has answered but is overloaded.
    pub(crate) fn slow_down(&mut self) {
        self.in_flight = (self.in_flight / 2).max(1);
        self.too_large();
    }

    /// A request was too large.
    pub(crate) fn too_large(&mut self) {
        self.bytes = (self.bytes / 2).max(self.most_bytes / SMALLEST).max(1);
    }

    /// A request was answered.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.in_flight = (self.in_flight + 1).min(self.most_in_flight);
        self.bytes = (self.bytes + self.most_bytes.div_ceil(16)).min(self.most_bytes);
    }

    /// How long to wait before documents that failed so often are sent again.
    pub(crate) fn delay(&mut self, tries: u32) -> std::time::Duration {
        self.backoff.delay(tries)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pace() -> Pace {
        Pace::new(4, 1 << 20, Backoff::new(Duration::from_millis(100), Duration::from_secs(10), 1))
    }

    #[test]
    fn a_failure_pauses_and_halves_once_for_all_that_failed_together() {
        let mut pace = pace();
        assert!(pace.may_send(0, 3) && !pace.may_send(0, 4));
        let pause = |pace: &mut Pace, now| {
            pace.failed(now);
            Duration::from_nanos(pace.paused_until(now).unwrap() - now)
        };
        let first = pause(&mut pace, 0);
        assert!(Duration::from_millis(50) <= first && first <= Duration::from_millis(100));
        assert_eq!(pause(&mut pace, 1), first - Duration::from_nanos(1));
        assert!(!pace.may_send(1, 0));
        let later = first.as_nanos() as u64;
        assert!(pace.may_send(later, 1) && !pace.may_send(later, 2));
        assert_eq!((pace.bytes(), pace.paused_until(later)), (1 << 19, None));
        assert!(pause(&mut pace, later) >= Duration::from_millis(100), "the second pause is longer");
    }

    #[test]
    fn success_brings_everything_back() {
        let mut pace = pace();
        for now in 0..20 {
            pace.failed(now * 100_000_000_000);
        }
        let now = 20 * 100_000_000_000;
        assert!(pace.may_send(now, 0) && !pace.may_send(now, 1));
        assert_eq!(pace.bytes(), (1 << 20) / SMALLEST);
        for _ in 0..16 {
            pace.succeeded();
        }
        assert!(pace.may_send(now, 3));
        assert_eq!(pace.bytes(), 1 << 20);
        pace.failed(now);
        assert!(pace.paused_until(now).unwrap() - now <= 100_000_000, "and the first pause is short again");
    }
}
