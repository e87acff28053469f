//! Properties that are passed on to the Kafka client, with the secrets among them hidden.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Properties of the client by the names of librdkafka's `CONFIGURATION.md`, such as `sasl.password`.
///
/// Numbers and booleans can be written without quotes. Whatever may be a secret is neither printed nor
/// written out again.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "BTreeMap<String, PropertyValue>")]
pub struct Properties(BTreeMap<String, String>);

const HIDDEN: &str = "******";

// Parts of the names of properties that hold passwords, keys and tokens: `ssl.key.pem`,
// `sasl.oauthbearer.config`, ...
const SECRET: &[&str] = &["password", "secret", "token", "key", "oauthbearer", "jaas", "pem", "username"];

/// Whether the value of a property must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part))
}

impl Properties {
    /// All properties with their true values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a property is set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn shown(&self) -> BTreeMap<&str, &str> {
        self.iter().map(|(name, value)| (name, if is_secret(name) { HIDDEN } else { value })).collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(items: I) -> Self {
        Self(items.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown().fmt(f)
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.shown().serialize(serializer)
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum PropertyValue {
    Truth(bool),
    Number(i64),
    Fraction(f64),
    Text(String),
}

impl From<PropertyValue> for String {
    fn from(written: PropertyValue) -> Self {
        match written {
            PropertyValue::Truth(value) => value.to_string(),
            PropertyValue::Number(value) => value.to_string(),
            PropertyValue::Fraction(value) => value.to_string(),
            PropertyValue::Text(value) => value,
        }
    }
}

impl From<BTreeMap<String, PropertyValue>> for Properties {
    fn from(properties: BTreeMap<String, PropertyValue>) -> Self {
        properties.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_shown() {
        let names =
            ["sasl.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.client.secret"];
        for name in names {
            let properties = Properties::from_iter([(name, "geheim"), ("client.rack", "a")]);
            let shown = format!("{properties:?} {}", serde_json::to_string(&properties).unwrap());
            assert!(!shown.contains("geheim") && shown.contains("client.rack"), "{shown}");
            assert_eq!(properties.iter().find(|(key, _)| *key == name), Some((name, "geheim")));
        }
    }

    #[test]
    fn values_need_no_quotes() {
        let properties: Properties =
            serde_json::from_str(r#"{"fetch.min.bytes": 1, "check.crcs": true, "client.rack": "a"}"#)
                .unwrap();
        let pairs: Vec<_> = properties.iter().collect();
        assert_eq!(pairs, [("check.crcs", "true"), ("client.rack", "a"), ("fetch.min.bytes", "1")]);
    }
}
