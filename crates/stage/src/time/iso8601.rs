//! Times as text: the one place that says which spellings are accepted.
//!
//! ISO-8601 as RFC 3339 and RFC 9557 have it, a little wider:
//!
//! | part | accepted |
//! |---|---|
//! | date | `2017-11-26`, `20171126`; years beyond 9999 or before 0 with a sign and six digits |
//! | between date and time | `T`, `t`, a space |
//! | time | `09:00:00`, `09:00`, `09`, `090000`; 1 to 9 digits of fraction behind a point or a comma, cut to milliseconds |
//! | offset | `Z`, `z`, `+08:00`, `+0800`, `+08`, `-00:00`; from -18:00 to +18:00, as in Java |
//! | zone in brackets | allowed behind an offset, which counts: `2017-11-26T09:00:00+08:00[Asia/Shanghai]` |
//! | second 60 | where there was a leap second, such as `2016-12-31T23:59:60Z`; all of it is the last millisecond of second 59 |
//!
//! Refused: an hour 24, a second 60 anywhere else, week dates and ordinal dates, a zone in brackets without
//! an offset, names of zones such as `CST`, white space around the text.

use jiff::Timestamp;
use jiff::civil::{DateTime, Time as CivilTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use super::Time;

/// The largest offset from UTC that a time may have, in seconds.
pub(super) const LARGEST_OFFSET: i32 = 18 * 60 * 60;

/// The years at whose end a leap second was, and those in whose middle, at the end of June. There was none
/// after 2016.
const LEAP_DECEMBERS: [i16; 16] =
    [1972, 1973, 1974, 1975, 1976, 1977, 1978, 1979, 1987, 1989, 1990, 1995, 1998, 2005, 2008, 2016];
const LEAP_JUNES: [i16; 11] = [1972, 1981, 1982, 1983, 1985, 1992, 1993, 1994, 1997, 2012, 2015];

/// A time with an offset.
///
/// ```
/// use millstream_stage::time::iso8601::instant;
///
/// assert_eq!(instant("2017-11-26T09:00:00.5+08:00"), Some(1_511_658_000_500));
/// assert_eq!(instant("2017-11-26T09:00:00.5"), None);
/// assert_eq!(instant("2017-11-26T12:30:60Z"), None);
/// ```
pub fn instant(text: &str) -> Option<Time> {
    let pieces = Pieces::parse(text).ok()?;
    let (time, offset) = (pieces.time()?, pieces.to_numeric_offset()?);
    at(text, pieces.date().to_datetime(time), offset)
}

/// The same; a date, or a time without an offset, is in UTC.
///
/// ```
/// use millstream_stage::time::iso8601::instant_or_utc;
///
/// assert_eq!(instant_or_utc("2017-11-26 01:00:00.5"), Some(1_511_658_000_500));
/// assert_eq!(instant_or_utc("2017-11-26"), Some(1_511_654_400_000));
/// ```
pub fn instant_or_utc(text: &str) -> Option<Time> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.to_numeric_offset().is_none() && pieces.time_zone_annotation().is_some() {
        return None;
    }
    let time = pieces.time().unwrap_or(CivilTime::midnight());
    at(text, pieces.date().to_datetime(time), pieces.to_numeric_offset().unwrap_or(Offset::UTC))
}

/// A time for people: in UTC, with an offset.
pub fn written(time: Time) -> String {
    Timestamp::from_millisecond(time)
        .map_or_else(|_| format!("{time} ms since 1970"), |timestamp| timestamp.to_string())
}

fn at(text: &str, civil: DateTime, offset: Offset) -> Option<Time> {
    if offset.seconds().abs() > LARGEST_OFFSET {
        return None;
    }
    let timestamp = offset.to_timestamp(civil).ok()?;
    if !has_second_60(text) {
        return Some(millis(timestamp));
    }
    // Times have no second of its own for it, and must not go backwards in it.
    before_a_leap_second(timestamp).then(|| timestamp.as_second() * 1000 + 999)
}

// Rounded down also before 1970; jiff's own conversion rounds towards it. The range of its years fits.
fn millis(timestamp: Timestamp) -> Time {
    timestamp.as_nanosecond().div_euclid(1_000_000) as Time
}

