//! Which event times can be true.

use super::iso8601::written;
use super::{Time, millis};
use std::time::Duration;

/// Bounds of plausible event times. A decoder refuses a record that is outside of them: it becomes a dead
/// letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlausibleTimes {
    /// The earliest plausible time; 2000-01-01 by default.
    pub earliest: Time,
    /// How far a time may be ahead of the host's clock; one day by default.
    pub max_ahead: Duration,
}

impl Default for PlausibleTimes {
    fn default() -> Self {
        Self { earliest: 946_684_800_000, max_ahead: Duration::from_secs(24 * 60 * 60) }
    }
}

impl PlausibleTimes {
    /// The bounds while the host's clock says `now`.
    pub fn at(&self, now: Time) -> PlausibleNow {
        PlausibleNow { earliest: self.earliest, latest: now.saturating_add(millis(self.max_ahead)) }
    }
}

/// [`PlausibleTimes`] while one batch is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlausibleNow {
    /// The earliest plausible time.
    pub earliest: Time,
    /// The latest.
    pub latest: Time,
}

impl PlausibleNow {
    /// The time itself, or why it cannot be true.
    ///
    /// # Errors
    /// A sentence for the dead letter.
    #[inline]
    pub fn check(&self, time: Time) -> Result<Time, String> {
        if time < self.earliest || time > self.latest { Err(self.implausible(time)) } else { Ok(time) }
    }

    #[cold]
    fn implausible(&self, time: Time) -> String {
        let time_written = written(time);
        if time < self.earliest {
            let earliest = written(self.earliest);
            let advice = self.other_unit(time).unwrap_or("check time-unit");
            return format!("{time_written} is before the earliest plausible time {earliest}; {advice}");
        }
        let latest = written(self.latest);
        let advice =
            self.other_unit(time).unwrap_or("check time-unit, the sender's clock and this host's clock");
        format!(
            "{time_written} is after the latest plausible time {latest} (this host's clock plus max-ahead); {advice}"
        )
    }

    // A mistaken unit is off by a factor of thousands, which leaves only one that is plausible.
    fn other_unit(&self, time: Time) -> Option<&'static str> {
        let plausible =
            |time: Option<Time>| time.is_some_and(|time| (self.earliest..=self.latest).contains(&time));
        let units = [
            (
                time.checked_mul(1000),
                "it is plausible as seconds where milliseconds were expected: check time-unit",
            ),
            (
                Some(time / 1000),
                "it is plausible as a time 1000 times smaller (milliseconds taken for seconds, or microseconds for milliseconds): check time-unit",
            ),
            (
                Some(time / 1_000_000),
                "it is plausible as microseconds taken for seconds, or as nanoseconds for milliseconds: check time-unit",
            ),
        ];
        units.into_iter().find(|(time, _)| plausible(*time)).map(|(_, advice)| advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_are_plausible_and_the_error_names_the_one_that_was_passed() {
        let times = PlausibleTimes { earliest: 1000, max_ahead: Duration::from_millis(500) }.at(1500);
        assert_eq!((times.check(1000), times.check(2000)), (Ok(1000), Ok(2000)));
        let early = times.check(999).unwrap_err();
        assert!(early.contains("before the earliest plausible time 1970-01-01T00:00:01Z"), "{early}");
        let late = times.check(2001).unwrap_err();
        assert!(late.contains("1970-01-01T00:00:02.001Z is after"), "{late}");
        assert!(times.check(Time::MAX).unwrap_err().contains("ms since 1970"));
    }

    #[test]
    fn a_mistaken_unit_is_named() {
        let now = 1_764_000_000_000;
        let times = PlausibleTimes::default().at(now);
        for (time, says) in [
            (now / 1000, "plausible as seconds"),
            (now * 1000, "1000 times smaller"),
            (now * 1_000_000, "nanoseconds for milliseconds"),
            (17, "; check time-unit"),
            (4_000_000_000_000, "this host's clock"),
        ] {
            let reason = times.check(time).unwrap_err();
            assert!(reason.contains(says), "{time}: {reason}");
        }
    }
}
