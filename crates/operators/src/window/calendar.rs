//! Windows as calendars and clocks have them: days and hours of a time zone.

use jiff::ToSpan;
use jiff::civil::Date;
use millstream_record::Result;
use millstream_stage::time::{Time, Zone};

use super::Window;
use super::assigner::{WindowAssigner, check, window_start};

const HOUR: Time = 3_600_000;

/// Event-time windows of days, or of hours, of a time zone, side by side. Where clocks are moved, a day has
/// 23 or 25 hours, or whatever the zone's law says; no record is in two windows or in none.
///
/// - [`days`](Self::days) begin when the date changes: at midnight, or where clocks skip midnight, when they
///   have skipped it.
/// - [`hours(1, zone)`](Self::hours) begin at each full hour of the zone's clocks and are an hour long: a day
///   of 25 hours has 25 of them. Where clocks are moved by half an hour, one of half an hour ends or begins
///   there.
/// - Several hours, `hours(6, zone)`, begin at 0, 6, 12 and 18 o'clock; one within which clocks are moved is
///   longer or shorter.
///
/// ```
/// use millstream_stage::time::iso8601::{instant, written};
/// use millstream_operators::window::{WindowAssigner, Calendar};
///
/// let days = Calendar::days("Europe/Berlin".parse()?);
/// let mut windows = Vec::new();
/// days.assign(instant("2025-10-26T12:00:00+01:00").unwrap(), &mut windows);
/// let day = windows[0];
/// assert_eq!((written(day.start), written(day.end)), ("2025-10-25T22:00:00Z".into(), "2025-10-26T23:00:00Z".into()));
/// # Ok::<(), millstream_record::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: Zone,
    hours: u32,
    // The windows that were assigned last: the zone is asked once per window, not per record. Two, as records
    // around a border alternate.
    last: [Window; 2],
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        (&self.zone, self.hours) == (&other.zone, other.hours)
    }
}

impl Eq for Calendar {}

impl Calendar {
    /// Windows from midnight to midnight.
    pub fn days(zone: Zone) -> Self {
        Self::hours(24, zone)
    }

    /// Windows of this many hours, counted from midnight: 1, 2, 3, 4, 6, 8, 12 or 24.
    pub fn hours(hours: u32, zone: Zone) -> Self {
        Self { zone, hours, last: [Window { start: 0, end: 0 }; 2] }
    }

    /// The window of a time.
    pub fn window(&self, time: Time) -> Window {
        if self.hours == 1 { self.hour(time) } else { self.part_of_a_day(time) }
    }

    // An hour of the zone's clocks, cut where they are moved within it.
    fn hour(&self, time: Time) -> Window {
        let offset = self.zone.offset(time);
        let start = window_start(time, -offset, HOUR);
        let end = start.saturating_add(HOUR);
        let cut = |from: Time, whole: Time| self.zone.next_change(from).unwrap_or(whole);
        Window {
            start: if self.zone.offset(start) == offset { start } else { cut(start, start) },
            end: if self.zone.offset(end.saturating_sub(1)) == offset { end } else { cut(time, end) },
        }
    }

    fn part_of_a_day(&self, time: Time) -> Window {
        let date = self.zone.date(time);
        // Where clocks are put back across midnight, a date comes twice: the days around it are looked at
        // too.
        let yesterday = date.yesterday().unwrap_or(date);
        let mut start = Time::MIN;
        for border in self.borders(yesterday) {
            if border > time {
                return Window { start, end: border };
            }
            start = border;
        }
        Window { start, end: Time::MAX }
    }

    // The borders of four days, in order.
    fn borders(&self, first: Date) -> impl Iterator<Item = Time> {
        let step = i8::try_from(self.hours).unwrap_or(24);
        let dates = (0..4).map_while(move |days| first.checked_add(days.days()).ok());
        dates.flat_map(move |date| {
            let hours = (0..24).step_by(step as usize);
            hours.map(move |hour| self.zone.first(date.at(hour, 0, 0, 0)))
        })
    }
}

impl WindowAssigner for Calendar {
    fn assign(&self, time: Time, windows: &mut Vec<Window>) {
        windows.push(self.window(time));
    }

    fn assign_next(&mut self, time: Time, windows: &mut Vec<Window>) {
        let [last, before] = self.last;
        if !last.contains(time) {
            let window = if before.contains(time) { before } else { self.window(time) };
            self.last = [window, last];
        }
        windows.push(self.last[0]);
    }

