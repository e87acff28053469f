//! Whether the job's documents fit a mapping that is not the job's. Pure: two mappings in, their differences
//! out.
//!
//! Compared is what changes the meaning of a document: a field's type, the formats of a date, whether unknown
//! fields are mapped by guess, and whether the index demands what our writes do not have. Everything else
//! (sub-fields, analysers, doc values) is the index owner's business.

use std::fmt;

use serde_json::{Map, Value, json};

/// Characters of a `keyword` that are indexed: each may take 4 bytes, and Lucene refuses a term of more than
/// 32,766.
pub(crate) const MAX_KEYWORD_CHARS: u64 = 8191;

/// A date without a format takes these.
const DEFAULT_DATE_FORMAT: &str = "strict_date_optional_time||epoch_millis";

/// One place where two mappings differ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// The field's path, or the name of the mapping's own setting.
    pub(crate) field: String,
    pub(crate) theirs: String,
    pub(crate) ours: String,
    /// What `PUT INDEX/_mapping` takes to end the difference, where an index that exists can still be changed
    /// so.
    pub(crate) mend: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, theirs, ours, .. } = self;
        write!(f, "{field} is {theirs} there, the job needs {ours}")
    }
}

/// All differences, in one line.
pub(crate) fn list(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One body for `PUT INDEX/_mapping` that ends all differences; none if one of them can only be ended by a
/// new index.
pub(crate) fn mend(differences: &[Difference]) -> Option<Value> {
    let mut body = json!({});
    for difference in differences {
        merge(&mut body, difference.mend.as_ref()?);
    }
    Some(body)
}

/// Where `theirs` would not take the documents as `ours` does.
pub(crate) fn compare(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare_dynamic(ours, theirs, &mut found);
    compare_demands(theirs, &mut found);
    compare_fields("", ours, theirs, &mut found);
    found
}

fn compare_dynamic(ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    let Some(wanted) = text(ours, "dynamic") else {
        return;
    };
    let there = text(theirs, "dynamic").unwrap_or_else(|| "true".to_owned());
    let open = |dynamic: &str| matches!(dynamic, "true" | "runtime");
    if open(&there) && !open(&wanted) {
        // No other program has written to an index without fields: it may be closed.
        let untouched = properties(theirs).is_none_or(Map::is_empty);
        let mend = untouched.then(|| json!({ "dynamic": wanted }));
        found.push(Difference { field: "dynamic".to_owned(), theirs: there, ours: wanted, mend });
    }
}

// Our writes have no routing, and their values are to be read.
fn compare_demands(theirs: &Value, found: &mut Vec<Difference>) {
    let is = |pointer: &str, wanted: bool| {
        theirs.pointer(pointer).is_some_and(|value| plain(value) == wanted.to_string())
    };
    let mut differs = |field: &str, theirs: &str, ours: &str| {
        let (field, theirs, ours) = (field.to_owned(), theirs.to_owned(), ours.to_owned());
        found.push(Difference { field, theirs, ours, mend: None });
    };
    if is("/_routing/required", true) {
        differs("_routing", "required", "optional");
    }
    if is("/_source/enabled", false) {
        differs("_source", "disabled", "enabled");
    }
}

fn compare_fields(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    for (name, ours) in properties(ours).into_iter().flatten() {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match properties(theirs).and_then(|fields| fields.get(name)) {
            Some(theirs) => compare_field(&field, ours, theirs, found),
            None => {
                let mend = Some(at(&field, ours.clone()));
                found.push(Difference { field, theirs: "missing".to_owned(), ours: describe(ours), mend });
            }
        }
    }
}

fn compare_field(field: &str, ours: &Value, theirs: &Value, found: &mut Vec<Difference>) {
    if !holds(&kind(ours), &kind(theirs)) || !takes_format(ours, theirs) {
        let (theirs, ours) = (describe(theirs), describe(ours));
        found.push(Difference { field: field.to_owned(), theirs, ours, mend: None });
        return;
    }
    if let Some(limit) = text(ours, "ignore_above").filter(|_| longer_terms(ours, theirs)) {
        let mut mended = theirs.clone();
        mended["ignore_above"] = ours["ignore_above"].clone();
        found.push(Difference {
            field: field.to_owned(),
            theirs: describe(theirs),
            ours: format!("ignore_above: {limit}"),
            mend: Some(at(field, mended)),
        });
    }
    compare_fields(field, ours, theirs, found);
}

// Whether every value of our type is one of theirs, found by the same queries.
fn holds(ours: &str, theirs: &str) -> bool {
    const WIDER: [&[&str]; 2] = [&["byte", "short", "integer", "long"], &["half_float", "float", "double"]];
    let place = |family: &[&str], kind: &str| family.iter().position(|known| *known == kind);
    ours == theirs
        || WIDER.iter().any(|family| match (place(family, ours), place(family, theirs)) {
            (Some(ours), Some(theirs)) => ours <= theirs,
            _ => false,
        })
}

fn takes_format(ours: &Value, theirs: &Value) -> bool {
    let format = |field: &Value| text(field, "format").unwrap_or_else(|| DEFAULT_DATE_FORMAT.to_owned());
    let there = format(theirs);
    kind(ours) != "date"
        || format(ours).split("||").all(|wanted| there.split("||").any(|known| known == wanted))
}

// Theirs would try to index a term that Lucene refuses.
fn longer_terms(ours: &Value, theirs: &Value) -> bool {
    let limit = |field: &Value| text(field, "ignore_above").and_then(|text| text.parse::<u64>().ok());
    let not_indexed =
        ["index", "doc_values"].iter().all(|part| text(theirs, part).as_deref() == Some("false"));
    limit(ours).is_some() && !not_indexed && limit(theirs).is_none_or(|limit| limit > MAX_KEYWORD_CHARS)
}

fn properties(mapping: &Value) -> Option<&Map<String, Value>> {
    mapping.get("properties").and_then(Value::as_object)
}

fn kind(field: &Value) -> String {
    text(field, "type").unwrap_or_else(|| "object".to_owned())
}

fn describe(field: &Value) -> String {
    match (kind(field), text(field, "format")) {
        (kind, Some(format)) if kind == "date" => format!("date ({format})"),
        (kind, _) => kind,
    }
}

// Templates are kept as they were written, so `true` may be a word or a string.
fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).map(plain)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn at(path: &str, field: Value) -> Value {
    path.rsplit('.').fold(field, |inner, name| json!({ "properties": { name: inner } }))
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests;
