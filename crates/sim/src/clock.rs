//! A clock that moves only when a test moves it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream_stage::time::{Clock, Nanos, Time};

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Virtual time. It starts where it is told to, stands still, and never goes back.
#[derive(Debug, Default)]
pub struct VirtualClock {
    start: Time,
    nanos: AtomicU64,
}

impl VirtualClock {
    /// A clock that stands at this processing time.
    pub fn at(start: Time) -> Self {
        Self { start, nanos: AtomicU64::new(0) }
    }

    /// Moves on to this processing time, or stays where it is beyond it.
    pub fn set(&self, now: Time) {
        self.advance_to(self.nanos_at(now));
    }

    /// Moves on to this monotonic time, or stays where it is beyond it.
    pub fn advance_to(&self, nanos: Nanos) {
        self.nanos.fetch_max(nanos, Relaxed);
    }

    /// The first monotonic time at which it is this processing time.
    pub fn nanos_at(&self, now: Time) -> Nanos {
        u64::try_from(now.saturating_sub(self.start)).unwrap_or(0).saturating_mul(NANOS_PER_MILLI)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        self.start.saturating_add((self.nanos() / NANOS_PER_MILLI) as Time)
    }

    fn nanos(&self) -> Nanos {
        self.nanos.load(Relaxed)
    }
}
