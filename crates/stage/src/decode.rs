//! How a format is made: from a fetched buffer to typed records, with a dead letter for every message that is none.
//!
//! A format crate (JSON, CSV) implements [`Decoder`]; `DataStream::decode` runs one of them per subtask and sends the dead
//! letters to a side output. Nothing is copied on the way but what the record owns.

mod shape;

use std::fmt::Display;

pub use self::shape::{BYTE_ORDER_MARK, Shape};

use millstream_record::record::Data;

use crate::batch::Rows;
use crate::dead_letter::DeadLetter;
use crate::raw::{RawBatch, RawRecord};
use crate::split::SplitId;
use crate::time::{MIN_TIME, Time};

/// Turns messages into records. Each message becomes either rows (one, as a rule) or exactly one dead letter: none vanishes.
pub trait Decoder<T: Data>: Send + Sync + 'static {
    /// Appends the records of all messages in order, with the event time of each or [`MIN_TIME`] where the format names none.
    /// `now` is processing time, the same for the whole batch: times are checked against it.
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
    /// Collects into `letters`; `source` names the source of the batch in each of them. What the source itself refused is there at
    /// once.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Text;

    impl Decoder<String> for Text {
        fn decode(&mut self, batch: &RawBatch, _: Time, rows: &mut Rows<String>, refused: &mut Refused<'_>) {
            for message in batch.iter() {
                match std::str::from_utf8(message.bytes) {
                    Ok(text) => rows.push(text.to_owned(), message.time),
                    Err(error) => refused.push(message, error),
                }
            }
        }

        fn fresh(&self) -> Box<dyn Decoder<String>> {
            Box::new(self.clone())
        }
    }

    #[test]
    fn each_message_is_a_row_or_a_dead_letter_with_its_bytes_and_position() {
        let mut batch = RawBatch::new("clicks-3".into());
        batch.push(b"good", 7, 1);
        batch.push(&[0xff], 8, 2);
        batch.refuse(b"long", 9, 3, "too long");
        let (mut rows, mut letters) = (Rows::default(), Rows::default());
        let mut decoder: Box<dyn Decoder<String>> = Text.fresh();
        decoder.decode(&batch, 99, &mut rows, &mut Refused::new("clicks", &batch, 99, &mut letters));
        assert_eq!((rows.rec, rows.ts), (vec!["good".to_owned()], vec![1]));
        assert_eq!((letters.rec[0].position, letters.rec[0].reason.as_str()), (9, "too long"));
        let letter = &letters.rec[1];
        assert_eq!((letter.id.as_str(), letter.raw.as_slice()), ("clicks/clicks-3/8/decode", &[0xff][..]));
        assert_eq!((letter.position, letter.time, letter.stage.as_str()), (8, 99, "decode"));
    }
}
