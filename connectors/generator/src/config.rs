//! What can be set for generated traffic.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use millstream_record::{Error, Result};
use millstream_stage::time::{Time, millis};

use crate::broken::BrokenKind;

/// A field that an event may have beside `userId`, `itemId`, `categoryId`, `behavior` and `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// Names the event; a duplicate has the same.
    EventId,
    /// The kind of page.
    Page,
    /// The kind of device.
    Device,
    /// A province.
    Region,
    /// An address in 10.0.0.0/8.
    Ip,
    /// The user's session: half an hour.
    SessionId,
    /// The item's price.
    Price,
}

/// Settings of generated traffic. The defaults have the shares and the skew of a real shop's day.
///
/// What is generated depends on the seed, the splits and the settings of this struct, not on time, machine or
/// parallelism; the start of event time apart, which is the clock's where a rate is set and `start` is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorOptions {
    /// The seed, which chooses the traffic.
    pub seed: u64,
    /// Events per second by the clock, all splits together. Without it, events are made as fast as they are
    /// taken.
    #[schemars(extend("x-flink" = "rows-per-second"))]
    pub rate: Option<f64>,
    /// How far the source may fall behind its rate and catch up. Events beyond that are not made up for.
    #[serde(with = "millstream_stage::options::duration")]
    pub catch_up: Duration,
    /// Events per second of event time. By default it is `rate`, or 1,000 where no rate is set.
    pub event_rate: Option<f64>,
    /// The event time of the first event in milliseconds since 1970. By default it is now where a rate is
    /// set, else 2017-11-26 01:00 UTC.
    pub start: Option<Time>,
    /// The source ends after so many events, all splits together.
    #[schemars(extend("x-flink" = "number-of-rows"))]
    pub count: Option<u64>,
    /// The source ends after so much event time.
    #[serde(with = "millstream_stage::options::optional_duration")]
    pub duration: Option<Duration>,
    /// The number of parts that can be generated in parallel, each with its own events.
    pub splits: u16,
    /// The optional fields that events have.
    pub fields: Vec<Field>,
    /// The number of users.
    pub users: u64,
    /// The number of items.
    pub items: u64,
    /// The number of categories.
    pub categories: u64,
    /// How far event times may lie behind the newest one; the distance is random.
    #[serde(with = "millstream_stage::options::duration")]
    pub disorder: Duration,
    /// The share of events that come a second time, at most `disorder`, or where that is less a second,
    /// behind the newest.
    pub duplicates: f64,
    /// The share of broken records, of all kinds in `broken-kinds`.
    pub broken: f64,
    /// The ways in which records are broken.
    pub broken_kinds: Vec<BrokenKind>,
    /// The share of events that are once to twice `late-by` behind.
    pub late: f64,
    /// How far late events are behind.
    #[serde(with = "millstream_stage::options::duration")]
    pub late_by: Duration,
    /// The share of events from the year 2037.
    pub future: f64,
    /// The share of events from the year 1902.
    pub ancient: f64,
    /// The share of events of the first `hot-users` users.
    pub hot: f64,
    /// How many users share the `hot` events.
    pub hot_users: u64,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            rate: None,
            catch_up: Duration::from_secs(1),
            event_rate: None,
            start: None,
            count: None,
            duration: None,
            splits: 4,
            fields: vec![Field::EventId, Field::Page, Field::Device, Field::Region, Field::SessionId],
            users: 165_700,
            items: 3_790_000,
            categories: 3_980,
            disorder: Duration::ZERO,
            duplicates: 0.0,
            broken: 0.0,
            broken_kinds: BrokenKind::ALL.to_vec(),
            late: 0.0,
            late_by: Duration::from_mins(10),
            future: 0.0,
            ancient: 0.0,
            hot: 0.0,
            hot_users: 1,
        }
    }
}

// 2017-11-26 01:00 UTC
const RECORDED_DAY: Time = 1_511_658_000_000;

impl GeneratorOptions {
    /// Events per second of event time.
    pub fn event_rate(&self) -> f64 {
        self.event_rate.or(self.rate).unwrap_or(1000.0)
    }

    /// Event time of the first event when the job starts at `now`.
    pub fn start(&self, now: Time) -> Time {
        self.start.unwrap_or(if self.rate.is_some() { now } else { RECORDED_DAY })
    }

    /// How many events there are, all splits together; none where there is no end.
    pub fn total(&self) -> Option<u64> {
        let timed = self.duration.map(|duration| (duration.as_secs_f64() * self.event_rate()).ceil() as u64);
        [self.count, timed].into_iter().flatten().min()
    }

