//! The output between two checkpoints, encoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_record::record::Record;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::Committable;
use millstream_stage::time::Nanos;

use super::writer_id::{Stamp, WriterId};
use crate::encode::Parts;

/// Where a segment ends: small enough to be copied into a snapshot without a large block of memory.
const SEGMENT_BYTES: usize = 1 << 20;

const FORMAT: u8 = 1;

/// The output of an interval that is over.
#[derive(Debug)]
pub(crate) struct Interval {
    /// Whose it is.
    pub(crate) writer_id: Arc<WriterId>,
    /// The checkpoint at its end.
    pub(crate) stamp: Stamp,
    /// Encoded messages; none spans two segments.
    pub(crate) segments: Vec<Vec<u8>>,
    /// By time of entry into the job: how many messages. Not known after a restore.
    pub(crate) ingest: Vec<(Nanos, u64)>,
}

/// The output of an interval that goes on.
#[derive(Debug, Default)]
pub(crate) struct OpenInterval {
    segments: Vec<Vec<u8>>,
    ingest: Vec<(Nanos, u64)>,
    bytes: usize,
}

impl OpenInterval {
    /// Adds a message that entered the job at `ingest`.
    pub(crate) fn push(&mut self, parts: Parts<'_>, ingest: Nanos) {
        let full = |segment: &Vec<u8>| !segment.is_empty() && segment.len() + parts.size() > SEGMENT_BYTES;
        if self.segments.last().is_none_or(full) {
            self.segments.push(Vec::new());
        }
        let segment = self.segments.last_mut().expect("pushed above where there was none");
        let before = segment.len();
        parts.encode(segment);
        self.bytes += segment.len() - before;
        match self.ingest.last_mut() {
            Some((same, count)) if *same == ingest => *count += 1,
            _ => self.ingest.push((ingest, 1)),
        }
    }

    /// How much memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Ends the interval. `None` where nothing was written in it.
    pub(crate) fn seal(&mut self, writer_id: &Arc<WriterId>, stamp: Stamp) -> Option<Interval> {
        let Self { segments, ingest, .. } = std::mem::take(self);
        (!segments.is_empty()).then(|| Interval { writer_id: Arc::clone(writer_id), stamp, segments, ingest })
    }
}

// What stands before the messages of one segment in a snapshot.
#[derive(Clone, Debug, millstream_record::Record)]
struct Header {
    format: u8,
    writer_id: WriterId,
    stamp: Stamp,
    part: u32,
    parts: u32,
}

impl Interval {
    /// How much memory it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.iter().map(Vec::len).sum()
    }

    /// Its messages, in order.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Parts<'_>> {
        self.segments.iter().flat_map(|segment| {
            let mut rest = segment.as_slice();
            std::iter::from_fn(move || Parts::decode(&mut rest))
        })
    }

    /// Its messages as part of a snapshot.
    pub(crate) fn freeze<'a>(&'a self, operator: &'a str) -> impl Iterator<Item = Committable> + 'a {
        let parts = u32::try_from(self.segments.len()).expect("fewer segments than memory has bytes");
        let committable = move |(part, segment): (u32, &Vec<u8>)| {
            let (writer_id, stamp) = (WriterId::clone(&self.writer_id), self.stamp);
            let mut handle = Vec::with_capacity(segment.len() + 128);
            Header { format: FORMAT, writer_id, stamp, part, parts }.encode(&mut handle);
            handle.extend_from_slice(segment);
            Committable { operator: operator.to_owned(), subtask: self.writer_id.subtask, handle }
        };
        (0..).zip(&self.segments).map(committable)
    }

    /// The intervals of a snapshot; per writer id, older ones first.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) when something else, or only a part, is in it.
    pub(crate) fn thaw(handles: &[Vec<u8>]) -> Result<Vec<Self>> {
        let mut found: BTreeMap<(WriterId, Stamp), Found> = BTreeMap::new();
        for handle in handles {
            let mut rest = handle.as_slice();
            let Header { format, writer_id, stamp, part, parts } = Header::decode(&mut rest)?;
            if format != FORMAT {
                return Err(Error::data(format!("output in format {format}; this version reads {FORMAT}")));
            }
            let found = found.entry((writer_id, stamp)).or_default();
            found.parts = parts;
            found.segments.insert(part, rest.to_vec());
        }
        found.into_iter().map(|((writer_id, stamp), found)| found.whole(writer_id, stamp)).collect()
    }
}

