//! What a source fetched: one buffer with many messages in it. Decoders borrow from it; nothing is copied per
//! message.

use millstream_record::record::{Names, Record};
use millstream_record::{Error, Result};

use crate::split::SplitId;
use crate::time::Time;

/// Readable bytes behind the last message, so that a decoder may load whole vectors.
pub const PADDING: usize = 64;

/// A fetched buffer and the messages in it. One `RawBatch` is one *record* of a source's stream.
#[derive(Clone, Debug)]
pub struct RawBatch {
    /// The split that all messages come from.
    pub split: SplitId,
    data: Vec<u8>,
    entries: Vec<Entry>,
    refused: Vec<RefusedMessage>,
}

/// A message that the source itself could not hand on whole, such as one beyond its size limit: for the dead
/// letter.
#[derive(Clone, Debug, PartialEq, Eq, millstream_record::Record)]
pub struct RefusedMessage {
    /// The message, or its beginning.
    pub bytes: Vec<u8>,
    /// Where it stands in its split.
    pub position: i64,
    /// The source's own time stamp of it.
    pub time: Time,
    /// Why, in a sentence.
    pub reason: String,
}

impl RefusedMessage {
    /// The message, or its beginning, as any other.
    pub fn as_raw(&self) -> RawRecord<'_> {
        RawRecord { bytes: &self.bytes, position: self.position, time: self.time }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    end: u32,
    position: i64,
    time: Time,
}

/// One message within a [`RawBatch`].
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// The message. [`PADDING`] more bytes behind it can be read by way of [`RawBatch::padded`].
    pub bytes: &'a [u8],
    /// Where it stands in its split: an offset, a line number.
    pub position: i64,
    /// The source's own time stamp of it, [`MIN_TIME`](crate::time::MIN_TIME) where it has none.
    pub time: Time,
}

impl RawBatch {
    /// An empty buffer for a split.
    pub fn new(split: SplitId) -> Self {
        Self { split, data: vec![0; PADDING], entries: Vec::new(), refused: Vec::new() }
    }

    /// An empty buffer with room for so many bytes and messages.
    pub fn with_capacity(split: SplitId, bytes: usize, records: usize) -> Self {
        let mut data = Vec::with_capacity(bytes + PADDING);
        data.resize(PADDING, 0);
        Self { split, data, entries: Vec::with_capacity(records), refused: Vec::new() }
    }

    /// Copies one message in.
    ///
    /// # Panics
    /// When the buffer would pass 4 GiB: sources cut their batches far below.
    pub fn push(&mut self, bytes: &[u8], position: i64, time: Time) {
        let start = self.byte_len();
        self.data.truncate(start);
        self.data.extend_from_slice(bytes);
        let end = u32::try_from(self.data.len()).expect("a fetched buffer stays far below 4 GiB");
        self.data.resize(self.data.len() + PADDING, 0);
        self.entries.push(Entry { start: start as u32, end, position, time });
    }

    /// Adds a message that no decoder is to see: it becomes a dead letter when the batch is decoded.
    pub fn refuse(&mut self, bytes: &[u8], position: i64, time: Time, reason: impl Into<String>) {
        self.refused.push(RefusedMessage { bytes: bytes.to_vec(), position, time, reason: reason.into() });
    }

    /// The messages that the source refused; they do not count in [`len`](Self::len).
    pub fn refused(&self) -> &[RefusedMessage] {
        &self.refused
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The size of all messages.
    pub fn byte_len(&self) -> usize {
        self.data.len() - PADDING
    }

    /// The bytes of all messages, in order.
    ///
    /// ```
    /// # use millstream_stage::{raw::RawBatch, time::MIN_TIME};
    /// let mut batch = RawBatch::new("words.txt".into());
    /// batch.push(b"to be", 1, MIN_TIME);
    /// batch.push(b"or not", 2, MIN_TIME);
    /// assert_eq!(batch.messages().map(<[u8]>::len).sum::<usize>(), 11);
    /// ```
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.iter().map(|message| message.bytes)
    }

    /// All messages in order, with their positions and times.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RawRecord<'_>> {
        self.entries.iter().map(|entry| self.message(entry))
    }

    /// One of the messages, counting from 0.
    pub fn get(&self, index: usize) -> Option<RawRecord<'_>> {
        self.entries.get(index).map(|entry| self.message(entry))
    }

    fn message(&self, entry: &Entry) -> RawRecord<'_> {
        RawRecord {
            bytes: &self.data[entry.start as usize..entry.end as usize],
            position: entry.position,
            time: entry.time,
        }
    }

    /// The bytes from the start of message `index` to the end of the buffer, padding included, and the
    /// message's length.
    pub fn padded(&self, index: usize) -> (&[u8], usize) {
        let entry = self.entries[index];
        (&self.data[entry.start as usize..], (entry.end - entry.start) as usize)
    }
}

impl Record for RawBatch {
    fn schema(names: &mut Names) -> String {
        let messages = Vec::<(i64, i64, String)>::schema(names).replace("\"string\"", "\"bytes\"");
        let refused = Vec::<RefusedMessage>::schema(names);
        format!(
            "{{\"type\":\"record\",\"name\":\"RawBatch\",\"fields\":[{{\"name\":\"split\",\"type\":\"string\"}},\
             {{\"name\":\"messages\",\"type\":{messages}}},{{\"name\":\"refused\",\"type\":{refused}}}]}}"
        )
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.split.to_string().encode(out);
        if !self.is_empty() {
            (self.len() as i64).encode(out);
        }
        for message in self.iter() {
            message.position.encode(out);
            message.time.encode(out);
            (message.bytes.len() as i64).encode(out);
            out.extend_from_slice(message.bytes);
        }
        0_i64.encode(out);
        self.refused.encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let mut batch = Self::new(String::decode(bytes)?.into());
        loop {
            let count = i64::decode(bytes)?;
            if count == 0 {
                batch.refused = Vec::decode(bytes)?;
                return Ok(batch);
            }
            for _ in 0..count {
                let (position, time, length) = <(i64, i64, u64)>::decode(bytes)?;
                let message =
                    bytes.get(..length as usize).ok_or_else(|| Error::data("a message is cut off"))?;
                *bytes = &bytes[length as usize..];
                batch.push(message, position, time);
            }
        }
    }

    fn weight(&self) -> usize {
        self.len()
    }

    fn heap_size(&self) -> usize {
        self.data.capacity() + self.entries.capacity() * size_of::<Entry>() + self.refused.heap_size()
    }
}

#[cfg(test)]
mod tests {
    use millstream_record::record::{from_bytes, to_bytes};

    use super::*;

    #[test]
    fn messages_keep_bytes_position_and_time_through_the_codec() {
        let mut batch = RawBatch::new("clicks-0".into());
        batch.push(b"{}", 7, 1);
        batch.push(b"", 8, crate::time::MIN_TIME);
        batch.push(&[0xff, 0], 9, -3);
        batch.refuse(b"xxx", 10, 4, "too long");
        let copy: RawBatch = from_bytes(&to_bytes(&batch)).unwrap();
        let seen: Vec<_> =
            copy.iter().map(|record| (record.bytes.to_vec(), record.position, record.time)).collect();
        assert_eq!(seen, [(b"{}".to_vec(), 7, 1), (vec![], 8, i64::MIN), (vec![0xff, 0], 9, -3)]);
        assert_eq!((copy.refused(), copy.len()), (batch.refused(), 3));
        let (padded, length) = copy.padded(2);
        assert_eq!((padded.len(), length), (2 + PADDING, 2));
    }
}
