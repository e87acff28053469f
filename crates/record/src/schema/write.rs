//! The JSON of schemas: what the code that `#[derive(Record)]` writes is made of.

use serde_json::Value;

use super::{datum, parse};
use crate::Record;
use crate::record::{Names, to_bytes};

/// A record of these fields, each from [`field`].
pub fn record(name: &str, aliases: &[&str], fields: &[String]) -> String {
    format!(
        "{{\"type\":\"record\",\"name\":\"{name}\"{},\"fields\":[{}]}}",
        other_names(aliases),
        fields.join(",")
    )
}

/// A field. A default is JSON; it is left out where `names` is to be without.
pub fn field(
    names: &mut Names,
    name: &str,
    aliases: &[&str],
    of: impl FnOnce(&mut Names) -> String,
    default: impl FnOnce() -> Option<String>,
) -> String {
    let default = if names.with_defaults() { default() } else { None };
    let default = default.map_or_else(String::new, |default| format!(",\"default\":{default}"));
    format!("{{\"name\":\"{name}\"{},\"type\":{}{default}}}", other_names(aliases), of(names))
}

/// The schema of a field's type, as [`Record::schema`] gives it.
pub type SchemaOf = fn(&mut Names) -> String;

/// A record that has no Rust type of its own: these fields, each by its name, none of which has a default.
pub fn fields(names: &mut Names, name: &str, fields: &[(&str, SchemaOf)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, of)| field(names, name, &[], of, || None)).collect();
    record(name, &[], &fields)
}

/// An enum of these symbols, one of which may stand for those that it does not know.
pub fn enumeration(name: &str, aliases: &[&str], symbols: &[&str], default: Option<&str>) -> String {
    let default = default.map_or_else(String::new, |default| format!(",\"default\":\"{default}\""));
    let other_names = other_names(aliases);
    format!("{{\"type\":\"enum\",\"name\":\"{name}\"{other_names},\"symbols\":{}{default}}}", texts(symbols))
}

/// A value as the JSON of a default.
pub fn default<T: Record>(value: &T) -> String {
    let schema = parse::parse(&T::schema(&mut Names::bare()));
    let bytes = to_bytes(value);
    let json = schema.and_then(|schema| datum::to_json(&schema, schema.root, &mut bytes.as_slice()));
    json.expect("a value fits the schema of its type").to_string()
}

/// Bytes as the JSON of a default: a text of one code point for each.
pub fn default_bytes(value: &[u8]) -> String {
    Value::from(value.iter().copied().map(char::from).collect::<String>()).to_string()
}

fn other_names(aliases: &[&str]) -> String {
    if aliases.is_empty() { String::new() } else { format!(",\"aliases\":{}", texts(aliases)) }
}

fn texts(texts: &[&str]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", texts.join(","))
}