// What was parsed has second 59 in its place.
fn has_second_60(text: &str) -> bool {
    let Some((_, time)) = text.split_once(['T', 't', ' ']) else { return false };
    let mut digits = time.bytes().filter(|byte| *byte != b':').take_while(u8::is_ascii_digit).skip(4);
    (digits.next(), digits.next()) == (Some(b'6'), Some(b'0'))
}

fn before_a_leap_second(timestamp: Timestamp) -> bool {
    let utc = Offset::UTC.to_datetime(timestamp);
    let leaps = match (utc.month(), utc.day()) {
        (6, 30) => &LEAP_JUNES[..],
        (12, 31) => &LEAP_DECEMBERS[..],
        _ => return false,
    };
    (utc.hour(), utc.minute(), utc.second()) == (23, 59, 59) && leaps.contains(&utc.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANT: Time = 1_511_658_000_000;

    #[test]
    fn accepted_spellings_of_one_instant() {
        for text in [
            "2017-11-26T01:00:00Z",
            "2017-11-26t01:00:00z",
            "2017-11-26 01:00:00Z",
            "2017-11-26T01:00Z",
            "2017-11-26T01Z",
            "20171126T010000Z",
            "+002017-11-26T01:00:00Z",
            "2017-11-26T01:00:00.000999999Z",
            "2017-11-26T01:00:00,0Z",
            "2017-11-26T09:00:00+08:00",
            "2017-11-26T09:00:00+0800",
            "2017-11-26T09:00:00+08",
            "2017-11-26T06:30:00+05:30",
            "2017-11-26T01:00:00-00:00",
            "2017-11-26T19:00:00+18:00",
            "2017-11-25T07:00:00-18:00",
            "2017-11-26T09:00:00+08:00[Asia/Shanghai]",
        ] {
            assert_eq!((instant(text), instant_or_utc(text)), (Some(INSTANT), Some(INSTANT)), "{text}");
        }
        for text in ["2017-11-26T01:00:00", "2017-11-26 01:00", "20171126T01"] {
            assert_eq!((instant(text), instant_or_utc(text)), (None, Some(INSTANT)), "{text}");
        }
    }

    #[test]
    fn refused_by_both() {
        for text in [
            "",
            "soon",
            "1511658000",
            "2017-11-26T12:30:60Z",
            "2017-11-26T12:30:60",
            "20171126T123060Z",
            "2017-11-26 12:30:60.5+08:00",
            "2017-11-26T23:59:60Z",
            "2017-06-30T23:59:60Z",
            "2016-12-31T23:59:60+08:00",
            "2017-11-26T12:30:61Z",
            "2017-11-26T24:00:00Z",
            "2017-11-26T12:60:00Z",
            "2017-02-29T12:00:00Z",
            "2017-11-26T20:00:00+18:01",
            "2017-11-26T20:00:00-19:00",
            "2017-11-26T20:00:00+25:00",
            "2017-11-26T09:00:00[Asia/Shanghai]",
            "2017-11-26T09:00:00 CST",
            " 2017-11-26T09:00:00Z",
            "2017-11-26T09:00:00Z ",
            "2017-W47-7T09:00:00Z",
            "2017-330T09:00:00Z",
        ] {
            assert_eq!((instant(text), instant_or_utc(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_last_millisecond_before_it_wherever_it_was_written() {
        let last = instant("2016-12-31T23:59:59.999Z");
        assert!(last.is_some());
        for text in [
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2017-01-01T07:59:60+08:00",
            "20161231T235960Z",
        ] {
            assert_eq!(instant(text), last, "{text}");
        }
        assert_eq!(instant_or_utc("2016-12-31T23:59:60"), last);
        assert!(instant("2015-06-30T23:59:60Z").is_some());
        assert_eq!(LEAP_DECEMBERS.len() + LEAP_JUNES.len(), 27);
    }

    #[test]
    fn milliseconds_are_rounded_down_also_before_1970() {
        assert_eq!(instant("1969-12-31T23:59:59.9999Z"), Some(-1));
        assert_eq!(written(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(written(Time::MAX), "9223372036854775807 ms since 1970");
    }
}