    fn validate(&self) -> Result<()> {
        let divides = (1..=24).contains(&self.hours) && 24 % self.hours == 0;
        check(divides, "calendar windows are of 1, 2, 3, 4, 6, 8, 12 or 24 hours")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millstream_stage::time::iso8601::instant;
    use millstream_stage::time::written;

    use super::super::Tumbling;
    use super::*;

    const DAY: Time = 24 * HOUR;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn time(text: &str) -> Time {
        instant(text).unwrap()
    }

    fn day(zone_name: &str, at: &str) -> (String, Time) {
        let window = Calendar::days(zone(zone_name)).window(time(at));
        (written(window.start), (window.end - window.start) / 60_000)
    }

    #[test]
    fn days_have_the_hours_that_the_zone_gives_them() {
        for (name, at, start, minutes) in [
            ("UTC", "2025-03-30T23:59:59.999Z", "2025-03-30T00:00:00Z", 24 * 60),
            ("Asia/Shanghai", "2025-03-30T15:59:59.999Z", "2025-03-29T16:00:00Z", 24 * 60),
            ("Asia/Kolkata", "2025-03-30T18:30:00Z", "2025-03-30T18:30:00Z", 24 * 60),
            ("+05:30", "2025-03-30T18:29:59Z", "2025-03-29T18:30:00Z", 24 * 60),
            ("-03:00", "2025-03-30T02:00:00Z", "2025-03-29T03:00:00Z", 24 * 60),
            ("Europe/Berlin", "2025-03-30T12:00:00Z", "2025-03-29T23:00:00Z", 23 * 60),
            ("Europe/Berlin", "2025-10-26T12:00:00Z", "2025-10-25T22:00:00Z", 25 * 60),
            ("America/New_York", "2025-03-09T12:00:00Z", "2025-03-09T05:00:00Z", 23 * 60),
            ("America/New_York", "2025-11-02T12:00:00Z", "2025-11-02T04:00:00Z", 25 * 60),
            ("Australia/Lord_Howe", "2025-10-05T12:00:00Z", "2025-10-04T13:30:00Z", 23 * 60 + 30),
            ("Australia/Lord_Howe", "2025-04-06T12:00:00Z", "2025-04-05T13:00:00Z", 24 * 60 + 30),
            // Clocks skip midnight, so the day begins at one o'clock.
            ("Africa/Cairo", "2025-04-25T12:00:00Z", "2025-04-24T22:00:00Z", 23 * 60),
            // Clocks skip the whole of 30 December.
            ("Pacific/Apia", "2011-12-31T12:00:00+14:00", "2011-12-30T10:00:00Z", 24 * 60),
            ("Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-29T10:00:00Z", 24 * 60),
            // At one minute past midnight clocks went back to the day before: its last hour is the next day's
            // already.
            ("America/St_Johns", "2010-11-07T02:45:00Z", "2010-11-07T02:30:00Z", 25 * 60),
        ] {
            assert_eq!(day(name, at), (start.to_owned(), minutes), "{name} {at}");
        }
    }

    // Without a library: an hour and a day are told from what the zone's clocks show.
    #[test]
    fn windows_lie_side_by_side_and_begin_when_clocks_show_it() {
        for name in [
            "Asia/Kolkata",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "America/St_Johns",
            "UTC",
        ] {
            for hours in [1, 6, 24] {
                let mut calendar = Calendar::hours(hours, zone(name));
                let mut window = calendar.window(time("2010-01-01T00:00:00Z"));
                while window.end < time("2012-01-01T00:00:00Z") {
                    let mut assigned = Vec::new();
                    for at in [window.start, window.start + 1, window.end - 1, window.end] {
                        calendar.assign_next(at, &mut assigned);
                    }
                    let next = assigned[3];
                    assert_eq!(assigned[..3], [window; 3], "{name} {hours}: every time has one window");
                    assert_eq!(next.start, window.end, "{name} {hours}");
                    assert!(window.end - window.start <= Time::from(hours) * HOUR + HOUR);
                    window = next;
                }
            }
        }
    }

    #[test]
    fn an_hour_is_an_hour_and_half_an_hour_where_clocks_are_moved_by_that() {
        let hours_of = |name: &str, at: &str| {
            let day = Calendar::days(zone(name)).window(time(at));
            let hours = Calendar::hours(1, zone(name));
            let mut lengths = Vec::new();
            let mut at = day.start;
            while at < day.end {
                let hour = hours.window(at);
                lengths.push((hour.end - hour.start) / 60_000);
                at = hour.end;
            }
            assert_eq!(at, day.end, "hours fill the day");
            lengths
        };
        assert_eq!(hours_of("Europe/Berlin", "2025-10-26T12:00:00Z"), [60; 25]);
        assert_eq!(hours_of("Europe/Berlin", "2025-03-30T12:00:00Z"), [60; 23]);
        let back = hours_of("Australia/Lord_Howe", "2025-04-06T12:00:00Z");
        assert_eq!((back.len(), back[2]), (25, 30), "{back:?}");
        let forth = hours_of("Australia/Lord_Howe", "2025-10-05T12:00:00Z");
        assert_eq!((forth.len(), forth[2]), (24, 30), "{forth:?}");
    }

    #[test]
    fn windows_in_utc_are_those_of_tumbling_windows() {
        for (calendar, tumbling) in [
            (Calendar::hours(1, Zone::utc()), Tumbling::of(Duration::from_secs(3600))),
            (Calendar::days(Zone::utc()), Tumbling::of(Duration::from_secs(86_400))),
        ] {
            for at in [0, 1, HOUR - 1, HOUR, DAY - 1, DAY, -1, -HOUR, 1_511_658_000_123] {
                let (mut one, mut other) = (Vec::new(), Vec::new());
                calendar.assign(at, &mut one);
                tumbling.assign(at, &mut other);
                assert_eq!(one, other, "{at}");
            }
        }
    }

    #[test]
    fn sizes_that_do_not_fill_a_day_are_refused() {
        for hours in [0, 5, 7, 25] {
            assert!(Calendar::hours(hours, Zone::utc()).validate().is_err(), "{hours}");
        }
        assert!(Calendar::days(Zone::utc()).validate().is_ok());
    }

    #[test]
    fn zones_that_do_not_exist_are_refused_with_advice() {
        for name in ["", "Asia/Shangai", "CST8", "+5:30", "+19:00", "+05:60", "UTC+8", "08:00"] {
            let error = name.parse::<Zone>().unwrap_err().to_string();
            assert!(error.contains("such as Asia/Shanghai, or an offset such as +05:30"), "{error}");
        }
        assert_eq!(zone("asia/shanghai").to_string(), "Asia/Shanghai");
    }
}
