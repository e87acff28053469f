//! The metrics, one file each.

pub mod hot_items;
pub mod pv_uv;
pub mod user_clicks;
