//! What can be set for JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_record::{Error, Result};
use millstream_stage::time::{PlausibleTimes, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::FieldSpec;
use crate::time::TimeUnit;
use crate::walk::MAX_FIELDS;

/// Settings of a [`JsonDecoder`](crate::JsonDecoder).
///
/// ```
/// let options: millstream_json::JsonOptions = serde_json::from_str(
///     r#"{"fields": {"userId": "user_id"}, "time-unit": "s", "earliest": "2015-01-01", "max-ahead": "5 min"}"#,
/// )?;
/// assert_eq!(options.earliest, 1_420_070_400_000);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct JsonOptions {
    /// The key in the messages by the name of the field in the record type, for fields that are called
    /// otherwise there. It takes the place of the field's name and of its aliases.
    pub fields: BTreeMap<String, String>,
    /// How the event time is written; milliseconds by default.
    pub time_unit: TimeUnit,
    /// The earliest plausible event time, 2000-01-01 by default; as a date, an ISO-8601 time, or milliseconds
    /// since 1970.
    #[serde(with = "millstream_stage::options::instant")]
    pub earliest: Time,
    /// How far an event time may be ahead of the clock, one day by default.
    #[serde(with = "millstream_stage::options::duration")]
    pub max_ahead: Duration,
}

impl Default for JsonOptions {
    fn default() -> Self {
        let plausible = PlausibleTimes::default();
        Self {
            fields: BTreeMap::new(),
            time_unit: TimeUnit::default(),
            earliest: plausible.earliest,
            max_ahead: plausible.max_ahead,
        }
    }
}

/// More keys than this, aliases included, are not supported.
const MAX_KEYS: usize = 128;

impl JsonOptions {
    /// Every wanted key with the number of its field.
    pub(crate) fn keys<'o>(&'o self, specs: &'static [FieldSpec]) -> Result<Vec<(&'o str, u8)>> {
        self.check_names(specs)?;
        let mut keys = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            match self.fields.get(spec.name) {
                Some(key) => keys.push((key.as_str(), index as u8)),
                None => {
                    let names = std::iter::once(&spec.name).chain(spec.aliases);
                    keys.extend(names.map(|name| (*name, index as u8)));
                }
            }
        }
        check_keys(&keys, specs)?;
        Ok(keys)
    }

    fn check_names(&self, specs: &[FieldSpec]) -> Result<()> {
        if specs.len() > MAX_FIELDS {
            let count = specs.len();
            return Err(Error::configuration(format!(
                "the record type wants {count} fields of a message; {MAX_FIELDS} are supported"
            )));
        }
        let unknown = self.fields.keys().find(|name| specs.iter().all(|spec| spec.name != name.as_str()));
        unknown.map_or(Ok(()), |name| {
            let known = specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
            Err(Error::configuration(format!("fields: there is no field {name}; there are {known}")))
        })
    }
}

fn check_keys(keys: &[(&str, u8)], specs: &[FieldSpec]) -> Result<()> {
    if keys.len() > MAX_KEYS {
        return Err(Error::configuration(format!(
            "the record type wants {} keys, aliases included; {MAX_KEYS} are supported",
            keys.len()
        )));
    }
    let mut taken = BTreeMap::new();
    for (key, field) in keys {
        if let Some(other) = taken.insert(key, field) {
            let [other, field] = [other, field].map(|index| specs[usize::from(*index)].name);
            return Err(Error::configuration(format!(
                "fields: the key {key} is wanted twice, by {other} and {field}: give one of them another key"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[FieldSpec] =
        &[FieldSpec { name: "userId", aliases: &["uid"] }, FieldSpec { name: "timestamp", aliases: &[] }];

    fn options(json: &str) -> JsonOptions {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_configured_key_takes_the_place_of_name_and_aliases() {
        assert_eq!(options("{}").keys(SPECS).unwrap(), [("userId", 0), ("uid", 0), ("timestamp", 1)]);
        let mapped = options(r#"{"fields": {"userId": "user_id"}}"#);
        assert_eq!(mapped.keys(SPECS).unwrap(), [("user_id", 0), ("timestamp", 1)]);
    }

    #[test]
    fn wrong_names_and_doubled_keys_refuse_to_start() {
        let error = options(r#"{"fields": {"user": "u"}}"#).keys(SPECS).unwrap_err();
        assert_eq!(error.to_string(), "fields: there is no field user; there are userId, timestamp");
        let error = options(r#"{"fields": {"timestamp": "uid"}}"#).keys(SPECS).unwrap_err();
        assert!(error.to_string().contains("uid is wanted twice, by userId and timestamp"), "{error}");
    }

    #[test]
    fn options_are_written_as_they_are_read() {
        let options = options(r#"{"time-unit": "iso-8601", "earliest": "2015-01-01T00:00:00+01:00"}"#);
        assert_eq!(
            serde_json::from_str::<JsonOptions>(&serde_json::to_string(&options).unwrap()).unwrap(),
            options
        );
        assert_eq!(options.earliest, 1_420_066_800_000);
        assert!(serde_json::from_str::<JsonOptions>(r#"{"time_unit": "s"}"#).is_err());
        assert!(serde_json::from_str::<JsonOptions>(r#"{"earliest": "once"}"#).is_err());
    }
}
