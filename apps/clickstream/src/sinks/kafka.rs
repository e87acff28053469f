//! Kafka: one JSON message per row, with the name of its table; `{table}` in the topic's name gives each
//! table a topic of its own.

use millstream::connectors::kafka::{KafkaSink, KafkaSinkOptions};
use millstream::prelude::*;
use serde::Serialize;

use super::Tables;
use crate::results::{HotItem, PvUv, UserClicks};

pub(super) fn sink(
    tables: &Tables,
    options: &KafkaSinkOptions,
    name: impl Fn(&str) -> String,
) -> Vec<DataStream<DeadLetter>> {
    let mut refused = Vec::new();
    if let Some(rows) = &tables.user_clicks {
        let key = |row: &UserClicks| format!("{}-{}", row.user_id, row.window_start);
        let sink = topic(options, "user_clicks", key);
        refused.push(rows.sink_to(&name("user-clicks"), sink).dead_letters());
    }
    if let Some((_, rows)) = &tables.hot_items {
        let key = |row: &HotItem| format!("{}-{}", row.window_end, row.rank);
        refused.push(rows.sink_to(&name("hot-items"), topic(options, "hot_items", key)).dead_letters());
    }
    if let Some(rows) = &tables.pv_uv {
        let sink = topic(options, "pv_uv", PvUv::id);
        refused.push(rows.sink_to(&name("pv-uv"), sink).dead_letters());
    }
    refused
}

// A row as its reader sees it.
#[derive(Serialize)]
struct Row<'a, T> {
    table: &'a str,
    #[serde(flatten)]
    row: &'a T,
}

/// Where a table goes.
pub(crate) fn topic_of(options: &KafkaSinkOptions, table: &str) -> String {
    options.topic.replace("{table}", table)
}

fn topic<T: Data + Serialize>(
    options: &KafkaSinkOptions,
    table: &'static str,
    key: impl Fn(&T) -> String + Send + Sync + 'static,
) -> KafkaSink<T> {
    let options = KafkaSinkOptions { topic: topic_of(options, table), ..options.clone() };
    KafkaSink::new(options, move |row: &T, _, message| {
        message.key().extend_from_slice(key(row).as_bytes());
        let written = serde_json::to_writer(message.value(), &Row { table, row });
        written.expect("numbers and texts always become JSON, and memory takes every byte");
    })
}
