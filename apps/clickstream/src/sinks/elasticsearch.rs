//! Elasticsearch and OpenSearch: one index per table, one document per row.

use millstream::connectors::elasticsearch::{Document, ElasticsearchOptions, ElasticsearchSink};
use millstream::prelude::*;
use serde_json::{Value, json};

use super::Tables;
use crate::results::{HotItem, PvUv, UserClicks};

pub(super) fn sink(
    tables: &Tables,
    options: &ElasticsearchOptions,
    name: impl Fn(&str) -> String,
) -> Vec<DataStream<DeadLetter>> {
    let mut refused = Vec::new();
    if let Some(clicks) = &tables.user_clicks {
        let sink = ElasticsearchSink::new(options.clone(), |row: &UserClicks| {
            Document::new("user_clicks", format!("{}-{}", row.user_id, row.window_start), row)
        });
        let sink = sink.with_template("user_clicks", user_clicks());
        refused.push(clicks.sink_to(&name("user-clicks"), sink).dead_letters());
    }
    if let Some((_, rows)) = &tables.hot_items {
        let sink = ElasticsearchSink::new(options.clone(), |row: &HotItem| {
            Document::new("hot_items", format!("{}-{}", row.window_end, row.rank), row)
        });
        let sink = sink.with_template("hot_items", hot_items());
        refused.push(rows.sink_to(&name("hot-items"), sink).dead_letters());
    }
    if let Some(rows) = &tables.pv_uv {
        let sink =
            ElasticsearchSink::new(options.clone(), |row: &PvUv| Document::new("pv_uv", row.id(), row));
        let sink = sink.with_template("pv_uv", pv_uv());
        refused.push(rows.sink_to(&name("pv-uv"), sink).dead_letters());
    }
    refused
}

/// The index templates of all tables, by name.
pub(crate) fn templates() -> impl Iterator<Item = (&'static str, Value)> {
    [("user_clicks", user_clicks()), ("hot_items", hot_items()), ("pv_uv", pv_uv())].into_iter()
}

fn template(index: &str, properties: &Value) -> Value {
    json!({
        "index_patterns": [format!("{index}*")],
        "template": { "mappings": { "dynamic": "strict", "properties": properties } },
    })
}

/// A longer value is stored and shown, but not indexed: Lucene takes terms of 32,766 bytes, a character has
/// up to 4.
fn keyword() -> Value {
    json!({ "type": "keyword", "ignore_above": 8191 })
}

fn user_clicks() -> Value {
    template(
        "user_clicks",
        &json!({
            "user_id": keyword(),
            "window_start": { "type": "date", "format": "epoch_millis" },
            "window_end": { "type": "date", "format": "epoch_millis" },
            "count": { "type": "long" },
        }),
    )
}

fn hot_items() -> Value {
    template(
        "hot_items",
        &json!({
            "window_end": { "type": "date", "format": "epoch_millis" },
            "rank": { "type": "integer" },
            "item_id": keyword(),
            "count": { "type": "long" },
        }),
    )
}

fn pv_uv() -> Value {
    template(
        "pv_uv",
        &json!({
            "granularity": keyword(),
            "dimension": keyword(),
            "value": keyword(),
            "window_start": { "type": "date", "format": "epoch_millis" },
            "window_end": { "type": "date", "format": "epoch_millis" },
            "pv": { "type": "long" },
            "uv": { "type": "long" },
        }),
    )
}
