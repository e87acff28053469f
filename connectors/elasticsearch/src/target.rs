//! What is at the name that the job writes to. Pure: the answer to `GET NAME` in, a decision out.
//!
//! A document is replaced by its id, so the name must lead to one index for ever. It does not where it is a
//! data stream (which takes only new documents), an alias to several indices, or an alias that rolls over: a
//! document written before and after would be in two indices.

use serde_json::{Map, Value};

/// What is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// Nothing yet: the first document makes the index.
    Absent,
    /// One index of this name and mapping, and why it takes no documents just now, if so.
    Index { name: String, mapping: Value, blocked: Option<&'static str> },
    /// What no exactly-once writer can write to: the reason and what to do.
    Unfit(String),
}

/// The settings that make an alias roll over, by ILM and by ISM.
const ROLLOVER_ALIAS: [&str; 3] = [
    "index.lifecycle.rollover_alias",
    "index.plugins.index_state_management.rollover_alias",
    "index.opendistro.index_state_management.rollover_alias",
];

/// The settings of an index with which it takes no documents: somebody has put it away, or the disk was full.
const BLOCKS: [&str; 4] = [
    "index.blocks.write",
    "index.blocks.read_only",
    "index.blocks.read_only_allow_delete",
    // Of a closed index.
    "index.verified_before_close",
];

/// What the name is, by the body of `GET NAME?flat_settings=true`: one entry per index.
pub(crate) fn of_answer(name: &str, body: &Value) -> Target {
    let is_index = |index: &Value| index.get("mappings").is_some() || index.get("settings").is_some();
    let indices: Vec<_> =
        body.as_object().into_iter().flatten().filter(|(_, index)| is_index(index)).collect();
    let Some((first, index)) = indices.first() else {
        return Target::Absent;
    };
    if indices.iter().any(|(there, index)| is_data_stream(name, there, index)) {
        return Target::Unfit(format!(
            "{name} is a data stream, which takes only new documents: the job replaces documents by their ids. Write to another \
             name (index-prefix), or delete the data stream and the index template that makes it"
        ));
    }
    if first.as_str() != name {
        return of_alias(name, &indices);
    }
    if setting(index, "index.mode") == Some("time_series") {
        return Target::Unfit(format!(
            "{name} is an index of time series, which makes the ids itself: write to another name (index-prefix)"
        ));
    }
    one_index(first, index)
}

fn of_alias(name: &str, indices: &[(&String, &Value)]) -> Target {
    let [(first, index)] = indices else {
        let names: Vec<_> = indices.iter().map(|(name, _)| name.as_str()).collect();
        return Target::Unfit(format!(
            "{name} is an alias of {} indices ({}): a document that is written twice could end in two of them. Write to another name \
             (index-prefix), or let the alias name one index",
            names.len(),
            names.join(", ")
        ));
    };
    let rolls = ROLLOVER_ALIAS.iter().any(|key| setting(index, key) == Some(name));
    let write_index = index.pointer("/aliases").and_then(|aliases| aliases.get(name)?.get("is_write_index"));
    if rolls || write_index == Some(&Value::Bool(true)) {
        return Target::Unfit(format!(
            "{name} is an alias that rolls over (its index is {first}): a document written before and after would be in two indices. \
             Write to another name (index-prefix), or take the rollover and is_write_index off the alias"
        ));
    }
    one_index(first, index)
}

fn one_index(name: &str, index: &Value) -> Target {
    let mapping = index.get("mappings").cloned().unwrap_or_else(|| Value::Object(Map::new()));
    let blocked = BLOCKS.into_iter().find(|key| setting(index, key) == Some("true"));
    Target::Index { name: name.to_owned(), mapping, blocked }
}

fn is_data_stream(name: &str, index: &str, body: &Value) -> bool {
    body.get("data_stream").is_some() || index.starts_with(&format!(".ds-{name}-"))
}

fn setting<'a>(index: &'a Value, key: &str) -> Option<&'a str> {
    index.get("settings")?.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(body: &Value) -> String {
        match of_answer("clicks", body) {
            Target::Unfit(reason) => reason,
            other => panic!("it was taken: {other:?}"),
        }
    }

    #[test]
    fn an_index_and_an_alias_of_one_are_written_to() {
        let mapping = json!({ "properties": {} });
        let plain = json!({ "clicks": { "aliases": {}, "mappings": mapping, "settings": {} } });
        assert_eq!(
            of_answer("clicks", &plain),
            Target::Index { name: "clicks".into(), mapping: mapping.clone(), blocked: None }
        );
        let alias =
            json!({ "clicks-v2": { "aliases": { "clicks": {} }, "mappings": mapping, "settings": {} } });
        let target = Target::Index { name: "clicks-v2".into(), mapping, blocked: None };
        assert_eq!(of_answer("clicks", &alias), target);
    }

    #[test]
    fn an_index_that_takes_no_documents_says_why() {
        for key in BLOCKS {
            let of = |value: &str| {
                let settings = json!({ "index.number_of_replicas": "0", key: value });
                match of_answer("clicks", &json!({ "clicks": { "mappings": {}, "settings": settings } })) {
                    Target::Index { blocked, .. } => blocked,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!((of("true"), of("false")), (Some(key), None));
        }
    }

    #[test]
    fn what_is_no_index_is_nothing() {
        assert_eq!(of_answer("clicks", &json!({})), Target::Absent);
        assert_eq!(of_answer("clicks", &json!({ "acknowledged": true })), Target::Absent);
    }

    #[test]
    fn a_data_stream_is_refused() {
        let named = json!({ ".ds-clicks-2026.11.29-000001": { "mappings": {}, "data_stream": "clicks" } });
        let older = json!({ ".ds-clicks-000001": { "mappings": {}, "settings": {} } });
        for body in [named, older] {
            assert!(reason(&body).contains("data stream"));
        }
    }

    #[test]
    fn an_alias_of_several_indices_is_refused_by_their_names() {
        let index = json!({ "aliases": { "clicks": {} }, "mappings": {} });
        let reason = reason(&json!({ "a": index, "b": index }));
        assert!(reason.contains("alias of 2 indices (a, b)"), "{reason}");
    }

    #[test]
    fn an_alias_that_rolls_over_is_refused() {
        let flagged = json!({ "clicks-000001": { "aliases": { "clicks": { "is_write_index": true } }, "mappings": {} } });
        let managed = json!({ "clicks-000001": {
            "aliases": { "clicks": {} }, "mappings": {}, "settings": { "index.lifecycle.rollover_alias": "clicks" },
        }});
        for body in [flagged, managed] {
            assert!(reason(&body).contains("rolls over"));
        }
        let of_another = json!({ "clicks-1": {
            "aliases": { "clicks": {} }, "mappings": {}, "settings": { "index.lifecycle.rollover_alias": "all" },
        }});
        assert!(matches!(of_answer("clicks", &of_another), Target::Index { .. }));
    }

    #[test]
    fn an_index_of_time_series_is_refused() {
        let body = json!({ "clicks": { "mappings": {}, "settings": { "index.mode": "time_series" } } });
        assert!(reason(&body).contains("time series"));
    }
}
