//! What the jobs give: one schema in every store. Times are epoch milliseconds UTC, also where hours and days
//! are those of a time zone; ids are as they came.

use compact_str::CompactString;
use millstream::Record;
use serde::Serialize;

/// Counted events of one user in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Record, Serialize)]
pub struct UserClicks {
    /// The user.
    pub user_id: CompactString,
    /// Start of the minute.
    pub window_start: i64,
    /// End of the minute, exclusive.
    pub window_end: i64,
    /// How many events.
    pub count: u64,
}

/// One place of the ranking of items.
#[derive(Clone, Debug, PartialEq, Eq, Record, Serialize)]
pub struct HotItem {
    /// End of the window, exclusive.
    pub window_end: i64,
    /// The place, 1 being the hottest.
    pub rank: u32,
    /// The item.
    pub item_id: CompactString,
    /// How many events in the window.
    pub count: u64,
}

/// Page views and distinct visitors of one value of one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Record, Serialize)]
pub struct PvUv {
    /// `1min`, `1h` or `1d`.
    pub granularity: CompactString,
    /// `all`, `category`, `page`, `device` or `region`.
    pub dimension: CompactString,
    /// The category, page, ...; `all` for the dimension `all`.
    pub value: CompactString,
    /// Start of the window.
    pub window_start: i64,
    /// End of the window, exclusive.
    pub window_end: i64,
    /// Counted events.
    pub pv: u64,
    /// Distinct users among them, exact.
    pub uv: u64,
}

impl PvUv {
    /// What tells a row from all others.
    pub fn id(&self) -> String {
        format!("{}-{}-{}-{}", self.granularity, self.dimension, self.value, self.window_start)
    }
}
