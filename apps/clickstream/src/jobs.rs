//! The metrics, one file each.

pub mod hot_items;
pub mod pv_uv;
pub mod user_clicks;

use millstream::prelude::*;

use crate::event::Event;

/// What a job gives.
pub struct Computed<T: Data> {
    /// Its results.
    pub results: DataStream<T>,
    /// Events that came too late for it.
    pub late_events: DataStream<Event>,
    /// Sums of its first step that came too late for the second one.
    pub late_sums: Option<DataStream<DeadLetter>>,
}
