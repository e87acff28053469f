//! The JSON schema of a configuration file: the keys of every pipeline, and those of the application.
//!
//! It is made from the structs that serde reads, and accepts what they accept: numbers and durations as
//! texts, variables of the environment, old spellings of keys. [`tidy`](mod@tidy) brings it into the form
//! that editors show best.

mod tidy;

use millstream_runtime::StorageOptions;
use millstream_stage::options::schema::{FLINK, mark_alias};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::application::Application;
use crate::config::EngineOptions;
use crate::state_keys::{Keys, STORAGE_MAP, is_storage_key};
use crate::{spelling, state_keys};

/// Keys of the top level that Flink does not have. All others are called as in Flink.
const OWN: [&str; 10] = [
    "job.dir",
    "runtime",
    "rest.password",
    "rest.password-file",
    "execution.savepointing.interval",
    "s3.session-token",
    "s3.ca-file",
    "hdfs.user",
    "hdfs.config-dir",
    "hdfs.config",
];

/// The schema of a struct of options, for [`Application::options_schema`].
pub fn schema_of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft07().for_deserialize();
    settings.with(|settings| settings.inline_subschemas = true).into_generator().into_root_schema_for::<T>()
}

/// The schema of an application's configuration file. An application that does not tell the schema of its
/// options may have any keys besides those of every pipeline.
pub fn config_schema<A: Application>(app: &A) -> Value {
    let own = app.options_schema().map(Value::from);
    let closed = own.as_ref().is_some_and(|own| own["additionalProperties"] == json!(false));
    let mut properties = engine_keys();
    let mut required = Value::Null;
    if let Some(Value::Object(mut own)) = own {
        required = own.remove("required").unwrap_or_default();
        if let Some(Value::Object(keys)) = own.remove("properties") {
            properties.extend(keys);
        }
    }
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": format!("Configuration of {}", app.name()),
        "type": "object",
        "properties": properties,
        "additionalProperties": !closed,
    });
    if required.is_array() {
        schema["required"] = required;
    }
    tidy::tidy(&mut schema);
    schema
}

/// The keys that every pipeline has.
fn engine_keys() -> Map<String, Value> {
    let mut keys = properties(schema_of::<EngineOptions>());
    keys.extend(state_keys());
    let storage = properties(schema_of::<StorageOptions>());
    keys.extend(storage.clone().into_iter().filter(|(key, _)| is_storage_key(key)));
    keys.insert(STORAGE_MAP.to_owned(), storage_map(&storage));
    for (key, schema) in &mut keys {
        if !OWN.contains(&key.as_str())
            && key != STORAGE_MAP
            && let Value::Object(schema) = schema
        {
            schema.insert(FLINK.to_owned(), json!(key));
        }
    }
    add_paths(&mut keys, "runtime");
    add_spellings(&mut keys);
    keys
}

// With the defaults that are in force when neither the file nor the program says anything.
fn state_keys() -> Map<String, Value> {
    let mut keys = properties(schema_of::<Keys>());
    for (key, default) in state_keys::defaults() {
        if let Some(Value::Object(schema)) = keys.get_mut(&key) {
            schema.insert("default".to_owned(), default);
        }
    }
    keys
}

fn properties(schema: Schema) -> Map<String, Value> {
    match Value::from(schema)["properties"].take() {
        Value::Object(properties) => properties,
        _ => Map::new(),
    }
}

fn storage_map(keys: &Map<String, Value>) -> Value {
    json!({
        "description": "How storages of checkpoints are reached, and how patient the job is with them. The keys `s3.*` and `hdfs.*` may \
            stand here as well as at the top level.",
        "type": ["object", "null"],
        "properties": keys,
        "additionalProperties": false,
    })
}

// `runtime.stop-timeout: 5s` is as good as `runtime: {stop-timeout: 5s}`.
fn add_paths(keys: &mut Map<String, Value>, name: &str) {
    let inner = keys.get(name).and_then(|map| map["properties"].as_object()).cloned().unwrap_or_default();
    for (key, mut schema) in inner {
        let path = format!("{name}.{key}");
        mark_alias(&mut schema, &path);
        schema["description"] = json!(format!("The same as `{key}` in `{name}`."));
        schema["deprecated"] = json!(false);
        keys.insert(path, schema);
    }
}

fn add_spellings(keys: &mut Map<String, Value>) {
    for (other, key) in spelling::others() {
        add_spelling(keys, other, key);
    }
    let family: Vec<_> = keys.keys().filter(|key| key.starts_with(spelling::FAMILY)).cloned().collect();
    for key in family {
        add_spelling(keys, &key.replacen(spelling::FAMILY, spelling::OTHER_FAMILY, 1), &key);
    }
    for (key, other, value) in spelling::other_values() {
        let choices = keys.get_mut(key).and_then(|schema| tidy::choices(schema));
        choices.into_iter().for_each(|choices| choices.push(tidy::other_choice(other, value)));
    }
    for (key, harmless, reason) in spelling::REFUSED {
        keys.insert(key.to_owned(), refused(harmless, reason));
    }
}

fn add_spelling(keys: &mut Map<String, Value>, other: &str, key: &str) {
    if keys.contains_key(other) {
        return;
    }
    if let Some(mut schema) = keys.get(key).cloned() {
        mark_alias(&mut schema, key);
        keys.insert(other.to_owned(), schema);
    }
}

fn refused(harmless: &[&str], reason: &str) -> Value {
    let texts = harmless.iter().map(|text| json!(text));
    let values = harmless.iter().filter_map(|text| serde_json::from_str(text).ok());
    json!({
        "description": format!("Only {} is accepted: {reason}.", harmless.join(", ")),
        "deprecated": true,
        "enum": texts.chain(values).collect::<Vec<Value>>(),
    })
}
