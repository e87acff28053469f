//! Where records came from: the messages of the source that they were decoded from.
//!
//! A record that turns out to be late long after it was decoded must go to the dead letter with its original
//! bytes and position. So a batch can carry one small number per record and a shared reference to each buffer
//! of the source that its records come from; nothing is copied, and nobody looks at either before a record is
//! late. The price is that a buffer stays in memory while records of it travel: batches count their share of
//! it (`DataStream::decode_with_origins` turns it on).

use std::sync::Arc;

use millstream_record::record::Record;
use millstream_record::{Error, Result};

use crate::raw::{RawBatch, RawRecord};
use crate::split::SplitId;

/// A buffer that a source fetched.
#[derive(Debug)]
pub struct Fetched {
    /// The source's name.
    pub source: Arc<str>,
    /// Its messages.
    pub batch: RawBatch,
}

/// The message that a record was decoded from.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The split.
    pub split: &'a SplitId,
    /// The message.
    pub message: RawRecord<'a>,
}

/// A column of a batch: the origin of each of its records, or nothing where origins are not kept.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    // Of each record: which message of its buffer.
    messages: Vec<u32>,
    // The buffers, in the order of the records.
    runs: Vec<Run>,
}

#[derive(Clone, Debug)]
struct Run {
    // Behind its last record.
    end: u32,
    from: Arc<Fetched>,
}

impl Origins {
    /// For how many records there are origins: all of the batch or none.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.runs.clear();
    }

    /// Appends records that were decoded from these messages of a buffer.
    pub fn extend(&mut self, from: &Arc<Fetched>, messages: impl IntoIterator<Item = u32>) {
        self.messages.extend(messages);
        self.count_in(from);
    }

    /// Appends a record that was decoded from this message of a buffer.
    #[inline]
    pub fn push(&mut self, from: &Arc<Fetched>, message: u32) {
        self.messages.push(message);
        self.count_in(from);
    }

    #[inline]
    fn count_in(&mut self, from: &Arc<Fetched>) {
        let end = self.messages.len() as u32;
        match self.runs.last_mut() {
            Some(run) if Arc::ptr_eq(&run.from, from) => run.end = end,
            _ => self.runs.push(Run { end, from: Arc::clone(from) }),
        }
    }

    /// The buffer and the message of each record, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Fetched>, u32)> {
        let mut from = 0;
        self.runs.iter().flat_map(move |run| {
            let records = std::mem::replace(&mut from, run.end as usize)..run.end as usize;
            self.messages[records].iter().map(|message| (&run.from, *message))
        })
    }

    /// The buffer and the message of a record, where they are kept.
    pub fn at(&self, record: usize) -> Option<(&Arc<Fetched>, u32)> {
        let message = *self.messages.get(record)?;
        let run = self.runs.partition_point(|run| run.end as usize <= record);
        Some((&self.runs.get(run)?.from, message))
    }

    /// The origin of a record, where it is kept.
    pub fn of(&self, record: usize) -> Option<Origin<'_>> {
        let (from, message) = self.at(record)?;
        let Fetched { source, batch } = from.as_ref();
        let message = batch.get(message as usize)?;
        Some(Origin { source, split: &batch.split, message })
    }

    /// Moves everything to the end of `other`.
    pub fn append_to(&mut self, other: &mut Self) {
        let before = other.messages.len() as u32;
        other.messages.append(&mut self.messages);
        other.runs.extend(self.runs.drain(..).map(|run| Run { end: run.end + before, ..run }));
    }

    /// Keeps the records for which `keep` says so; it is asked for each, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let (mut kept, mut record) = (0, 0);
        for run in &mut self.runs {
            while record < run.end as usize {
                if keep(record) {
                    self.messages[kept] = self.messages[record];
                    kept += 1;
                }
                record += 1;
            }
            run.end = kept as u32;
        }
        self.messages.truncate(kept);
        let mut from = 0;
        self.runs.retain(|run| std::mem::replace(&mut from, run.end) < run.end);
    }

    /// Takes the origins of the first `count` records.
    #[must_use]
    pub fn take_front(&mut self, count: usize) -> Self {
        let mut front = Self::default();
        self.iter().take(count).for_each(|(from, message)| front.push(from, message));
        self.retain(|record| record >= count);
        front
    }

    /// The memory of the buffers, as far as it is due to these records.
    pub fn heap_size(&self) -> usize {
        let mut from = 0;
        let share = |run: &Run| {
            let records = (run.end - std::mem::replace(&mut from, run.end)) as usize;
            run.from.batch.heap_size() * records / run.from.batch.len().max(1)
        };
        self.messages.len() * size_of::<u32>() + self.runs.iter().map(share).sum::<usize>()
    }

    /// Appends them to bytes that leave the process.
    pub fn encode(&self, out: &mut Vec<u8>) {
        (self.runs.len() as u64).encode(out);
        let mut from = 0;
        for run in &self.runs {
            let Fetched { source, batch } = run.from.as_ref();
            source.to_string().encode(out);
            let mut part = RawBatch::new(Arc::clone(&batch.split));
            let records = std::mem::replace(&mut from, run.end as usize)..run.end as usize;
            let messages = self.messages[records].iter().filter_map(|message| batch.get(*message as usize));
            messages.for_each(|message| part.push(message.bytes, message.position, message.time));
            part.encode(out);
        }
    }

    /// The origins that [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for other bytes.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let mut origins = Self::default();
        for _ in 0..u64::decode(bytes)? {
            let (source, batch) = (String::decode(bytes)?.into(), RawBatch::decode(bytes)?);
            let count = u32::try_from(batch.len())
                .map_err(|_| Error::data("a batch holds more messages than 32 bits count"))?;
            origins.extend(&Arc::new(Fetched { source, batch }), 0..count);
        }
        Ok(origins)
    }
}

