//! The stores that results go to: each table to each configured store, in the same schema.

mod blackhole;
pub(crate) mod csv;
mod dead_letter;
#[cfg(feature = "servers")]
pub(crate) mod elasticsearch;
#[cfg(feature = "servers")]
pub(crate) mod kafka;
#[cfg(feature = "servers")]
mod last_resort;
#[cfg(feature = "servers")]
pub(crate) mod redis;
pub(crate) mod sqlite;

pub use dead_letter::sink_dead_letters;

use millstream::prelude::*;

use crate::jobs::hot_items::Ranking;
use crate::options::SinkOptions;
use crate::results::{HotItem, PvUv, UserClicks};

/// The streams of all tables that are computed.
#[derive(Default)]
pub struct Tables {
    /// `user_clicks`.
    pub user_clicks: Option<DataStream<UserClicks>>,
    /// `hot_items`: whole rankings, and their rows.
    pub hot_items: Option<(DataStream<Ranking>, DataStream<HotItem>)>,
    /// `pv_uv`.
    pub pv_uv: Option<DataStream<PvUv>>,
}

/// Ends every table in a store; answers what the store could never write.
pub fn sink_tables(tables: &Tables, store_name: &str, store: &SinkOptions) -> Vec<DataStream<DeadLetter>> {
    let name = |table: &str| format!("{table}-to-{store_name}");
    match store {
        #[cfg(feature = "servers")]
        SinkOptions::Elasticsearch(options) => elasticsearch::sink(tables, options, name),
        #[cfg(feature = "servers")]
        SinkOptions::Redis(options) => redis::sink(tables, options, name),
        SinkOptions::Sqlite(options) => sqlite::sink(tables, options, name),
        SinkOptions::Csv(options) => csv::sink(tables, options, name),
        #[cfg(feature = "servers")]
        SinkOptions::Kafka(options) => kafka::sink(tables, options, name),
        SinkOptions::Blackhole(_) => blackhole::sink(tables, name),
        #[cfg(not(feature = "servers"))]
        SinkOptions::LeftOut(left_out) => match *left_out {},
    }
}
