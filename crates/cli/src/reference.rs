//! The configuration reference: a chapter in Markdown that is made from the schema.

use std::collections::BTreeMap;
use std::fmt::Write;

use millstream_stage::options::schema::{ALIAS_OF, DURATION, FLINK, FORM, INSTANT, SIZE};
use serde_json::{Map, Value};

use crate::state_keys::is_storage_key;

/// The keys of every pipeline: a title, and what the keys begin with.
const SECTIONS: [(&str, &[&str]); 7] = [
    ("The job", &["pipeline.", "parallelism.", "job."]),
    ("Checkpoints and savepoints", &["execution.", "state.checkpoints.", "state.savepoints."]),
    ("State backend", &["state.backend"]),
    ("Restarts", &["restart-strategy"]),
    ("The page and the REST API", &["rest."]),
    ("The runtime", &["runtime"]),
    ("Storages of checkpoints", &["s3.", "hdfs.", "storage"]),
];

const HEAD: &str = "\
The configuration of a job is one YAML file. `--set KEY=VALUE` on the command line overrides one key of it; a key with dots
that stands in a map is given by its path, and the elements of a list are counted from 0: `--set sinks.0.url=redis://other`.

- `${NAME}` in a text is replaced by the variable of the environment, so that secrets stay out of the file.
- A **duration** is a number with `ms`, `s`, `min`, `h` or `d`, such as `30s`; a number alone counts milliseconds.
- A **size** is a number with `b`, `kb`, `mb` or `gb` (powers of 1024), such as `4mb`; a number alone counts bytes.
- An unknown key is refused at the start; the message has its line and the nearest known key.
- The last column has Flink's name for the same thing: a key of Flink's configuration, or an option of its connector.

`config-schema` prints all of this as a JSON schema. An editor with a YAML language server completes and checks keys with
`# yaml-language-server: $schema=FILE` in the first line of the configuration.
";

/// The chapter of a schema.
pub fn reference(schema: &Value) -> String {
    let mut chapter = Chapter::default();
    let _ = writeln!(chapter.text, "# Configuration reference\n");
    let _ = writeln!(
        chapter.text,
        "<!-- Written by the command `config-reference` from the code: change the comments there. -->\n"
    );
    chapter.text.push_str(HEAD);
    let nothing = Map::new();
    let keys = schema["properties"].as_object().unwrap_or(&nothing);
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut left: BTreeMap<_, _> = keys.iter().filter(|(_, schema)| schema.get(ALIAS_OF).is_none()).collect();
    for (title, families) in SECTIONS {
        let (ours, others) = left.into_iter().partition::<BTreeMap<_, _>, _>(|(key, schema)| {
            !is_refused(schema) && families.iter().any(|family| key.starts_with(family))
        });
        left = others;
        chapter.section(title, &ours);
    }
    let (refused, own) = left.into_iter().partition::<BTreeMap<_, _>, _>(|(_, schema)| is_refused(schema));
    chapter.application(&own, &required);
    chapter.spellings(keys);
    chapter.refused(&refused);
    chapter.text
}

fn is_refused(schema: &Value) -> bool {
    schema["deprecated"] == true
}

type Keys<'a> = BTreeMap<&'a String, &'a Value>;

#[derive(Default)]
struct Chapter {
    text: String,
    // Tables of variants, to name where one stands that would be there twice.
    written: BTreeMap<String, String>,
}

impl Chapter {
    fn section(&mut self, title: &str, keys: &Keys<'_>) {
        if keys.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "\n## {title}\n");
        let mut rows = Vec::new();
        keys.iter().for_each(|(key, schema)| add_rows(&mut rows, key, schema, false));
        self.table(&rows);
    }

    // Keys with kinds have a section each.
    fn application(&mut self, keys: &Keys<'_>, required: &[&str]) {
        if keys.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "\n## The application\n");
        let mut rows = Vec::new();
        for (key, schema) in keys {
            add_rows(&mut rows, key, schema, required.contains(&key.as_str()));
        }
        self.table(&rows);
        for (key, schema) in keys {
            let (path, kinds) = kinds_of(key, schema);
            for kind in kinds {
                self.kind(key, &path, kind);
            }
        }
    }

    fn kind(&mut self, key: &str, path: &str, kind: &Value) {
        let name = kind["properties"]["type"]["const"].as_str().unwrap_or_default();
        let _ =
            writeln!(self.text, "\n### `{key}` of the type `{name}`\n\n{}\n", text_of(kind, "description"));
        let table = kind["properties"].to_string();
        if let Some(other) = self.written.get(&table) {
            let _ = writeln!(self.text, "The keys are those of [{other}](#{}).", anchor(other));
            return;
        }
        self.written.insert(table, format!("`{key}` of the type `{name}`"));
        let mut rows = Vec::new();
        for (key, schema) in properties_of(kind).filter(|(key, _)| *key != "type") {
            add_rows(&mut rows, &format!("{path}.{key}"), schema, is_required(kind, key));
        }
        self.table(&rows);
    }

    fn table(&mut self, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        self.text.push_str("| key | meaning | type | default | Flink |\n|---|---|---|---|---|\n");
        for Row { key, meaning, form, default, flink } in rows {
            let _ = writeln!(self.text, "| `{key}` | {meaning} | {form} | {default} | {flink} |");
        }
    }

    fn spellings(&mut self, keys: &Map<String, Value>) {
        let others = keys.iter().filter(|(_, schema)| schema["deprecated"] == true);
        let others: Vec<_> =
            others.filter_map(|(key, schema)| Some((key, schema.get(ALIAS_OF)?.as_str()?))).collect();
        if others.is_empty() {
            return;
        }
        self.text.push_str(
            "\n## Other spellings\n\nKeys as files of older and newer Flinks spell them are read, too.\n\n",
        );
        self.text.push_str("| key | is read as |\n|---|---|\n");
        for (other, key) in others {
            let _ = writeln!(self.text, "| `{other}` | `{key}` |");
        }
    }

    fn refused(&mut self, keys: &Keys<'_>) {
        if keys.is_empty() {
            return;
        }
        self.text.push_str("\n## Keys of Flink that are refused\n\n| key | why |\n|---|---|\n");
        for (key, schema) in keys {
            let _ = writeln!(self.text, "| `{key}` | {} |", text_of(schema, "description"));
        }
    }
}

