//! Time zones.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use millstream_record::{Error, Result};
use serde::{Deserialize, Deserializer};

use super::Time;
use super::iso8601::LARGEST_OFFSET;

/// A time zone: a name of the tz database, or a fixed offset from UTC. Its rules are built in, so that they
/// are the same on every host.
///
/// ```
/// use millstream_stage::time::Zone;
///
/// let shop: Zone = "Asia/Kolkata".parse()?;
/// let fixed: Zone = "+05:30".parse()?;
/// assert_eq!(shop.to_string(), "Asia/Kolkata");
/// assert!("Asia/Kalkutta".parse::<Zone>().is_err());
/// # Ok::<(), millstream_record::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// The date that its calendars show.
    pub fn date(&self, time: Time) -> Date {
        self.zone.to_datetime(timestamp(time)).date()
    }

    /// How far its clocks are ahead of UTC, in milliseconds.
    pub fn offset(&self, time: Time) -> Time {
        Time::from(self.zone.to_offset(timestamp(time)).seconds()) * 1000
    }

    /// When its clocks first show this date and time; where they skip it, when they have just skipped it.
    pub fn first(&self, civil: DateTime) -> Time {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                at(civil, offset)
            }
            AmbiguousOffset::Gap { after, .. } => {
                let before_the_gap = at(civil, after);
                self.next_change(before_the_gap).unwrap_or(before_the_gap)
            }
        }
    }

    /// The first moment after `time` at which its clocks are moved.
    pub fn next_change(&self, time: Time) -> Option<Time> {
        let offset = self.zone.to_offset(timestamp(time));
        let change = self.zone.following(timestamp(time)).find(|change| change.offset() != offset)?;
        Some(change.timestamp().as_millisecond())
    }
}

impl FromStr for Zone {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let zone = match name {
            "Z" | "z" => Some(TimeZone::UTC),
            _ => fixed(name).or_else(|| TimeZoneDatabase::bundled().get(name).ok()),
        };
        let zone = zone.ok_or_else(|| {
            Error::configuration(format!(
                "there is no time zone {name:?}: write a name of the tz database such as Asia/Shanghai, or an offset such as +05:30"
            ))
        })?;
        let name = zone.iana_name().map_or_else(|| name.to_owned(), str::to_owned);
        Ok(Self { name, zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// `+05:30`, `-03:00`: at most 18 hours.
fn fixed(text: &str) -> Option<TimeZone> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = (hours * 60 + minutes) * 60;
    if minutes > 59 || seconds > LARGEST_OFFSET {
        return None;
    }
    Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?))
}

// Times beyond the calendar's years take its first or last moment.
fn timestamp(time: Time) -> Timestamp {
    let limit = if time < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(time).unwrap_or(limit)
}

fn at(civil: DateTime, offset: Offset) -> Time {
    offset.to_timestamp(civil).map_or(Time::MAX, Timestamp::as_millisecond)
}
