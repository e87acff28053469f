//! The log lines about wrong clocks: one when a trouble begins, ever fewer while it goes on, and one when it
//! is over.

use millstream_stage::time::{Time, written};

use super::split_clock::{Limits, Observed, SplitClock};

/// The pause before the second line; it doubles from line to line.
const FIRST_PAUSE: Time = 10_000;
const LONGEST_PAUSE: Time = 600_000;

/// A split of an operator's input, as log lines name it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitOfOperator<'a> {
    operator: &'a str,
    split: &'a str,
}

impl<'a> SplitOfOperator<'a> {
    /// A split of the input of an operator; one without a name is the whole input.
    pub(super) fn new(operator: &'a str, split: &'a str) -> Self {
        Self { operator, split: if split.is_empty() { "(the whole input)" } else { split } }
    }
}

/// What was said of one split.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    // Events beyond the tolerance: all of them, those that no line has reported, and the latest of all.
    beyond: u64,
    unreported: u64,
    furthest: Time,
    pauses: Pauses,
    held: Episodes,
    behind: Episodes,
}

/// The pauses between two lines: each is twice as long as the one before.
#[derive(Clone, Debug, Default)]
struct Pauses {
    until: Time,
    last: Time,
}

impl Pauses {
    fn are_over(&self, now: Time) -> bool {
        now >= self.until
    }

    fn begin(&mut self, now: Time) {
        self.last = (self.last * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.until = now.saturating_add(self.last);
    }
}

/// Reports a trouble that comes and goes ever more rarely.
#[derive(Clone, Debug, Default)]
struct Episodes {
    reported: bool,
    pauses: Pauses,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transition {
    Begun,
    Over,
}

impl Episodes {
    fn transition(&mut self, lasts: bool, now: Time) -> Option<Transition> {
        if !lasts {
            return std::mem::take(&mut self.reported).then_some(Transition::Over);
        }
        if self.reported || !self.pauses.are_over(now) {
            return None;
        }
        self.reported = true;
        self.pauses.begin(now);
        Some(Transition::Begun)
    }
}

impl Report {
    /// The lines that a batch is worth.
    pub(super) fn observed(
        &mut self,
        place: SplitOfOperator<'_>,
        clock: &SplitClock,
        seen: Observed,
        limits: Limits,
    ) -> Vec<String> {
        if let Some(furthest) = seen.furthest {
            self.furthest = if self.beyond == 0 { furthest } else { self.furthest.max(furthest) };
            self.beyond += u64::from(seen.beyond);
            self.unreported += u64::from(seen.beyond);
        }
        let held = self.held(place, clock, limits);
        let ahead =
            (self.unreported > 0 && self.pauses.are_over(limits.now)).then(|| self.ahead(place, limits));
        [held, ahead, self.behind(place, clock, limits)].into_iter().flatten().collect()
    }

    /// The line for the events that were not reported yet, at the end of the input.
    pub(super) fn rest(&mut self, place: SplitOfOperator<'_>, limits: Limits) -> Option<String> {
        (self.unreported > 0).then(|| self.ahead(place, limits))
    }

    fn ahead(&mut self, place: SplitOfOperator<'_>, limits: Limits) -> String {
        self.unreported = 0;
        self.pauses.begin(limits.now);
        let SplitOfOperator { operator, split } = place;
        let events = counted(self.beyond);
        let by = lasting(self.furthest.saturating_sub(limits.now));
        let tolerance = lasting(limits.tolerance);
        format!(
            "{operator}: {events} of split {split} so far {} ahead of this host's clock by more than the watermark's tolerance \
             ({tolerance}), the furthest by {by}: its time is {}, the clock says {}. Such an event is counted in its own window and does \
             not move event time. Check the sender's clock and its time zone, and this host's clock.",
            if self.beyond == 1 { "is" } else { "are" },
            written(self.furthest),
            written(limits.now),
        )
    }

