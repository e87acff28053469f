//! The real clock: the one place of this crate that asks the operating system for the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use millstream_stage::time::{Clock, Nanos, Time, nanos};

/// The system's wall clock, and a monotonic one that starts with it.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[allow(clippy::disallowed_methods, reason = "the driver's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the driver's clock")]
    fn now(&self) -> Time {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => millstream_stage::time::millis(after),
            Err(before) => -millstream_stage::time::millis(before.duration()),
        }
    }

    fn nanos(&self) -> Nanos {
        nanos(self.start.elapsed())
    }
}
