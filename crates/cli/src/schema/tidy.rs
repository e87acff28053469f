//! Brings a schema into one form, whatever derived it: values that may be absent, defaults as people write
//! them, comments as running text, and variables of the environment.

use millstream_stage::options::schema::{ALIAS_OF, DURATION, FORM, SIZE, VARIABLE};
use serde_json::{Map, Value, json};

/// Brings a schema and all schemas in it into form.
pub(super) fn tidy(schema: &mut Value) {
    tidy_within(schema, false);
}

/// The choices of an enum, also where it may be absent.
pub(super) fn choices(schema: &mut Value) -> Option<&mut Vec<Value>> {
    if let Value::Object(schema) = schema {
        flatten_optional(schema);
    }
    schema.get_mut("oneOf").and_then(Value::as_array_mut)
}

/// Another name of a choice.
pub(super) fn other_choice(name: &str, choice: &str) -> Value {
    json!({ "type": "string", "const": name, ALIAS_OF: choice })
}

// Serde reads what stands in one of several alternatives into a buffer first, and from there a text is no
// number.
fn tidy_within(schema: &mut Value, buffered: bool) {
    let Value::Object(schema) = schema else { return };
    flatten_optional(schema);
    schema.remove("format");
    tidy_description(schema);
    tidy_default(schema);
    if !buffered {
        take_texts(schema);
    }
    take_variables(schema);
    for part in ["properties", "patternProperties"] {
        let parts = schema.get_mut(part).and_then(Value::as_object_mut);
        parts.into_iter().flat_map(Map::values_mut).for_each(|part| tidy_within(part, buffered));
    }
    for part in ["items", "additionalProperties"] {
        schema.get_mut(part).into_iter().for_each(|part| tidy_within(part, buffered));
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        let parts = schema.get_mut(part).and_then(Value::as_array_mut);
        parts.into_iter().flatten().for_each(|part| tidy_within(part, true));
    }
}

// A choice that may be absent comes as a choice within a choice.
fn flatten_optional(schema: &mut Map<String, Value>) {
    let null = json!({ "type": "null" });
    let Some([inner, last]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) else {
        return;
    };
    let (Some(inner), true) = (inner.as_object().cloned(), *last == null) else { return };
    schema.remove("anyOf");
    for (keyword, value) in inner {
        schema.entry(keyword).or_insert(value);
    }
    let choices = ["oneOf", "anyOf"].into_iter().find(|choices| schema.contains_key(*choices));
    match choices.and_then(|choices| schema.get_mut(choices)) {
        Some(Value::Array(choices)) => choices.push(null),
        _ => allow_type(schema, "null"),
    }
}

fn allow_type(schema: &mut Map<String, Value>, name: &str) {
    let types = match schema.remove("type") {
        Some(Value::Array(types)) => types,
        Some(one) => vec![one],
        None => return,
    };
    let more = (!types.iter().any(|known| known == name)).then(|| json!(name));
    schema.insert("type".to_owned(), types.into_iter().chain(more).collect());
}

// Comments are wrapped where the line ends; in Markdown and in editors only an empty line ends a paragraph.
fn tidy_description(schema: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        let paragraphs: Vec<_> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
        *text = paragraphs.join("\n\n");
    }
}

// That of a key that is absent, and that of a map, say nothing that the keys do not say.
fn tidy_default(schema: &mut Map<String, Value>) {
    let form = schema.get(FORM).and_then(Value::as_str).map(str::to_owned);
    let Some(default) = schema.remove("default") else { return };
    let default = match (form.as_deref(), &default) {
        (_, Value::Null | Value::Object(_)) => return,
        (Some(DURATION), Value::String(text)) => json!(as_duration(text)),
        (Some(SIZE), Value::Number(bytes)) => json!(as_size(bytes.as_u64().unwrap_or_default())),
        _ => default,
    };
    schema.insert("default".to_owned(), default);
}

/// `600000ms` is `10min`.
fn as_duration(text: &str) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let Some(millis) = text.strip_suffix("ms").and_then(|millis| millis.parse::<u64>().ok()) else {
        return text.to_owned();
    };
    if millis == 0 {
        return "0s".to_owned();
    }
    in_units(millis, &UNITS, "ms")
}

/// 4,194,304 is `4mb`.
fn as_size(bytes: u64) -> String {
    in_units(bytes, &[(1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")], "b")
}

fn in_units(value: u64, units: &[(u64, &str)], smallest: &str) -> String {
    let whole = units.iter().find(|(unit, _)| value > 0 && value.is_multiple_of(*unit));
    let (unit, name) = whole.copied().unwrap_or((1, smallest));
    format!("{}{name}", value / unit)
}

// A number or a boolean may be written as a text, because that is what a variable of the environment becomes.
fn take_texts(schema: &mut Map<String, Value>) {
    if schema.contains_key(FORM) {
        return;
    }
    let is = |name: &str| match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|known| known == name),
        Some(one) => one == name,
        None => false,
    };
    let pattern = match (is("string"), is("integer"), is("number"), is("boolean")) {
        (false, true, _, _) => r"^[0-9]+$",
        (false, _, true, _) => r"^-?[0-9.]+([eE][+-]?[0-9]+)?$",
        (false, _, _, true) => "^(true|false)$",
        _ => return,
    };
    allow_type(schema, "string");
    schema.insert("pattern".to_owned(), json!(format!("{pattern}|{VARIABLE}")));
}

// A variable may stand for a choice.
fn take_variables(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(choices)) = schema.get_mut("oneOf")
        && choices.iter().any(|choice| choice["const"].is_string())
    {
        choices.push(json!({ "type": "string", "pattern": VARIABLE }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_shown_as_people_write_them() {
        for (millis, shown) in
            [(0, "0s"), (5, "5ms"), (1_500, "1500ms"), (600_000, "10min"), (86_400_000, "1d")]
        {
            assert_eq!(as_duration(&format!("{millis}ms")), shown);
        }
        for (bytes, shown) in
            [(0, "0b"), (1000, "1000b"), (1 << 10, "1kb"), (4 << 20, "4mb"), (5 << 30, "5gb")]
        {
            assert_eq!(as_size(bytes), shown);
        }
    }

    #[test]
    fn a_choice_that_may_be_absent_is_one_choice() {
        let mut schema = json!({
            "description": "One\nline.",
            "default": null,
            "anyOf": [{ "oneOf": [{ "const": "a" }], "description": "b" }, { "type": "null" }],
        });
        tidy(&mut schema);
        let choices = json!([
            { "const": "a" }, { "type": "null" }, { "type": "string", "pattern": VARIABLE },
        ]);
        assert_eq!(schema, json!({ "description": "One line.", "oneOf": choices }));
    }

    #[test]
    fn a_number_may_be_a_variable_except_where_serde_buffers_it() {
        let number = || json!({ "type": ["integer", "null"] });
        let mut schema =
            json!({ "properties": { "a": number() }, "oneOf": [{ "properties": { "b": number() } }] });
        tidy(&mut schema);
        assert_eq!(schema["properties"]["a"]["type"], json!(["integer", "null", "string"]));
        assert_eq!(schema["oneOf"][0]["properties"]["b"], number());
    }
}