    fn held(&mut self, place: SplitOfOperator<'_>, clock: &SplitClock, limits: Limits) -> Option<String> {
        let SplitOfOperator { operator, split } = place;
        if self.held.transition(clock.follows_the_wall_clock(), limits.now)? == Transition::Over {
            return Some(format!(
                "{operator}: most events of split {split} agree with this host's clock again"
            ));
        }
        // The line says it all: that of single events may rest.
        (self.unreported, self.pauses) = (0, Pauses::default());
        self.pauses.begin(limits.now);
        let recent = clock.recent;
        let by = self.furthest.saturating_sub(limits.now);
        Some(format!(
            "{operator}: the clock holds the watermark: {} of the last {} events of split {split} are ahead of this host's clock by more \
             than the watermark's tolerance ({}), the furthest by {}: its time is {}, the clock says {}. Either this host's clock is slow, \
             or the senders' clocks are fast or write another time zone. The events are kept: event time follows this host's clock, and the \
             windows of these events close when it has reached them. Correct the clock that is wrong (NTP), or set watermark.tolerance to \
             more than {} to believe the events.",
            recent.beyond,
            recent.total,
            lasting(limits.tolerance),
            lasting(by),
            written(self.furthest),
            written(limits.now),
            lasting(by),
        ))
    }

