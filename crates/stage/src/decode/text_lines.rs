//! Lines of text.

use super::{BYTE_ORDER_MARK, Decoder, Refused};
use crate::batch::Rows;
use crate::raw::RawBatch;
use crate::time::Time;

/// Makes a `String` of each message: a line of a file, the value of a Kafka message.
///
/// The event time of a line is the source's own time stamp of the message, where it has one. A message that
/// is not valid UTF-8 goes to the dead letters. A byte order mark at the beginning of a line is dropped.
///
/// ```
/// use millstream_stage::decode::{Decoder, Refused, TextLines};
/// use millstream_stage::raw::RawBatch;
/// use millstream_stage::time::MIN_TIME;
/// use millstream_stage::Rows;
///
/// let mut batch = RawBatch::new("words.txt".into());
/// batch.push("to be or not to be".as_bytes(), 1, MIN_TIME);
/// let (mut lines, mut letters) = (Rows::default(), Rows::default());
/// TextLines.decode(&batch, 0, &mut lines, &mut Refused::new("words", &batch, 0, &mut letters));
/// assert_eq!(lines.rec, ["to be or not to be"]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TextLines;

impl Decoder<String> for TextLines {
    fn decode(&mut self, batch: &RawBatch, _: Time, rows: &mut Rows<String>, refused: &mut Refused<'_>) {
        for message in batch.iter() {
            let bytes = message.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(message.bytes);
            match std::str::from_utf8(bytes) {
                Ok(text) => rows.push(text.to_owned(), message.time),
                Err(error) => refused.push(message, format_args!("the line is not valid UTF-8: {error}")),
            }
        }
    }

    fn fresh(&self) -> Box<dyn Decoder<String>> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MIN_TIME;

    #[test]
    fn each_message_is_a_line_or_a_dead_letter_with_its_bytes_and_position() {
        let mut batch = RawBatch::new("clicks-3".into());
        batch.push("\u{feff}größer".as_bytes(), 7, 1);
        batch.push(b"", 8, MIN_TIME);
        batch.push(&[b'a', 0xff], 9, 2);
        batch.refuse(b"long", 10, 3, "too long");
        let (mut rows, mut letters) = (Rows::default(), Rows::default());
        let mut decoder: Box<dyn Decoder<String>> = TextLines.fresh();
        decoder.decode(&batch, 99, &mut rows, &mut Refused::new("clicks", &batch, 99, &mut letters));
        assert_eq!(rows.rec, ["größer", ""]);
        assert_eq!(rows.ts, [1, MIN_TIME]);
        assert_eq!((letters.rec[0].position, letters.rec[0].reason.as_str()), (10, "too long"));
        let letter = &letters.rec[1];
        assert_eq!(
            (letter.id.as_str(), letter.raw.as_slice()),
            ("clicks/clicks-3/9/decode", &[b'a', 0xff][..])
        );
        assert_eq!((letter.position, letter.time, letter.stage.as_str()), (9, 99, "decode"));
        assert!(letter.reason.starts_with("the line is not valid UTF-8: "), "{}", letter.reason);
    }
}
