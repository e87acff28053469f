//! Watermarks: the progress of event time, and how the progress of several inputs becomes one.

mod merger;

use crate::time::Time;

pub use merger::WatermarkMerger;

/// Progress of event time on one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatermarkEvent {
    /// A watermark: no record with this time or an earlier one is expected any more.
    Watermark(Time),
    /// Nothing comes for now: do not wait for this input.
    Idle,
    /// It flows again.
    Active,
}
