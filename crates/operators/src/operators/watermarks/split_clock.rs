//! The event time of one split: which of its times move it.

use millstream_stage::time::{MIN_TIME, Time};

/// Of how many recent times the shares are taken, roughly: older ones weigh half as much each time that so
/// many have come.
const RECENT: u32 = 2048;

/// Shares of fewer times than this say nothing.
const MANY: u32 = 100;

/// What times are compared with while one batch is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The wall clock.
    pub(super) now: Time,
    /// How far ahead of it a time may be and still count.
    pub(super) tolerance: Time,
    /// How far behind the split's highest time a time may be and still be in order.
    pub(super) bound: Time,
}

impl Limits {
    pub(super) fn latest(&self) -> Time {
        self.now.saturating_add(self.tolerance)
    }
}

/// What a batch of times was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// How many times were beyond the tolerance.
    pub(super) beyond: u32,
    /// The latest of those.
    pub(super) furthest: Option<Time>,
    /// Whether any time counted: a split of which none counts is as good as silent.
    pub(super) counted: bool,
}

/// How many of the recent times were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) total: u32,
    // Ahead of the wall clock.
    ahead: u32,
    // Of those, beyond the tolerance.
    pub(super) beyond: u32,
    // Further behind the split's highest time than its disorder allows.
    pub(super) behind: u32,
}

impl Recent {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.ahead += other.ahead;
        self.beyond += other.beyond;
        self.behind += other.behind;
        while self.total > RECENT {
            *self = Self {
                total: self.total / 2,
                ahead: self.ahead / 2,
                beyond: self.beyond / 2,
                behind: self.behind / 2,
            };
        }
    }

    fn mostly(&self, some: u32) -> bool {
        some > self.total / 2
    }
}

/// The highest time that counts, and what it is judged by. See
/// [`WatermarkStrategy::with_tolerance`](super::WatermarkStrategy::with_tolerance) for the rule.
#[derive(Clone, Debug)]
pub(super) struct SplitClock {
    highest: Time,
    // While most times are beyond the tolerance: the latest of them. The clock follows the wall clock until
    // there.
    awaited: Time,
    pub(super) recent: Recent,
    // The largest step that the clock made at once.
    pub(super) jump: Option<(Time, Time)>,
}

impl SplitClock {
    /// A clock that stands at `highest`; [`MIN_TIME`] for one that has seen nothing.
    pub(super) fn at(highest: Time) -> Self {
        Self { highest, awaited: MIN_TIME, recent: Recent::default(), jump: None }
    }

    /// The highest time that counted.
    pub(super) fn highest(&self) -> Time {
        self.highest
    }

    /// Takes the times of one batch.
    pub(super) fn observe(&mut self, times: &[Time], limits: Limits) -> Observed {
        let (earliest, latest) = bounds(times);
        if times.is_empty() {
            return Observed::default();
        }
        let behind = self.count_behind(times, earliest, limits);
        let mut batch = Recent { total: times.len() as u32, behind, ..Recent::default() };
        if latest <= limits.now {
            self.recent.add(batch);
            self.raise(latest);
            return Observed { counted: true, ..Observed::default() };
        }
        let split = Sorted::of(times, limits);
        (batch.ahead, batch.beyond) = (split.ahead + split.beyond, split.beyond);
        self.recent.add(batch);
        self.take(&split, limits.now)
    }

    fn take(&mut self, times: &Sorted, now: Time) -> Observed {
        let mut candidate = times.past;
        if self.recent.mostly(self.recent.ahead) {
            candidate = candidate.max(times.soon);
        }
        let follows = self.follows_the_wall_clock();
        self.awaited = if follows { self.awaited.max(times.furthest) } else { MIN_TIME };
        self.raise(candidate);
        self.ride(now);
        let furthest = (times.beyond > 0).then_some(times.furthest);
        Observed { beyond: times.beyond, furthest, counted: candidate > MIN_TIME || follows }
    }

    /// Goes on with the wall clock, where most times are beyond the tolerance.
    pub(super) fn ride(&mut self, now: Time) {
        self.raise(self.awaited.min(now));
    }

    /// Whether it will go on by itself as the wall clock does.
    pub(super) fn rides(&self) -> bool {
        self.awaited > self.highest
    }

    /// Whether the wall clock is what holds it back: most recent times are beyond the tolerance.
    pub(super) fn is_held(&self) -> bool {
        self.recent.mostly(self.recent.beyond)
    }

    /// Whether most of many recent times were further behind it than their disorder allows.
    pub(super) fn is_mostly_behind(&self) -> bool {
        self.recent.total >= MANY && self.recent.mostly(self.recent.behind)
    }

    /// Whether it goes on with the wall clock, as most of many recent times are beyond the tolerance.
    pub(super) fn follows_the_wall_clock(&self) -> bool {
        self.recent.total >= MANY && self.is_held()
    }

    fn raise(&mut self, time: Time) {
        if time <= self.highest {
            return;
        }
        if self.highest != MIN_TIME {
            let longest = self.jump.map_or(0, |(from, to)| to - from);
            if time.saturating_sub(self.highest) > longest {
                self.jump = Some((self.highest, time));
            }
        }
        self.highest = time;
    }

