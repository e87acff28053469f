//! What a build without the feature `servers` leaves out: Kafka, Elasticsearch and Redis. The demo needs none
//! of them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// The error for a configuration that names one of them.
const WHY: &str = "this program was built for the demo, without Kafka, Elasticsearch and Redis: build the whole one with \
                   `cargo build --release`";

/// What the help says.
pub const HELP: &str = "\
This program was built for the demo: Kafka, Elasticsearch, Redis and the commands generate, replay, drill and forget are left out.
Build the whole one with `cargo build --release`.";

/// The settings of a source or sink that was left out: there are none.
#[derive(Clone, Copy, Debug)]
pub enum LeftOut {}

impl<'de> Deserialize<'de> for LeftOut {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(WHY))
    }
}

impl JsonSchema for LeftOut {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LeftOut".into()
    }

    // No value is one of it.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        false.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_names_one_is_told_what_to_build() {
        let error = serde_json::from_str::<LeftOut>(r#"{"brokers": "a:1"}"#).unwrap_err();
        assert!(error.to_string().contains("cargo build --release"), "{error}");
    }
}
