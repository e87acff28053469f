//! SQLite: one table per table, rows replaced by key.

use millstream::connectors::sqlite::{SqliteOptions, SqliteSink, Table};
use millstream::prelude::*;

use super::Tables;

pub(super) fn sink(
    tables: &Tables,
    options: &SqliteOptions,
    name: impl Fn(&str) -> String,
) -> Vec<DataStream<DeadLetter>> {
    let mut refused = Vec::new();
    if let Some(rows) = &tables.user_clicks {
        let sink = SqliteSink::new(options.clone(), user_clicks());
        refused.push(rows.sink_to(&name("user-clicks"), sink).dead_letters());
    }
    if let Some((_, rows)) = &tables.hot_items {
        let sink = SqliteSink::new(options.clone(), hot_items());
        refused.push(rows.sink_to(&name("hot-items"), sink).dead_letters());
    }
    if let Some(rows) = &tables.pv_uv {
        let sink = SqliteSink::new(options.clone(), pv_uv());
        refused.push(rows.sink_to(&name("pv-uv"), sink).dead_letters());
    }
    refused
}

/// All tables.
#[cfg(feature = "servers")]
pub(crate) fn tables() -> impl Iterator<Item = Table> {
    [user_clicks(), hot_items(), pv_uv()].into_iter()
}

fn user_clicks() -> Table {
    Table::new("user_clicks")
        .text("user_id")
        .integer("window_start")
        .integer("window_end")
        .integer("count")
        .key(["user_id", "window_start"])
}

fn hot_items() -> Table {
    Table::new("hot_items")
        .integer("window_end")
        .integer("rank")
        .text("item_id")
        .integer("count")
        .key(["window_end", "rank"])
}

fn pv_uv() -> Table {
    Table::new("pv_uv")
        .text("granularity")
        .text("dimension")
        .text("value")
        .integer("window_start")
        .integer("window_end")
        .integer("pv")
        .integer("uv")
        .key(["granularity", "dimension", "value", "window_start"])
}
