//! A partition while it is being read.

use std::sync::Arc;

use millstream_record::Result;
use millstream_stage::raw::RawBatch;
use millstream_stage::source::Split;
use millstream_stage::split::SplitId;
use millstream_stage::time::{MIN_TIME, Time};

use crate::fetch::{Message, TopicHandle};
use crate::lasting::Lasting;
use crate::split::KafkaSplit;

/// Where a batch is cut, so that a few huge messages do not make one that fills every queue behind the
/// source.
const BATCH_BYTES: usize = 4 << 20;

/// What makes it uncertain whether a partition is still that of the topic whose offsets its position counts.
/// Nothing is handed on, or decided, until a broker has told the topic's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Nobody has asked since it was assigned, or since its topic was last silent.
    Unasked,
    /// The position is not in the topic.
    OutOfRange,
    /// The topic, or the partition, is not there.
    Gone,
}

/// Messages of one partition, in order.
pub(crate) struct Run {
    /// The messages.
    pub(crate) batch: RawBatch,
    /// The offset behind them.
    pub(crate) next: i64,
    /// Tombstones among them.
    pub(crate) tombstones: u64,
}

/// One partition of a reader.
pub(crate) struct Partition {
    /// Its name.
    pub(crate) id: SplitId,
    /// At the position behind what was handed on.
    pub(crate) split: KafkaSplit,
    /// Where it is fetched, if it is.
    pub(crate) topic: Option<TopicHandle>,
    /// Others are to catch up.
    pub(crate) paused: bool,
    /// Everything up to its end was fetched, though perhaps not handed on yet.
    pub(crate) ended: bool,
    /// Its end was handed on.
    pub(crate) finished: bool,
    /// The client has said that there is nothing more of it for now.
    pub(crate) at_end: bool,
    /// What is in doubt, and since when.
    pub(crate) doubt: Option<(Doubt, Time)>,
    /// The position from which a batch could not be read.
    pub(crate) unreadable: Option<i64>,
    /// When to start fetching it again, if that is to be done.
    pub(crate) again_at: Option<Time>,
    /// Its broker has answered.
    pub(crate) heard: bool,
    /// A transaction is open at its end.
    pub(crate) open: Lasting,
}

impl Partition {
    pub(crate) fn new(split: &Split) -> Result<Self> {
        let decoded = KafkaSplit::decode(split)?;
        let id = split.id.clone();
        Ok(Self {
            id,
            split: decoded,
            topic: None,
            paused: false,
            ended: false,
            finished: false,
            at_end: false,
            doubt: Some((Doubt::Unasked, MIN_TIME)),
            unreadable: None,
            again_at: None,
            heard: false,
            open: Lasting::default(),
        })
    }

    /// Whether a message of the client belongs here and is wanted.
    pub(crate) fn wants(&self, message: Message<'_>) -> bool {
        !self.ended && self.topic.is_some_and(|topic| message.is_of(topic, self.split.partition))
    }

    /// Whether an offset is at or behind the end.
    pub(crate) fn ends_before(&self, offset: i64) -> bool {
        self.split.stop.is_some_and(|stop| offset >= stop)
    }

    /// Is to be fetched again from its position, a moment later.
    pub(crate) fn try_again(&mut self, at: Time) {
        (self.again_at, self.doubt, self.at_end) = (Some(at), Some((Doubt::Unasked, MIN_TIME)), false);
    }

    /// Goes on from another offset: what was said of the old place no longer holds.
    pub(crate) fn jump(&mut self, next: i64) {
        self.split.next = next;
        (self.doubt, self.at_end, self.ended) = (None, false, false);
    }

    /// Takes this partition's messages from the front of `messages` as one batch: up to an error, another
    /// partition's message, the split's end or the size of a batch. Tombstones are no messages for anybody:
    /// they are counted and passed over.
    pub(crate) fn take_run<'a>(&self, messages: &mut &[Message<'a>]) -> Run {
        let mut bytes = 0;
        let belongs = |message: &&Message<'a>| {
            let length = message.payload().len();
            let fits = bytes == 0 || bytes + length <= BATCH_BYTES;
            bytes += length;
            fits && message.error().is_none() && self.wants(**message) && !self.ends_before(message.offset())
        };
        let count = messages.iter().take_while(belongs).count();
        let (run, rest) = messages.split_at(count);
        *messages = rest;
        let size = run.iter().map(|message| message.payload().len()).sum();
        let mut batch = RawBatch::with_capacity(Arc::clone(&self.id), size, count);
        for message in run.iter().filter(|message| !message.is_tombstone()) {
            batch.push(message.payload(), message.offset(), message.time());
        }
        let tombstones = (count - batch.len()) as u64;
        let next = run.last().map_or(self.split.next, |message| message.offset() + 1);
        Run { batch, next, tombstones }
    }
}
