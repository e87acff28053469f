//! Real time: the one place of the test kit that reads a clock or sleeps.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time after which waiting ends.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline `patience` from now.
    pub fn after(patience: Duration) -> Self {
        Self(now() + patience)
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        now() >= self.0
    }
}

/// Calls `ready` every 50 ms until it returns true; false if that did not happen within `patience`.
pub fn until(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    for_some(patience, || ready().then_some(())).is_some()
}

/// Calls `find` every 50 ms until it finds something; `None` if that did not happen within `patience`.
pub fn for_some<T>(patience: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(patience);
    loop {
        if let Some(found) = find() {
            return Some(found);
        }
        if deadline.passed() {
            return None;
        }
        pause(Duration::from_millis(50));
    }
}

/// A stopwatch for progress messages.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to count.
    pub fn start() -> Self {
        Self(now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        now() - self.0
    }
}

/// Puts this thread to sleep.
#[allow(clippy::disallowed_methods, reason = "real servers live in real time")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

#[allow(clippy::disallowed_methods, reason = "real servers live in real time")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "names must differ between runs")]
pub(crate) fn epoch_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
