//! What can be set for a replay.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use millstream_record::{Error, Result};

use crate::broken::BrokenKind;

/// How fast event time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as the records are taken.
    #[default]
    Max,
    /// So many times as fast as when it was recorded.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.strip_suffix('x').and_then(|number| number.parse::<f64>().ok());
        match times.filter(|times| (0.001..=1e9).contains(times)) {
            Some(times) => Ok(Self::Times(times)),
            None => {
                Err(format!("{text:?} is no speed: write max, or how many times as fast, such as 1x or 60x"))
            }
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Times(times) => write!(f, "{times}x"),
        }
    }
}

impl Serialize for Speed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Settings of a [`Replay`](crate::Replay).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplayOptions {
    /// How fast.
    pub speed: Speed,
    /// Records change places with others of up to so much event time later; none is further behind the newest
    /// than this, where the recording itself is in order.
    #[serde(with = "millstream_stage::options::duration")]
    pub shuffle: Duration,
    /// Share of records that are followed by a broken copy of themselves. The records themselves all come.
    pub broken: f64,
    /// How the copies are broken.
    pub broken_kinds: Vec<BrokenKind>,
    /// Chooses the places and the broken ones.
    pub seed: u64,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            speed: Speed::default(),
            shuffle: Duration::ZERO,
            broken: 0.0,
            broken_kinds: BrokenKind::ALL.to_vec(),
            seed: 1,
        }
    }
}

impl ReplayOptions {
    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the setting.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.broken) {
            return Err(Error::configuration(format!(
                "broken is {}: it is a share, choose 0 to 1",
                self.broken
            )));
        }
        if self.broken > 0.0 && self.broken_kinds.is_empty() {
            return Err(Error::configuration(
                "broken-kinds is empty: name at least one kind, or set broken to 0",
            ));
        }
        if self.shuffle > Duration::from_hours(24 * 366) {
            return Err(Error::configuration("shuffle is more than a year: all of it is held in memory"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_as_people_write_them() {
        for (text, speed) in [("max", Speed::Max), ("1x", Speed::Times(1.0)), ("0.5x", Speed::Times(0.5))] {
            assert_eq!((text.parse(), speed.to_string()), (Ok(speed), text.to_owned()));
        }
        for wrong in ["", "x", "1", "-1x", "0x", "fast", "NaNx"] {
            assert!(wrong.parse::<Speed>().unwrap_err().contains("60x"), "{wrong}");
        }
    }

    #[test]
    fn options_are_read_and_checked() {
        let options: ReplayOptions =
            serde_json::from_str(r#"{"speed": "60x", "shuffle": "5s", "broken": 0.001}"#).unwrap();
        assert_eq!((options.speed, options.shuffle), (Speed::Times(60.0), Duration::from_secs(5)));
        options.validate().unwrap();
        let wrong = ReplayOptions { broken: 1.5, ..options };
        assert!(wrong.validate().unwrap_err().to_string().contains("broken is 1.5"));
    }
}
