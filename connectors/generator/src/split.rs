//! A part of the traffic as a split of the source.

use millstream_record::Record;
use millstream_stage::time::Time;

/// Where a reader stands in a part of the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
pub(crate) struct TrafficSplit {
    /// Which part.
    pub(crate) number: u16,
    /// The next event.
    pub(crate) position: u64,
    /// Event time of the first event.
    pub(crate) start: Time,
}
