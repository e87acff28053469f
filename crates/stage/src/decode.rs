//! How a format is made: from a fetched buffer to typed records, with a dead letter for every message that is
//! none.
//!
//! A format crate (JSON, CSV) implements [`Decoder`]; `DataStream::decode` runs one of them per subtask and
//! sends the dead letters to a side output. Nothing is copied on the way but what the record owns.

mod shape;
mod text_lines;

use std::fmt::Display;

pub use self::shape::{BYTE_ORDER_MARK, Shape};
pub use self::text_lines::TextLines;

use millstream_record::record::Data;

use crate::batch::Rows;
use crate::dead_letter::DeadLetter;
use crate::raw::{RawBatch, RawRecord};
use crate::split::SplitId;
use crate::time::{MIN_TIME, Time};

/// Turns messages into records. Each message becomes either rows (one, as a rule) or exactly one dead letter:
/// none vanishes.
pub trait Decoder<T: Data>: Send + Sync + 'static {
    /// Appends the records of all messages in order, with the event time of each or [`MIN_TIME`] where the
    /// format names none. `now` is processing time, the same for the whole batch: times are checked against
    /// it.
    fn decode(&mut self, batch: &RawBatch, now: Time, rows: &mut Rows<T>, refused: &mut Refused<'_>);

    /// Another decoder with the same options, for another subtask.
    fn fresh(&self) -> Box<dyn Decoder<T>>;
}

impl<T: Data> Decoder<T> for Box<dyn Decoder<T>> {
    fn decode(&mut self, batch: &RawBatch, now: Time, rows: &mut Rows<T>, refused: &mut Refused<'_>) {
        self.as_mut().decode(batch, now, rows, refused);
    }

    fn fresh(&self) -> Box<dyn Decoder<T>> {
        self.as_ref().fresh()
    }
}

/// Takes the messages of one batch that cannot be decoded and makes dead letters of them.
#[derive(Debug)]
pub struct Refused<'a> {
    source: &'a str,
    split: SplitId,
    now: Time,
    letters: &'a mut Rows<DeadLetter>,
}

impl<'a> Refused<'a> {
    /// Collects into `letters`; `source` names the source of the batch in each of them. What the source
    /// itself refused is there at once.
    pub fn new(source: &'a str, batch: &RawBatch, now: Time, letters: &'a mut Rows<DeadLetter>) -> Self {
        let mut refused = Self { source, split: batch.split.clone(), now, letters };
        for message in batch.refused() {
            refused.push(message.as_raw(), &message.reason);
        }
        refused
    }

    /// One message and why it was refused, in a sentence.
    pub fn push(&mut self, message: RawRecord<'_>, reason: impl Display) {
        let letter = DeadLetter::at_decode(self.source, &self.split, message, self.now, reason);
        self.letters.push(letter, MIN_TIME);
    }
}
