//! How long to wait before something is tried again.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Exponential, capped, with jitter: half of each wait is chance, so that subtasks that failed together do not come back
/// together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    cap: Duration,
    chance: ChaCha8Rng,
}

impl Backoff {
    pub(super) fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, chance: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The wait after the `tries`-th failure in a row, counted from 1.
    pub(super) fn delay(&mut self, tries: u32) -> Duration {
        let factor = 1_u32 << tries.saturating_sub(1).min(30);
        let full = self.first.saturating_mul(factor).min(self.cap);
        full.mul_f64(self.chance.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_differ() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), 1);
        for (tries, full) in [(1, 100), (2, 200), (3, 400), (7, 5000), (1_000_000, 5000)] {
            let full = Duration::from_millis(full);
            let delays: Vec<_> = (0..50).map(|_| backoff.delay(tries)).collect();
            assert!(delays.iter().all(|delay| (full / 2..=full).contains(delay)), "{tries}: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]));
        }
    }
}