    fn count_behind(&self, times: &[Time], earliest: Time, limits: Limits) -> u32 {
        let oldest = self.highest.saturating_sub(limits.bound);
        if self.highest == MIN_TIME || earliest >= oldest {
            return 0;
        }
        times.iter().filter(|time| **time < oldest).count() as u32
    }
}

fn bounds(times: &[Time]) -> (Time, Time) {
    times.iter().fold((Time::MAX, MIN_TIME), |(low, high), time| (low.min(*time), high.max(*time)))
}

/// The times of a batch by where they lie.
struct Sorted {
    /// The latest that is not ahead of the wall clock.
    past: Time,
    /// How many are ahead within the tolerance, and the latest of them.
    ahead: u32,
    soon: Time,
    /// How many are beyond the tolerance, and the latest of them.
    beyond: u32,
    furthest: Time,
}

impl Sorted {
    fn of(times: &[Time], limits: Limits) -> Self {
        let mut sorted = Self { past: MIN_TIME, ahead: 0, soon: MIN_TIME, beyond: 0, furthest: MIN_TIME };
        for time in times {
            if *time <= limits.now {
                sorted.past = sorted.past.max(*time);
            } else if *time <= limits.latest() {
                sorted.ahead += 1;
                sorted.soon = sorted.soon.max(*time);
            } else {
                sorted.beyond += 1;
                sorted.furthest = sorted.furthest.max(*time);
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Time = 3_600_000;
    const NOW: Time = 1000 * HOUR;

    fn limits(now: Time) -> Limits {
        Limits { now, tolerance: 60_000, bound: 5000 }
    }

    fn clock_after(batches: &[&[Time]]) -> (SplitClock, Observed) {
        let mut clock = SplitClock::at(MIN_TIME);
        let mut observed = Observed::default();
        for times in batches {
            observed = clock.observe(times, limits(NOW));
        }
        (clock, observed)
    }

    #[test]
    fn a_time_beyond_the_tolerance_moves_nothing_and_is_told() {
        let (clock, observed) = clock_after(&[&[NOW - 5, NOW + 8 * HOUR, NOW - 3]]);
        assert_eq!(clock.highest(), NOW - 3);
        assert_eq!(observed, Observed { beyond: 1, furthest: Some(NOW + 8 * HOUR), counted: true });
        let (clock, observed) = clock_after(&[&[NOW + 8 * HOUR]]);
        assert_eq!((clock.highest(), observed.counted), (MIN_TIME, false));
    }

    #[test]
    fn one_sender_ahead_within_the_tolerance_moves_nothing_but_all_senders_do() {
        let (clock, _) = clock_after(&[&[NOW - 2, NOW - 1], &[NOW + 50_000]]);
        assert_eq!(clock.highest(), NOW - 1);
        let (clock, observed) = clock_after(&[&[NOW + 30_000, NOW + 31_000, NOW - 1]]);
        assert_eq!((clock.highest(), observed.counted), (NOW + 31_000, true));
    }

    #[test]
    fn where_most_of_many_times_are_beyond_the_clock_follows_the_wall_clock_up_to_them() {
        let ahead: Vec<_> = (0..150).map(|n| NOW + HOUR + n).collect();
        let (mut clock, observed) = clock_after(&[&ahead]);
        assert_eq!((clock.highest(), observed.counted, clock.is_held()), (NOW, true, true));
        assert!(clock.rides());
        clock.ride(NOW + 7);
        assert_eq!(clock.highest(), NOW + 7);
        clock.ride(NOW + 2 * HOUR);
        assert_eq!((clock.highest(), clock.rides()), (NOW + HOUR + 149, false));
        let honest: Vec<_> = (0..200).map(|n| NOW + n).collect();
        clock.observe(&honest, limits(NOW + 2 * HOUR));
        assert!(!clock.is_held());
    }

    #[test]
    fn few_times_beyond_the_tolerance_do_not_make_it_follow_the_wall_clock() {
        let (clock, observed) = clock_after(&[&[NOW + HOUR; 99]]);
        assert_eq!((clock.highest(), observed.counted, clock.is_held()), (MIN_TIME, false, true));
    }

    #[test]
    fn times_that_are_older_than_their_disorder_allows_are_noticed_with_the_jump_before_them() {
        let (mut clock, _) = clock_after(&[&[NOW - 9 * HOUR], &[NOW - HOUR]]);
        assert_eq!(clock.jump, Some((NOW - 9 * HOUR, NOW - HOUR)));
        let honest: Vec<_> = (0..150).map(|n| NOW - 9 * HOUR + n).collect();
        clock.observe(&honest, limits(NOW));
        assert!(clock.is_mostly_behind());
        assert_eq!(clock.highest(), NOW - HOUR);
        let caught_up: Vec<_> = (0..300).map(|n| NOW - HOUR + n).collect();
        clock.observe(&caught_up, limits(NOW));
        assert!(!clock.is_mostly_behind());
    }

    #[test]
    fn shares_are_those_of_recent_times() {
        let mut recent = Recent::default();
        for _ in 0..1000 {
            recent.add(Recent { total: 10, ..Recent::default() });
        }
        assert!(recent.total <= RECENT);
        for _ in 0..300 {
            recent.add(Recent { total: 10, ahead: 10, beyond: 10, behind: 0 });
        }
        assert!(recent.mostly(recent.beyond), "{recent:?}");
    }
}
