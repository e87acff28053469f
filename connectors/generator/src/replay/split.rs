//! A split of the recording, with what is being shuffled.

use millstream_record::Record;
use millstream_stage::time::Time;

/// Where a replay stands in a split of the source below.
#[derive(Clone, Debug, PartialEq, Eq, Record)]
pub(crate) struct ReplaySplit {
    /// The split's own state.
    pub(crate) inner: Vec<u8>,
    /// It was read to its end: only what is pending is left.
    pub(crate) read: bool,
    /// Messages that were given.
    pub(crate) given: i64,
    /// The newest event time that was read.
    pub(crate) newest: Time,
    /// What can be given, in order.
    pub(crate) ready: Vec<Message>,
    /// What must wait until something newer was read.
    pub(crate) pending: Vec<Message>,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
pub(crate) struct Message {
    /// Its place in event time: it is given when the newest record is not older than this.
    pub(crate) place: Time,
    /// Orders messages of one place: their line.
    pub(crate) position: i64,
    /// A broken copy follows the line itself.
    pub(crate) copy: bool,
    /// Event time; the newest one before it for what is no event.
    pub(crate) time: Time,
    /// The message.
    pub(crate) bytes: Vec<u8>,
}
