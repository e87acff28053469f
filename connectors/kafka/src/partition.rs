//! A partition while it is being read.

use std::sync::Arc;

use millstream_core::Result;
use millstream_core::batch::SplitId;
use millstream_core::raw::RawBatch;
use millstream_core::source::Split;

use crate::fetch::{Message, TopicHandle};
use crate::split::KafkaSplit;

/// Where a batch is cut, so that a few huge messages do not make one that fills every queue behind the source.
const BATCH_BYTES: usize = 4 << 20;

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

    /// Takes this partition's messages from the front of `messages` as one batch: up to an error, another partition's message, the
    /// split's end or the size of a batch. With the offset behind them.
    pub(crate) fn take_run<'a>(&self, messages: &mut &[Message<'a>]) -> (RawBatch, i64) {
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
        for message in run {
            batch.push(message.payload(), message.offset(), message.time());
        }
        (batch, run.last().map_or(self.split.next, |message| message.offset() + 1))
    }
}
