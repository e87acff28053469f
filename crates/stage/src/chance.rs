//! Random numbers, which come from the context like the time: names that must be new, and jitter.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The only source of random numbers. Cheap to clone; all clones draw from one stream.
#[derive(Clone)]
pub struct Chance(Arc<Mutex<ChaCha8Rng>>);

impl Chance {
    /// Numbers that differ between processes and machines: the seed is the operating system's.
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the operating system for a seed")]
    pub fn from_system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// Equal seeds give equal numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        self.0.lock().next_u64()
    }

    /// A number from 0 (inclusive) to 1 (exclusive).
    pub fn fraction(&self) -> f64 {
        self.0.lock().random()
    }

    /// So many random hexadecimal digits, 32 at most.
    pub fn digits(&self, count: usize) -> String {
        let mut digits = format!("{:016x}{:016x}", self.bits(), self.bits());
        digits.truncate(count);
        digits
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::from_system()
    }
}

/// Two settings that hold one are equal wherever their random numbers come from.
impl PartialEq for Chance {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chance").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(chance: &Chance) -> (u64, f64, String) {
        (chance.bits(), chance.fraction(), chance.digits(12))
    }

    #[test]
    fn a_seed_repeats_its_numbers_and_clones_share_them() {
        let (one, other) = (Chance::seeded(7), Chance::seeded(7));
        let first = drawn(&one);
        assert_eq!(first, drawn(&other));
        assert_ne!(first, drawn(&one.clone()));
        assert_eq!((first.2.len(), one.digits(32).len()), (12, 32));
        assert!((0.0..1.0).contains(&first.1));
    }

    #[test]
    fn the_system_never_gives_the_same_seed() {
        assert_ne!(drawn(&Chance::from_system()), drawn(&Chance::from_system()));
    }
}
