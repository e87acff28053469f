//! Redis: one key per row, a ranking as one sorted set.
//!
//! | key | value |
//! |---|---|
//! | `user_clicks:USER:WINDOW_START` | hash `count`, `window_end` |
//! | `hot_items:WINDOW_END` | sorted set of items, scored by count |
//! | `pv_uv:GRANULARITY:DIMENSION:VALUE:WINDOW_START` | hash `pv`, `uv`, `window_end` |

use millstream::connectors::redis::{RedisOptions, RedisSink, RedisWrite};
use millstream::prelude::*;

use super::Tables;
use crate::jobs::hot_items::Ranking;
use crate::results::{PvUv, UserClicks};

pub(super) fn sink(
    tables: &Tables,
    options: &RedisOptions,
    name: impl Fn(&str) -> String,
) -> Vec<DataStream<DeadLetter>> {
    let mut refused = Vec::new();
    if let Some(clicks) = &tables.user_clicks {
        let sink = RedisSink::new(options.clone(), user_clicks);
        refused.push(clicks.sink_to(&name("user-clicks"), sink).dead_letters());
    }
    if let Some((rankings, _)) = &tables.hot_items {
        let sink = RedisSink::new(options.clone(), hot_items);
        refused.push(rankings.sink_to(&name("hot-items"), sink).dead_letters());
    }
    if let Some(rows) = &tables.pv_uv {
        let sink = RedisSink::new(options.clone(), pv_uv);
        refused.push(rows.sink_to(&name("pv-uv"), sink).dead_letters());
    }
    refused
}

/// A write of each table, by the table's name: what its keys and values look like.
pub(crate) fn samples() -> impl Iterator<Item = (&'static str, RedisWrite)> {
    let (user_id, granularity) = ("0".into(), "1min".into());
    let clicks = UserClicks { user_id, window_start: 0, window_end: 0, count: 0 };
    let ranking = Ranking { window_end: 0, items: Vec::new() };
    let (dimension, value) = ("all".into(), "all".into());
    let views = PvUv { granularity, dimension, value, window_start: 0, window_end: 0, pv: 0, uv: 0 };
    [("user_clicks", user_clicks(&clicks)), ("hot_items", hot_items(&ranking)), ("pv_uv", pv_uv(&views))]
        .into_iter()
}

fn user_clicks(row: &UserClicks) -> RedisWrite {
    RedisWrite::hash(format!("user_clicks:{}:{}", row.user_id, row.window_start))
        .field("count", row.count)
        .field("window_end", row.window_end)
}

#[allow(clippy::cast_precision_loss, reason = "a score is a double; counts beyond 2^53 do not occur")]
fn hot_items(ranking: &Ranking) -> RedisWrite {
    let write = RedisWrite::ranking(format!("hot_items:{}", ranking.window_end));
    ranking.items.iter().fold(write, |write, (item, count)| write.member(item.clone(), *count as f64))
}

fn pv_uv(row: &PvUv) -> RedisWrite {
    let key = format!("pv_uv:{}:{}:{}:{}", row.granularity, row.dimension, row.value, row.window_start);
    RedisWrite::hash(key).field("pv", row.pv).field("uv", row.uv).field("window_end", row.window_end)
}
