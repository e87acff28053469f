//! Event time, processing time, and the clock that a driver hands in.

pub mod iso8601;
mod plausible;
mod zone;

use std::time::Duration;

pub use self::iso8601::written;
pub use self::plausible::{PlausibleNow, PlausibleTimes};
pub use self::zone::Zone;

/// Event or processing time: milliseconds since 1970-01-01 UTC, negative before it.
pub type Time = i64;

/// Monotonic nanoseconds of a [`Clock`]: only differences mean something.
pub type Nanos = u64;

/// The event time of a record that has none yet, and the watermark before the first one.
pub const MIN_TIME: Time = i64::MIN;

/// The final watermark: nothing comes after it.
pub const MAX_TIME: Time = i64::MAX;

/// The only way to learn what time it is. The simulation's clock moves when it says so.
pub trait Clock: Send + Sync {
    /// Processing time (wall clock).
    fn now(&self) -> Time;
    /// Monotonic time, for durations.
    fn nanos(&self) -> Nanos;
}

/// A duration in nanoseconds, as a [`Clock`] counts; one that is too long is the longest.
pub fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// A duration in milliseconds, as event time counts.
pub fn millis(duration: Duration) -> Time {
    Time::try_from(duration.as_millis()).unwrap_or(MAX_TIME)
}