impl Origin<'_> {
    /// What tells the message from all others of the job.
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.source, self.split, self.message.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(split: &str, messages: u8) -> Arc<Fetched> {
        let mut batch = RawBatch::new(split.into());
        (0..messages).for_each(|n| batch.push(&[n], i64::from(n) + 100, 0));
        Arc::new(Fetched { source: "clicks".into(), batch })
    }

    fn ids(origins: &Origins) -> Vec<String> {
        (0..origins.len()).map(|record| origins.of(record).unwrap().id().replace("clicks/", "")).collect()
    }

    fn some() -> Origins {
        let mut origins = Origins::default();
        origins.extend(&fetched("a", 5), [0, 1, 4]);
        origins.extend(&fetched("b", 5), [2, 3]);
        origins
    }

    const SOME: [&str; 5] = ["a/100", "a/101", "a/104", "b/102", "b/103"];

    #[test]
    fn each_record_has_its_message() {
        let origins = some();
        assert_eq!(ids(&origins), SOME);
        assert_eq!(origins.of(2).unwrap().message.bytes, [4]);
        assert!(origins.of(5).is_none() && Origins::default().of(0).is_none());
    }

    #[test]
    fn they_go_wherever_their_records_go() {
        let mut parts = [Origins::default(), Origins::default()];
        for (record, (from, message)) in some().iter().enumerate() {
            parts[record % 2].push(from, message);
        }
        assert_eq!(parts.each_ref().map(ids), [vec!["a/100", "a/104", "b/103"], vec!["a/101", "b/102"]]);
        let [mut even, mut odd] = parts;
        even.append_to(&mut odd);
        assert_eq!(ids(&odd), ["a/101", "b/102", "a/100", "a/104", "b/103"]);
        assert!(even.is_empty());
        let mut kept = some();
        kept.retain(|record| record >= 3);
        assert_eq!((ids(&kept), kept.runs.len()), (vec!["b/102".to_owned(), "b/103".to_owned()], 1));
        let mut rest = some();
        let front = rest.take_front(4);
        assert_eq!(
            (ids(&front), ids(&rest)),
            (SOME[..4].iter().map(ToString::to_string).collect(), vec!["b/103".to_owned()])
        );
    }

    #[test]
    fn they_travel_as_bytes() {
        let mut bytes = Vec::new();
        some().encode(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(ids(&Origins::decode(&mut rest).unwrap()), SOME);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_batch_counts_its_share_of_the_buffers() {
        let from = fetched("a", 4);
        let mut origins = Origins::default();
        origins.extend(&from, [0, 1]);
        assert_eq!(origins.heap_size(), 8 + from.batch.heap_size() / 2);
    }
}
