//! JSON schemas of the forms in which options are written: whatever has a serde form of its own has its
//! schema here.
//!
//! Three keywords are Millstream's own. Validators and editors pass over them; the configuration reference
//! shows them. `x-form` names the form of a text or number ([`DURATION`], [`SIZE`], [`INSTANT`]), `x-flink`
//! the key that Flink has for the same thing, and `x-alias-of` the key or value that another spelling stands
//! for.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::{Secret, duration, instant, optional_duration, size};
use crate::time::Zone;

/// The keyword that names the form of a value.
pub const FORM: &str = "x-form";
/// The keyword that names Flink's key.
pub const FLINK: &str = "x-flink";
/// The keyword of another spelling: the key or value that it stands for.
pub const ALIAS_OF: &str = "x-alias-of";

/// The form of a duration.
pub const DURATION: &str = "duration";
/// The form of a size in bytes.
pub const SIZE: &str = "size";
/// The form of an instant.
pub const INSTANT: &str = "instant";

/// The pattern of a text that takes a variable of the environment, `${NAME}`; it may stand in any text.
pub const VARIABLE: &str = r"\$\{[^}]+\}";

const NUMBER: &str = r"([0-9]+\.?[0-9]*|\.[0-9]+)";
const TIME_UNIT: &str =
    "us|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|min|minutes?|h|hours?|d|days?";
const SIZE_UNIT: &str = "b|bytes|k|kb|kib|kibibytes|m|mb|mib|mebibytes|g|gb|gib|gibibytes";

// A text with a unit, or a whole number.
fn measured(form: &str, units: &str) -> Schema {
    json_schema!({
        "type": ["string", "integer"],
        "pattern": format!(r"^\s*{NUMBER}\s*({units})?\s*$|{VARIABLE}"),
        "minimum": 0,
        FORM: form,
    })
}

impl JsonSchema for duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        measured(DURATION, TIME_UNIT)
    }
}

impl JsonSchema for optional_duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OptionalDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = measured(DURATION, TIME_UNIT);
        schema.insert("type".to_owned(), json!(["string", "integer", "null"]));
        schema
    }
}

impl JsonSchema for size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        measured(SIZE, SIZE_UNIT)
    }
}

impl JsonSchema for instant {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], FORM: INSTANT })
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl JsonSchema for Zone {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Zone".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["UTC", "Asia/Shanghai", "+05:30"] })
    }
}

/// Adds another spelling of a key, as `#[serde(alias = "...")]` does: `schemars` does not know it.
///
/// # Panics
/// When the schema has no such key.
pub fn add_alias(schema: &mut Schema, key: &str, alias: &str) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let properties = properties.expect("the schema of a struct has properties");
    let mut other = properties.get(key).cloned().expect("an alias is that of a key in the same struct");
    mark_alias(&mut other, key);
    properties.insert(alias.to_owned(), other);
}

/// Adds another spelling of a value to the schema of an enum whose variants have no fields.
///
/// # Panics
/// When the enum has variants without a comment.
pub fn add_value_alias(schema: &mut Schema, value: &str, alias: &str) {
    let choices = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    let choices = choices.expect("each variant of an enum has a comment, and with it a schema of its own");
    choices.push(json!({ "type": "string", "const": alias, ALIAS_OF: value }));
}

/// Marks the schema of a key as that of another spelling of `key`.
pub fn mark_alias(schema: &mut Value, key: &str) {
    let mut marked = Map::new();
    if let Value::Object(schema) = schema {
        marked.append(schema);
        for keyword in ["default", "description", FLINK] {
            marked.remove(keyword);
        }
    }
    marked.insert("description".to_owned(), json!(format!("Another spelling of `{key}`.")));
    marked.insert("deprecated".to_owned(), json!(true));
    marked.insert(ALIAS_OF.to_owned(), json!(key));
    *schema = Value::Object(marked);
}