// What there is of one interval.
#[derive(Default)]
struct Found {
    parts: u32,
    segments: BTreeMap<u32, Vec<u8>>,
}

impl Found {
    fn whole(self, writer_id: WriterId, stamp: Stamp) -> Result<Interval> {
        let (parts, there) = (self.parts, self.segments.len());
        if there != parts as usize {
            let (id, checkpoint) = (writer_id.transactional_id(), stamp.checkpoint);
            return Err(Error::data(format!(
                "{there} of {parts} parts of {id}'s output up to checkpoint {checkpoint}"
            )));
        }
        let segments: Vec<_> = self.segments.into_values().collect();
        if segments.iter().all(|segment| is_whole(segment)) {
            return Ok(Interval { writer_id: Arc::new(writer_id), stamp, segments, ingest: Vec::new() });
        }
        Err(Error::data("the stored output ends within a message"))
    }
}

fn is_whole(mut segment: &[u8]) -> bool {
    while Parts::decode(&mut segment).is_some() {}
    segment.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Message;

    fn writer_id() -> Arc<WriterId> {
        Arc::new(WriterId { sink: "m-job-sink".into(), topic: "t".into(), subtask: 3, lineage: 8 })
    }

    fn interval(messages: usize, length: usize) -> Interval {
        let mut open = OpenInterval::default();
        for number in 0..messages {
            let mut message = Message::default();
            message.value().resize(length, b'v');
            if number % 2 == 0 {
                message.key().extend_from_slice(b"key");
                message.to_partition(5);
            }
            if number % 3 == 0 {
                message.at(-1);
            }
            open.push(message.parts(), 7);
        }
        let interval = open.seal(&writer_id(), Stamp { epoch: 2, checkpoint: 9 }).unwrap();
        assert_eq!(open.bytes(), 0);
        interval
    }

    #[test]
    fn messages_come_out_of_a_snapshot_as_they_went_in() {
        let before = interval(1_000, 3_000);
        let mut handles: Vec<_> = before.freeze("sink").map(|commit| commit.handle).collect();
        assert!(handles.len() > 1 && handles.iter().all(|handle| handle.len() < 2 << 20));
        handles.reverse();
        let thawed = Interval::thaw(&handles).unwrap();
        let [after] = thawed.as_slice() else { panic!("one interval") };
        assert_eq!(
            (after.writer_id.clone(), after.stamp, after.bytes()),
            (before.writer_id.clone(), before.stamp, before.bytes())
        );
        assert!(after.messages().eq(before.messages()) && after.messages().count() == 1_000);
    }

    #[test]
    fn a_message_larger_than_a_segment_is_kept_whole() {
        let large = interval(3, SEGMENT_BYTES + 5);
        assert_eq!((large.segments.len(), large.messages().count()), (3, 3));
    }

    #[test]
    fn what_lacks_a_part_or_is_cut_off_is_refused() {
        let handles: Vec<_> = interval(1_000, 3_000).freeze("sink").map(|commit| commit.handle).collect();
        let error = Interval::thaw(&handles[1..]).unwrap_err();
        assert!(error.to_string().contains("m-job-sink-3"), "{error}");
        let cut: Vec<_> = handles.iter().map(|handle| handle[..handle.len() - 1].to_vec()).collect();
        assert_eq!(Interval::thaw(&cut).unwrap_err().kind(), millstream_record::ErrorKind::Data);
    }

    #[test]
    fn an_empty_interval_is_none() {
        assert!(OpenInterval::default().seal(&writer_id(), Stamp { epoch: 1, checkpoint: 1 }).is_none());
    }
}
