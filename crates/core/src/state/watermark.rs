//! What a key group has seen of event time.

use crate::Record;
use crate::time::Time;

/// The entry that each key group has in a snapshot: after a restore a purged window must not come back to life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Record)]
pub(crate) struct Watermark {
    pub(crate) watermark: Time,
}