struct Row {
    key: String,
    meaning: String,
    form: String,
    default: String,
    flink: String,
}

// A key, or those of the map that it holds.
fn add_rows(rows: &mut Vec<Row>, path: &str, schema: &Value, required: bool) {
    if schema.get(ALIAS_OF).is_some() {
        return;
    }
    if schema.get("properties").is_some() {
        // The keys of storages stand at the top level.
        for (key, inner) in properties_of(schema).filter(|(key, _)| !is_storage_key(key)) {
            add_rows(rows, &format!("{path}.{key}"), inner, is_required(schema, key));
        }
        return;
    }
    let default = schema.get("default").map(plain).filter(|default| !default.is_empty());
    let default = default.map(|default| format!("`{default}`"));
    let flink = schema.get(FLINK).and_then(Value::as_str).map(|flink| format!("`{flink}`"));
    rows.push(Row {
        key: path.to_owned(),
        meaning: text_of(schema, "description") + &choices_of(schema),
        form: form_of(schema),
        default: default.unwrap_or_else(|| if required { "required".to_owned() } else { String::new() }),
        flink: flink.unwrap_or_default(),
    });
}

fn properties_of(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn is_required(schema: &Value, key: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key))
}

// The kinds of a source or sink, and the path of the keys of one.
fn kinds_of<'a>(key: &str, schema: &'a Value) -> (String, Vec<&'a Value>) {
    let (path, schema) = match schema.get("items") {
        Some(items) => (format!("{key}.N"), items),
        None => (key.to_owned(), schema),
    };
    let kinds = schema["oneOf"].as_array().into_iter().flatten();
    (path, kinds.filter(|kind| kind["properties"]["type"]["const"].is_string()).collect())
}

fn text_of(schema: &Value, keyword: &str) -> String {
    let text = schema[keyword].as_str().unwrap_or_default();
    text.replace("\n\n", " ").replace('|', "\\|")
}

// Those of the key, or of the list that it holds.
fn choices_of(schema: &Value) -> String {
    let choices = schema["oneOf"].as_array().map_or_else(|| alternatives(schema), |all| all.iter().collect());
    let mut text = String::new();
    for choice in choices.iter().filter(|choice| choice.get(ALIAS_OF).is_none()) {
        let Some(name) = choice_name(choice) else { continue };
        let others = choices.iter().filter(|other| other[ALIAS_OF].as_str() == Some(&name));
        let others: Vec<_> = others.filter_map(|other| other["const"].as_str()).collect();
        let others =
            if others.is_empty() { String::new() } else { format!(" (also `{}`)", others.join("`, `")) };
        let _ = write!(text, "<br>`{name}`{others}: {}", text_of(choice, "description"));
    }
    text
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    let nested = |schema: &'_ Value| schema["oneOf"].as_array().is_some();
    let items = schema.get("items").filter(|items| nested(items));
    let within = schema["anyOf"].as_array().into_iter().flatten().filter(|part| nested(part));
    let all = items.into_iter().chain(within).filter_map(|part| part["oneOf"].as_array());
    all.flatten().collect()
}

fn choice_name(choice: &Value) -> Option<String> {
    if let Some(name) = choice["const"].as_str() {
        return Some(name.to_owned());
    }
    if let Some(kind) = choice["properties"]["type"]["const"].as_str() {
        return Some(format!("type: {kind}"));
    }
    let (key, _) = choice["properties"].as_object()?.iter().next()?;
    Some(format!("{key}: ..."))
}

fn form_of(schema: &Value) -> String {
    match schema.get(FORM).and_then(Value::as_str) {
        Some(form @ (DURATION | SIZE)) => return form.to_owned(),
        Some(INSTANT) => return "time".to_owned(),
        _ => {}
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let kinds = choices.iter().any(|choice| choice["properties"]["type"]["const"].is_string());
        return if kinds { "map with a `type`" } else { "choice" }.to_owned();
    }
    if let Some(parts) = schema["anyOf"].as_array() {
        let forms: Vec<_> = parts.iter().map(form_of).filter(|form| !form.is_empty()).collect();
        return forms.join(", or ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    let named = |name: &str| types.contains(&name);
    match () {
        () if named("integer") => "whole number".to_owned(),
        () if named("number") => "number".to_owned(),
        () if named("boolean") => "`true` or `false`".to_owned(),
        () if named("array") => format!("list of: {}", form_of(&schema["items"])),
        () if named("object") => "map".to_owned(),
        () if named("string") => "text".to_owned(),
        () => String::new(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

// As mdBook makes it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}
