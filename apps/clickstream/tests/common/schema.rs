//! Judges configurations by the schema that `config-schema` prints. It knows the keywords of JSON Schema that
//! our schema has, and stops at any other one, so that none is passed over in silence.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cognitive_complexity,
    reason = "a helper fails as its test does; one arm for each keyword"
)]

use std::sync::LazyLock;

use clickstream::app::Shop;
use millstream::cli::config_schema;
use regex::Regex;
use serde_json::{Map, Value};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| config_schema(&Shop::default()));

/// What the schema has against a configuration, a line each.
pub fn mistakes(yaml: &str) -> Vec<String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    match serde_saphyr::from_str_with_options::<Value>(yaml, options) {
        Ok(config) => mistakes_in(&config),
        Err(error) => vec![error.to_string()],
    }
}

/// The same for a configuration that was read.
pub fn mistakes_in(config: &Value) -> Vec<String> {
    judge(&SCHEMA, config, "")
}

fn judge(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    match schema {
        Value::Bool(true) => Vec::new(),
        Value::Object(schema) => {
            schema.iter().flat_map(|(keyword, rule)| judge_by(schema, keyword, rule, value, path)).collect()
        }
        _ => vec![format!("{path} is not allowed")],
    }
}

fn judge_by(
    schema: &Map<String, Value>,
    keyword: &str,
    rule: &Value,
    value: &Value,
    path: &str,
) -> Vec<String> {
    let wrong = |wrong: bool| {
        if wrong { vec![format!("{path}: {value} against {keyword}: {rule}")] } else { Vec::new() }
    };
    let rules = || rule.as_array().into_iter().flatten();
    let accepting = || rules().filter(|rule| judge(rule, value, path).is_empty()).count();
    match keyword {
        "$schema" | "title" | "description" | "default" | "examples" | "deprecated" => Vec::new(),
        ours if ours.starts_with("x-") => Vec::new(),
        "type" if rule.is_array() => wrong(!rules().any(|name| is_a(value, name))),
        "type" => wrong(!is_a(value, rule)),
        "const" => wrong(rule != value),
        "enum" => wrong(!rules().any(|choice| choice == value)),
        "anyOf" => wrong(accepting() == 0),
        "oneOf" => wrong(accepting() != 1),
        "pattern" => {
            let pattern = Regex::new(&rule.as_str().unwrap().replace("\\s", "[ \\t\\n]"));
            wrong(value.as_str().is_some_and(|text| !pattern.unwrap().is_match(text)))
        }
        "minimum" => wrong(value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap())),
        "maximum" => wrong(value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap())),
        "required" => {
            let lacks = |name: &&Value| value.is_object() && value.get(name.as_str().unwrap()).is_none();
            rules().filter(lacks).map(|name| format!("{path}: {name} is missing")).collect()
        }
        "properties" => entries(value)
            .filter_map(|(key, inner)| Some(judge(rule.get(key)?, inner, &format!("{path}.{key}"))))
            .flatten()
            .collect(),
        "additionalProperties" => entries(value)
            .filter(|(key, _)| schema.get("properties").is_none_or(|known| known.get(*key).is_none()))
            .flat_map(|(key, inner)| judge(rule, inner, &format!("{path}.{key}")))
            .collect(),
        "items" => {
            let items = value.as_array().into_iter().flatten().enumerate();
            items.flat_map(|(number, item)| judge(rule, item, &format!("{path}.{number}"))).collect()
        }
        other => panic!("the judge does not know the keyword {other}"),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the judge does not know the type {other}"),
    }
}
