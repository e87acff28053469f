//! Where the job is in event time: at the present, in the past because it replays old data, or behind.

use std::collections::VecDeque;
use std::time::Duration;

use millstream::time::{MAX_TIME, MIN_TIME, Time};
use serde::Serialize;

/// Less than this is no lag.
const PRESENT: Time = 2 * 60 * 1000;
/// Data that is older is replayed; nobody is that far behind by accident.
const OLD: Time = 24 * 60 * 60 * 1000;
/// Over how long the speed is measured, and over how long at least.
const MEASURED: Time = 10_000;
const MEASURED_AT_LEAST: Time = 2_000;
/// A speed that is hardly more than that of the clock never catches up.
const CATCHES_UP: f64 = 1.05;

/// Where the job is in event time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Progress {
    /// No event has come yet.
    None,
    /// All is about the present.
    Live {
        /// The watermark.
        at: Time,
        /// How far the watermark is behind the wall clock.
        behind: Time,
    },
    /// Nothing waits to be read: the newest event is simply that old.
    Quiet {
        /// The watermark.
        at: Time,
    },
    /// Old data is replayed.
    Replay {
        /// The watermark.
        at: Time,
        /// Event time per wall time.
        speed: Option<f64>,
    },
    /// The job is late.
    Behind {
        /// The watermark.
        at: Time,
        /// How far the watermark is behind the wall clock.
        behind: Time,
        /// When it will have caught up, in milliseconds from now; none where it does not catch up.
        left: Option<Time>,
    },
    /// The input has ended.
    Ended {
        /// The last event time.
        at: Time,
    },
}

/// What is known of the job's event time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The watermark as it stands.
    pub(super) watermark: Option<Time>,
    /// The last one before the end of the input.
    pub(super) last: Option<Time>,
    /// The wall clock.
    pub(super) wall: Time,
    /// Event time per wall time.
    pub(super) speed: Option<f64>,
    /// Messages that wait to be read, where that is known.
    pub(super) pending: Option<u64>,
    /// The source reads what was recorded.
    pub(super) recorded: bool,
}

/// Says where the job is.
pub(super) fn progress(facts: &Facts) -> Progress {
    let at = match (facts.watermark, facts.last) {
        (Some(MAX_TIME), Some(at)) => return Progress::Ended { at },
        (Some(MIN_TIME | MAX_TIME) | None, _) => return Progress::None,
        (Some(at), _) => at,
    };
    let behind = facts.wall.saturating_sub(at);
    match (behind, facts.pending) {
        (..=PRESENT, _) => Progress::Live { at, behind: behind.max(0) },
        _ if facts.recorded => Progress::Replay { at, speed: facts.speed },
        (_, Some(0)) => Progress::Quiet { at },
        (OLD.., _) => Progress::Replay { at, speed: facts.speed },
        _ => {
            let gain = facts.speed.filter(|speed| *speed > CATCHES_UP).map(|speed| speed - 1.0);
            Progress::Behind { at, behind, left: gain.map(|gain| (behind as f64 / gain) as Time) }
        }
    }
}

/// Measures how fast event time passes.
#[derive(Debug, Default)]
pub(super) struct Speed(VecDeque<(Time, Time)>);

impl Speed {
    /// Takes a look at both clocks.
    pub(super) fn look(&mut self, wall: Time, at: Option<Time>) -> Option<f64> {
        let Some(at) = at.filter(|at| ![MIN_TIME, MAX_TIME].contains(at)) else {
            self.0.clear();
            return None;
        };
        self.0.push_back((wall, at));
        while self.0.get(1).is_some_and(|(then, _)| wall - then >= MEASURED) {
            self.0.pop_front();
        }
        let (then, was) = *self.0.front()?;
        let passed = wall - then;
        (passed >= MEASURED_AT_LEAST).then(|| at.saturating_sub(was) as f64 / passed as f64)
    }
}

/// How many events a second, over some seconds.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Duration, u64)>);

impl Rate {
    /// Takes a look at the count.
    pub(super) fn look(&mut self, now: Duration, count: u64) -> f64 {
        const OVER: Duration = Duration::from_secs(4);
        self.0.push_back((now, count));
        while self.0.get(1).is_some_and(|(then, _)| now.saturating_sub(*then) >= OVER) {
            self.0.pop_front();
        }
        let (then, was) = self.0.front().copied().unwrap_or((now, count));
        let passed = now.saturating_sub(then).as_secs_f64();
        if passed > 0.0 { count.saturating_sub(was) as f64 / passed } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Time = 60 * 60 * 1000;
    const NOW: Time = 1_800_000_000_000;

    fn facts(behind: Time) -> Facts {
        let at = Some(NOW - behind);
        Facts { watermark: at, last: at, wall: NOW, speed: Some(1.0), pending: None, recorded: false }
    }

    #[test]
    fn a_replay_of_old_data_is_not_a_lag() {
        let month = 30 * 24 * HOUR;
        let at = NOW - month;
        let replay = progress(&Facts { speed: Some(60.0), ..facts(month) });
        assert_eq!(replay, Progress::Replay { at, speed: Some(60.0) });
        // As fast as it was recorded, and from yesterday.
        let at = NOW - 5 * HOUR;
        assert_eq!(
            progress(&Facts { recorded: true, ..facts(5 * HOUR) }),
            Progress::Replay { at, speed: Some(1.0) }
        );
    }

    #[test]
    fn a_lag_says_when_it_will_be_over() {
        let (behind, at) = (2 * HOUR, NOW - 2 * HOUR);
        let fast = Facts { speed: Some(5.0), pending: Some(7), ..facts(behind) };
        assert_eq!(progress(&fast), Progress::Behind { at, behind, left: Some(HOUR / 2) });
        assert_eq!(progress(&facts(behind)), Progress::Behind { at, behind, left: None });
        assert_eq!(progress(&Facts { pending: Some(0), ..fast }), Progress::Quiet { at });
    }

    #[test]
    fn the_present_and_the_ends_of_time() {
        assert_eq!(progress(&facts(3000)), Progress::Live { at: NOW - 3000, behind: 3000 });
        assert_eq!(progress(&facts(-3000)), Progress::Live { at: NOW + 3000, behind: 0 });
        assert_eq!(progress(&Facts { watermark: None, ..facts(0) }), Progress::None);
        assert_eq!(progress(&Facts { watermark: Some(MIN_TIME), ..facts(0) }), Progress::None);
        let ended = Facts { watermark: Some(MAX_TIME), ..facts(9 * HOUR) };
        assert_eq!(progress(&ended), Progress::Ended { at: NOW - 9 * HOUR });
    }

    #[test]
    fn speed_and_rate_are_those_of_the_last_seconds() {
        let (mut speed, mut rate) = (Speed::default(), Rate::default());
        let mut shown = None;
        for second in 0..60 {
            // A minute per second, then as the clock.
            let at = if second < 40 { second * 60_000 } else { 40 * 60_000 + second * 1000 };
            shown = speed.look(NOW + second * 1000, Some(at));
            if second == 30 {
                assert_eq!(shown, Some(60.0));
            }
            let events = if second < 40 { 1000 * second } else { 40_000 };
            let shown = rate.look(Duration::from_secs(second as u64), events as u64);
            assert_eq!(
                shown,
                match second {
                    0 | 44.. => 0.0,
                    1..=40 => 1000.0,
                    _ => shown,
                }
            );
        }
        assert_eq!(shown, Some(1.0));
        assert_eq!(speed.look(NOW, None), None);
        assert_eq!(speed.look(NOW, Some(7)), None, "one look is no speed");
    }
}
