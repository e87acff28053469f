//! CSV: one file per table, with a header line.

use millstream::connectors::files::{Csv, FilesSink, FilesSinkOptions};
use millstream::prelude::*;
use serde::Serialize;

use super::Tables;
use crate::options::CsvOptions;

pub(super) fn sink(
    tables: &Tables,
    options: &CsvOptions,
    name: impl Fn(&str) -> String,
) -> Vec<DataStream<DeadLetter>> {
    let mut refused = Vec::new();
    if let Some(rows) = &tables.user_clicks {
        let sink = file(options, "user_clicks", &["user_id", "window_start", "window_end", "count"]);
        refused.push(rows.sink_to(&name("user-clicks"), sink).dead_letters());
    }
    if let Some((_, rows)) = &tables.hot_items {
        let sink = file(options, "hot_items", &["window_end", "rank", "item_id", "count"]);
        refused.push(rows.sink_to(&name("hot-items"), sink).dead_letters());
    }
    if let Some(rows) = &tables.pv_uv {
        let columns = ["granularity", "dimension", "value", "window_start", "window_end", "pv", "uv"];
        refused.push(rows.sink_to(&name("pv-uv"), file(options, "pv_uv", &columns)).dead_letters());
    }
    refused
}

/// Where a table goes.
pub(crate) fn path(options: &CsvOptions, table: &str) -> String {
    options.dir.join(format!("{table}.csv")).to_string_lossy().into_owned()
}

fn file<T: Data + Serialize>(options: &CsvOptions, table: &str, columns: &[&'static str]) -> FilesSink<T> {
    let options = FilesSinkOptions { path: path(options, table), ..FilesSinkOptions::default() };
    FilesSink::new(options, Csv::with_columns(columns.iter().copied()))
}
