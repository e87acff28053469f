//! How long to wait before something is tried again.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Exponential, capped, with jitter: half of each wait is chance, so that those who failed together do not
/// come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    chance: ChaCha8Rng,
}

impl Backoff {
    /// The first wait and the longest; equal seeds give equal waits.
    pub fn new(first: Duration, cap: Duration, seed: u64) -> Self {
        Self { first, cap, chance: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The wait after the `tries`-th failure in a row, counted from 1.
    pub fn delay(&mut self, tries: u32) -> Duration {
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
        for (tries, full) in [(0, 100), (1, 100), (2, 200), (3, 400), (7, 5000), (1_000_000, 5000)] {
            let full = Duration::from_millis(full);
            let delays: Vec<_> = (0..50).map(|_| backoff.delay(tries)).collect();
            assert!(delays.iter().all(|delay| (full / 2..=full).contains(delay)), "{tries}: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]));
        }
    }

    #[test]
    fn a_seed_repeats_its_waits() {
        let delays = |seed| {
            let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), seed);
            (1..20).map(|tries| backoff.delay(tries)).collect::<Vec<_>>()
        };
        assert_eq!(delays(7), delays(7));
        assert_ne!(delays(7), delays(8));
    }
}
