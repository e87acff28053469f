//! Event times: from numbers or ISO-8601 to milliseconds, within a plausible range.

use millstream_stage::time::iso8601::{instant, instant_or_utc};
use millstream_stage::time::{PlausibleNow, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::number::{Decimal, small};
use crate::value::{Value, unfit};

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = also_long_names)]
pub enum TimeUnit {
    /// Seconds since 1970, `1511658000` or `1511658000.123`; digits below a millisecond are cut off.
    #[serde(rename = "s", alias = "seconds")]
    Seconds,
    /// Milliseconds since 1970, `1511658000000`.
    #[default]
    #[serde(rename = "ms", alias = "milliseconds", alias = "millis")]
    Milliseconds,
    /// Microseconds since 1970, `1511658000000000`; digits below a millisecond are cut off.
    #[serde(rename = "us", alias = "microseconds", alias = "micros")]
    Microseconds,
    /// Nanoseconds since 1970, `1511658000000000000`; digits below a millisecond are cut off.
    #[serde(rename = "ns", alias = "nanoseconds", alias = "nanos")]
    Nanoseconds,
    /// ISO-8601 with an offset, `2017-11-26T01:00:00.5Z` or `2017-11-26T09:00:00.5+08:00`.
    // All spellings are in millstream_stage::time::iso8601.
    #[serde(rename = "iso-8601")]
    Iso8601,
    /// ISO-8601; a time without an offset is in UTC.
    #[serde(rename = "iso-8601-utc")]
    Iso8601Utc,
}

fn also_long_names(schema: &mut schemars::Schema) {
    for (unit, name) in [
        ("s", "seconds"),
        ("ms", "milliseconds"),
        ("ms", "millis"),
        ("us", "microseconds"),
        ("us", "micros"),
        ("ns", "nanoseconds"),
        ("ns", "nanos"),
    ] {
        millstream_stage::options::schema::add_value_alias(schema, unit, name);
    }
}

/// How to read times, and which ones can be true while this batch is decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) unit: TimeUnit,
    pub(crate) plausible: PlausibleNow,
}

impl Times {
    #[inline]
    pub(crate) fn read(&self, value: &Value<'_>) -> Result<Time, String> {
        self.unit.read(value).and_then(|time| self.plausible.check(time))
    }
}

impl TimeUnit {
    #[inline]
    fn read(self, value: &Value<'_>) -> Result<Time, String> {
        let text = match value {
            Value::Number(text) => text,
            Value::Text(text) => text.as_ref(),
            Value::Bool(_) | Value::Nested(_) => return Err(unfit(self.wanted(), value)),
        };
        let time = match self {
            Self::Seconds => small(text).and_then(|n| n.checked_mul(1000)).or_else(|| decimal(text, 3)),
            Self::Milliseconds => small(text).or_else(|| decimal(text, 0)),
            Self::Microseconds => small(text).map(|n| n.div_euclid(1000)).or_else(|| decimal(text, -3)),
            Self::Nanoseconds => decimal(text, -6),
            Self::Iso8601 => instant(text),
            Self::Iso8601Utc => instant_or_utc(text),
        };
        time.ok_or_else(|| unfit(self.wanted(), value))
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Seconds => "seconds since 1970",
            Self::Milliseconds => "milliseconds since 1970",
            Self::Microseconds => "microseconds since 1970",
            Self::Nanoseconds => "nanoseconds since 1970",
            Self::Iso8601 => "an ISO-8601 time with an offset, such as 2017-11-26T01:00:00Z",
            Self::Iso8601Utc => "an ISO-8601 time, such as 2017-11-26T01:00:00",
        }
    }
}

#[cold]
fn decimal(text: &str, shift: i32) -> Option<Time> {
    Decimal::parse(text)?.floor_shifted(shift)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(unit: TimeUnit, text: &str) -> Result<Time, String> {
        unit.read(&Value::Text(text.into()))
    }

    #[test]
    fn the_same_instant_in_every_unit() {
        let instant = 1_511_658_000_500;
        for (unit, text) in [
            (TimeUnit::Seconds, "1511658000.5"),
            (TimeUnit::Milliseconds, "1511658000500"),
            (TimeUnit::Milliseconds, "1511658000500.9"),
            (TimeUnit::Milliseconds, "1.5116580005E12"),
            (TimeUnit::Microseconds, "1511658000500999"),
            (TimeUnit::Microseconds, "1.5116580005e15"),
            (TimeUnit::Nanoseconds, "1511658000500999999"),
            (TimeUnit::Iso8601, "2017-11-26T01:00:00.5Z"),
            (TimeUnit::Iso8601, "2017-11-26 09:00:00.5+08:00"),
            (TimeUnit::Iso8601Utc, "2017-11-26T01:00:00.500999"),
            (TimeUnit::Iso8601Utc, "2017-11-26T09:00:00.5+08:00"),
        ] {
            assert_eq!(read(unit, text), Ok(instant), "{text}");
        }
        assert_eq!(TimeUnit::Seconds.read(&Value::Number("1511658000.5")), Ok(instant));
        assert_eq!(read(TimeUnit::Microseconds, "-1"), Ok(-1));
        assert_eq!(read(TimeUnit::Iso8601Utc, "2017-11-26"), Ok(1_511_654_400_000));
        assert_eq!(read(TimeUnit::Iso8601, "1969-12-31T23:59:59.9999Z"), Ok(-1));
    }

    #[test]
    fn what_is_no_time_says_what_was_wanted() {
        let error = read(TimeUnit::Iso8601, "2017-11-26T01:00:00").unwrap_err();
        assert_eq!(
            error,
            "wants an ISO-8601 time with an offset, such as 2017-11-26T01:00:00Z, has \"2017-11-26T01:00:00\""
        );
        for (unit, text) in [
            (TimeUnit::Seconds, ""),
            (TimeUnit::Seconds, "soon"),
            (TimeUnit::Milliseconds, "1e99"),
            (TimeUnit::Milliseconds, "99999999999999999999"),
            (TimeUnit::Iso8601, "1511658000"),
            (TimeUnit::Iso8601Utc, "2017-13-26"),
            (TimeUnit::Iso8601, "2017-11-26T12:30:60Z"),
            (TimeUnit::Iso8601Utc, "2017-11-26T12:30:00+19:00"),
        ] {
            assert!(read(unit, text).is_err(), "{text}");
        }
        assert!(TimeUnit::Milliseconds.read(&Value::Bool(true)).is_err());
    }
}