    /// How many events there are in one split.
    pub fn total_of(&self, split: u16) -> Option<u64> {
        let splits = u64::from(self.splits);
        self.total().map(|total| total / splits + u64::from(u64::from(split) < total % splits))
    }

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the setting.
    pub fn validate(&self) -> Result<()> {
        for (name, rate) in [("rate", self.rate), ("event-rate", self.event_rate)] {
            let Some(rate) = rate else { continue };
            refuse_unless((0.001..=1e9).contains(&rate), || {
                format!("{name} is {rate}: choose 0.001 to 1000000000 events per second")
            })?;
        }
        for (name, number) in [("users", self.users), ("items", self.items), ("categories", self.categories)]
        {
            let sensible = (1..=1_000_000_000).contains(&number);
            refuse_unless(sensible, || format!("{name} is {number}: choose 1 to 1000000000"))?;
        }
        refuse_unless(self.splits > 0, || "splits is 0: choose at least 1".to_owned())?;
        let hot = (1..=self.users).contains(&self.hot_users);
        refuse_unless(hot, || format!("hot-users is {}: choose 1 to {}", self.hot_users, self.users))?;
        refuse_unless(self.broken == 0.0 || !self.broken_kinds.is_empty(), || {
            "broken-kinds is empty: name at least one kind, or set broken to 0".to_owned()
        })?;
        let longest = millis(self.disorder).max(millis(self.late_by));
        refuse_unless(longest < 1 << 45, || "disorder and late-by must be less than 1000 years".to_owned())?;
        self.validate_shares()
    }

    fn validate_shares(&self) -> Result<()> {
        let faults = [
            ("duplicates", self.duplicates),
            ("broken", self.broken),
            ("late", self.late),
            ("future", self.future),
            ("ancient", self.ancient),
        ];
        for (name, share) in faults.into_iter().chain([("hot", self.hot)]) {
            let sensible = (0.0..=1.0).contains(&share);
            refuse_unless(sensible, || format!("{name} is {share}: it is a share, choose 0 to 1"))?;
        }
        let sum: f64 = faults.iter().map(|(_, share)| share).sum();
        refuse_unless(sum <= 1.0 + 1e-9, || {
            format!("duplicates, broken, late, future and ancient add up to {sum}: to 1 at most, please")
        })
    }
}

fn refuse_unless(sensible: bool, message: impl FnOnce() -> String) -> Result<()> {
    if sensible { Ok(()) } else { Err(Error::configuration(message())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let default = GeneratorOptions::default;
        let wrong = [
            ("rate is", GeneratorOptions { rate: Some(-1.0), ..default() }),
            ("event-rate is", GeneratorOptions { event_rate: Some(f64::NAN), ..default() }),
            ("users is 0", GeneratorOptions { users: 0, ..default() }),
            ("splits is 0", GeneratorOptions { splits: 0, ..default() }),
            ("hot-users is 0", GeneratorOptions { hot_users: 0, ..default() }),
            ("broken-kinds", GeneratorOptions { broken: 0.1, broken_kinds: vec![], ..default() }),
            ("broken is 2", GeneratorOptions { broken: 2.0, ..default() }),
            ("add up to 1.2", GeneratorOptions { broken: 0.6, late: 0.6, ..default() }),
        ];
        default().validate().unwrap();
        for (says, options) in wrong {
            let error = options.validate().unwrap_err();
            assert!(error.to_string().contains(says), "{says}: {error}");
        }
    }

    #[test]
    fn count_and_duration_bound_it_together() {
        let options = GeneratorOptions {
            rate: Some(100.0),
            duration: Some(Duration::from_secs(3)),
            splits: 4,
            ..GeneratorOptions::default()
        };
        assert_eq!(options.total(), Some(300));
        let options = GeneratorOptions { count: Some(10), ..options };
        let parts: Vec<_> = (0..4).map(|split| options.total_of(split).unwrap()).collect();
        assert_eq!(parts, [3, 3, 2, 2]);
        assert_eq!(GeneratorOptions::default().total_of(0), None);
    }

    #[test]
    fn options_are_read_as_they_are_written() {
        let options: GeneratorOptions = serde_json::from_str(
            r#"{"rate": 10000, "duration": "60s", "fields": ["eventId", "sessionId"], "broken-kinds": ["not-utf8"]}"#,
        )
        .unwrap();
        assert_eq!((options.total(), options.fields.len()), (Some(600_000), 2));
        assert!(serde_json::from_str::<GeneratorOptions>(r#"{"rates": 1}"#).is_err());
    }
}
