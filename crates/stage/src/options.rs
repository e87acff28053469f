//! What options of all kinds share: secrets that are never printed, durations and sizes as people write them.
//!
//! ```
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "kebab-case", deny_unknown_fields)]
//! struct Options {
//!     password: millstream_stage::options::Secret,
//!     #[serde(with = "millstream_stage::options::duration")]
//!     request_timeout: std::time::Duration, // "30s", "500 ms", "2 min"
//!     #[serde(with = "millstream_stage::options::size")]
//!     buffer_size: usize, // "4mb", "512 kb", "1000" (bytes)
//! }
//! ```

pub mod schema;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Time;
use crate::time::iso8601::{instant_or_utc, written};

/// A password or key: compared and read, never printed and never written out again.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

const HIDDEN: &str = "******";

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<S: Into<String>> From<S> for Secret {
    fn from(secret: S) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// Reads a duration such as `5s`, `100 ms`, `1.5h` or `2 min`. A number alone counts milliseconds, as in
/// Flink.
///
/// # Errors
/// A sentence for the user.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no duration: write a number and ms, s, min, h or d, such as 30s");
    let (number, unit) = number_and_unit(text).ok_or_else(wanted)?;
    let seconds = match unit {
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 0.001,
        "us" | "micro" | "micros" | "microsecond" | "microseconds" => 0.000_001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return Err(wanted()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wanted())
}

/// Reads a duration that a person types, such as `5s` or `2min`. A number alone is refused: whoever types 10
/// means seconds, and a file that says 10 means milliseconds.
///
/// # Errors
/// A sentence for the user.
pub fn parse_typed_duration(text: &str) -> Result<Duration, String> {
    let typed = text.trim();
    if !typed.is_empty() && typed != "0" && typed.parse::<f64>().is_ok() {
        return Err(format!(
            "{typed} has no unit: write {typed}s for seconds, {typed}ms for milliseconds or {typed}min for minutes"
        ));
    }
    parse_duration(text)
}

/// Reads a size such as `4mb`, `512 kb` or `1gb` (powers of 1024, as in Flink). A number alone counts bytes.
///
/// # Errors
/// A sentence for the user.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wanted = || format!("{text:?} is no size: write a number and b, kb, mb or gb, such as 4mb");
    let (number, unit) = number_and_unit(text).ok_or_else(wanted)?;
    let shift = match unit {
        "" | "b" | "bytes" => 0,
        "k" | "kb" | "kib" | "kibibytes" => 10,
        "m" | "mb" | "mib" | "mebibytes" => 20,
        "g" | "gb" | "gib" | "gibibytes" => 30,
        _ => return Err(wanted()),
    };
    let bytes = number * f64::from(1_u32 << shift);
    // Above 2^53 a double counts no single bytes any more; nothing here is that large.
    if bytes < 9e15 { Ok(bytes as usize) } else { Err(wanted()) }
}

fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

// A number is as good as a string in YAML and JSON: `interval: 100`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl Written {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// `#[serde(with = "...")]` for a [`Duration`]: see [`parse_duration`].
///
/// Such a form is a type and not a module, because `schemars` takes the path in `with` for the type whose
/// schema the field has.
#[allow(non_camel_case_types, reason = "serde calls its functions by the path of a module")]
#[derive(Clone, Copy, Debug)]
pub enum duration {}

impl duration {
    /// As milliseconds, `100ms`.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", duration.as_millis()))
    }

    /// As [`parse_duration`] reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse_duration(&Written::deserialize(deserializer)?.into_text()).map_err(serde::de::Error::custom)
    }
}

/// `#[serde(with = "...")]` for an optional [`Duration`]: see [`parse_duration`]. Needs `#[serde(default)]`
/// beside it.
#[allow(non_camel_case_types, reason = "serde calls its functions by the path of a module")]
#[derive(Clone, Copy, Debug)]
pub enum optional_duration {}

impl optional_duration {
    /// As milliseconds, or nothing.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(|duration| format!("{}ms", duration.as_millis())).serialize(serializer)
    }

    /// As [`parse_duration`] reads it, or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let written = Option::<Written>::deserialize(deserializer)?;
        let parsed = written.map(|written| parse_duration(&written.into_text())).transpose();
        parsed.map_err(serde::de::Error::custom)
    }
}

/// `#[serde(with = "...")]` for a [`Time`]: a date or an ISO-8601 time (UTC where there is no offset), or
/// milliseconds since 1970.
#[allow(non_camel_case_types, reason = "serde calls its functions by the path of a module")]
#[derive(Clone, Copy, Debug)]
pub enum instant {}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenInstant {
    Millis(Time),
    Text(String),
}

impl instant {
    /// As an ISO-8601 time.
    pub fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&written(*time))
    }

    /// As a date, a time or a number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        match WrittenInstant::deserialize(deserializer)? {
            WrittenInstant::Millis(time) => Ok(time),
            WrittenInstant::Text(text) => instant_or_utc(&text).ok_or_else(|| {
                let wanted = "a date such as 2000-01-01, an ISO-8601 time, or milliseconds since 1970";
                serde::de::Error::custom(format!("{text:?} is no time: write {wanted}"))
            }),
        }
    }
}

/// `#[serde(with = "...")]` for a size in bytes: see [`parse_size`].
#[allow(non_camel_case_types, reason = "serde calls its functions by the path of a module")]
#[derive(Clone, Copy, Debug)]
pub enum size {}

impl size {
    /// As bytes.
    pub fn serialize<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*bytes as u64)
    }

    /// As [`parse_size`] reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        parse_size(&Written::deserialize(deserializer)?.into_text()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Some(Secret::from("geheim"))), "Some(******)");
        assert_eq!(Secret::from("geheim").reveal(), "geheim");
    }

    #[test]
    fn durations_as_people_write_them() {
        for (text, millis) in
            [("5s", 5000), ("100 ms", 100), ("250", 250), ("1.5 h", 5_400_000), ("2min", 120_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "s", "-1s", "5 parsecs", "1e400s", "1..5s"] {
            assert!(parse_duration(wrong).is_err_and(|error| error.contains("30s")), "{wrong}");
        }
    }

    #[test]
    fn who_types_a_number_alone_is_asked_for_its_unit() {
        assert_eq!(parse_typed_duration(" 10s "), Ok(Duration::from_secs(10)));
        assert_eq!(parse_typed_duration("0"), Ok(Duration::ZERO));
        for wrong in ["10", "1.5", " 7 "] {
            let hint = format!("write {}s for seconds", wrong.trim());
            assert!(parse_typed_duration(wrong).is_err_and(|error| error.contains(&hint)), "{wrong}");
        }
        assert!(parse_typed_duration("soon").is_err_and(|error| error.contains("30s")));
    }

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [("4mb", 4 << 20), ("512 kb", 512 << 10), ("1000", 1000), ("0.5 gb", 512 << 20)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "mb", "-1", "4 miles", "99999999999 gb"] {
            assert!(parse_size(wrong).is_err_and(|error| error.contains("4mb")), "{wrong}");
        }
    }
}