    fn behind(&mut self, place: SplitOfOperator<'_>, clock: &SplitClock, limits: Limits) -> Option<String> {
        let SplitOfOperator { operator, split } = place;
        if self.behind.transition(clock.is_mostly_behind(), limits.now)? == Transition::Over {
            return Some(format!("{operator}: most events of split {split} are in order again"));
        }
        let jump = clock.jump.map_or_else(String::new, |(from, to)| {
            format!(" Its largest step was from {} to {}.", written(from), written(to))
        });
        let recent = clock.recent;
        Some(format!(
            "{operator}: {} of the last {} events of split {split} are older than its event time by more than max-out-of-orderness ({}), so \
             they are late for windows that are closed (dead letters, if the job keeps late events). The split's clock stands at \
             {}, the highest time that it has seen.{jump} Either an event with a wrong time has moved it, or old events are being \
             replayed into a stream of newer ones: replay those with a job of their own.",
            recent.behind,
            recent.total,
            lasting(limits.bound),
            written(clock.highest()),
        ))
    }
}

/// The line for a restored clock that this host's clock contradicts.
pub(super) fn not_believed(place: SplitOfOperator<'_>, highest: Time, limits: Limits) -> String {
    let SplitOfOperator { operator, split } = place;
    format!(
        "{operator}: split {split} was restored with an event time of {}, which is ahead of this host's clock ({}) by more than the \
         watermark's tolerance ({}): it is not believed, and the split's next events say what time it is. Check this host's clock.",
        written(highest),
        written(limits.now),
        lasting(limits.tolerance),
    )
}

fn counted(events: u64) -> String {
    if events == 1 { "1 event".to_owned() } else { format!("{events} events") }
}

/// A span of time for people, by its two largest units.
fn lasting(time: Time) -> String {
    const UNITS: [(Time, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
    let Some(first) = UNITS.iter().position(|(unit, _)| time >= *unit) else { return format!("{time} ms") };
    let (unit, name) = UNITS[first];
    let mut text = format!("{} {name}", time / unit);
    if let Some((smaller, name)) = UNITS.get(first + 1).filter(|(smaller, _)| time % unit >= *smaller) {
        text.push_str(&format!(" {} {name}", time % unit / smaller));
    }
    text
}

#[cfg(test)]
mod tests {
    use millstream_stage::time::MIN_TIME;

    use super::*;

    const HOUR: Time = 3_600_000;
    const NOW: Time = 1_511_658_000_000;
    const PLACE: SplitOfOperator<'_> = SplitOfOperator { operator: "event-time", split: "clicks-3" };

    struct Case {
        clock: SplitClock,
        report: Report,
    }

    impl Case {
        fn new() -> Self {
            Self { clock: SplitClock::at(MIN_TIME), report: Report::default() }
        }

        fn lines(&mut self, times: &[Time], now: Time) -> Vec<String> {
            let limits = Limits { now, tolerance: 60_000, bound: 5000 };
            let seen = self.clock.observe(times, limits);
            self.report.observed(PLACE, &self.clock, seen, limits)
        }
    }

    #[test]
    fn a_time_beyond_the_tolerance_is_one_line_with_split_value_and_how_often() {
        let mut case = Case::new();
        let lines = case.lines(&[NOW - 1, NOW - 1, NOW + 8 * HOUR], NOW);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in [
            "event-time: 1 event of split clicks-3",
            "by 8 h:",
            "2017-11-26T09:00:00Z",
            "clock says 2017-11-26T01:00:00Z",
        ] {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
        assert_eq!(case.lines(&[NOW + 8 * HOUR], NOW + 1), [""; 0], "the next line comes later");
        let later = case.lines(&[NOW, NOW, NOW, NOW + 9 * HOUR], NOW + 10_000);
        assert!(later[0].contains("3 events of split clicks-3 so far are") && later.len() == 1, "{later:?}");
        case.lines(&[NOW + 9 * HOUR], NOW + 10_001);
        let limits = Limits { now: NOW + 10_001, tolerance: 60_000, bound: 5000 };
        assert!(case.report.rest(PLACE, limits).is_some_and(|line| line.contains("4 events")));
        assert_eq!(case.report.rest(PLACE, limits), None);
    }

    #[test]
    fn a_source_that_is_ahead_as_a_whole_is_said_once_with_the_clock_and_again_when_it_is_over() {
        let mut case = Case::new();
        let lines = case.lines(&[NOW + HOUR; 200], NOW);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in
            ["the clock holds the watermark", "200 of the last 200 events of split clicks-3", "by 1 h"]
        {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
        assert_eq!(case.lines(&[NOW + HOUR; 200], NOW + 1), [""; 0]);
        let over = case.lines(&[NOW; 1000], NOW + 2);
        assert!(over[0].contains("agree with this host's clock again"), "{over:?}");
    }

    #[test]
    fn old_events_behind_a_clock_that_jumped_are_said_once_with_the_jump() {
        let mut case = Case::new();
        case.lines(&[NOW - 9 * HOUR], NOW);
        case.lines(&[NOW - HOUR], NOW);
        let lines = case.lines(&[NOW - 9 * HOUR + 5; 500], NOW);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for part in
            ["500 of the last 502 events", "from 2017-11-25T16:00:00Z to 2017-11-26T00:00:00Z", "replay"]
        {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
        assert_eq!(case.lines(&[NOW - 9 * HOUR + 5; 500], NOW), [""; 0]);
        assert!(case.lines(&[NOW - HOUR; 2000], NOW)[0].contains("in order again"));
    }

    #[test]
    fn spans_are_written_by_their_two_largest_units() {
        let written = [500, 61_000, 8 * HOUR, 8 * HOUR + 60_000, 26 * HOUR].map(lasting);
        assert_eq!(written, ["500 ms", "1 min 1 s", "8 h", "8 h 1 min", "1 d 2 h"]);
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_told_ever_more_rarely() {
        let mut episodes = Episodes::default();
        let reported: Vec<_> =
            (0..100).filter_map(|second| episodes.transition(second % 2 == 0, second * 1000)).collect();
        assert_eq!(reported.len(), 8, "at 0, 10, 30 and 70 s: {reported:?}");
        assert_eq!(episodes.transition(true, 149_000), None);
        assert_eq!(
            episodes.transition(true, 150_000),
            Some(Transition::Begun),
            "it lasts, so it is reported as soon as it may be"
        );
        assert_eq!(episodes.transition(true, 900_000), None);
        assert_eq!(episodes.transition(false, 900_001), Some(Transition::Over));
    }
}
