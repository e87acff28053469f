//! What a rig saw come out, typed again.

use std::fmt::Debug;

use millstream_record::record::from_bytes;
use millstream_record::{Record, Result};
use millstream_stage::WatermarkEvent;
use millstream_stage::batch::EdgeId;
use millstream_stage::operator::SideTag;
use millstream_stage::time::Time;

use super::transcript::{self, Entry, Row, Segment};

/// One thing that the operator sent on.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen<T> {
    /// A record with its event time.
    Row(T, Time),
    /// Progress of event time.
    Watermark(WatermarkEvent),
}

/// A record with its event time.
pub fn row<T>(record: T, ts: Time) -> Seen<T> {
    Seen::Row(record, ts)
}

/// A watermark or a change of idleness that was passed on.
pub fn out_watermark<T>(watermark: impl Into<SeenWatermark>) -> Seen<T> {
    Seen::Watermark(watermark.into().0)
}

/// A [`WatermarkEvent`], or the time of a watermark.
#[derive(Clone, Copy, Debug)]
pub struct SeenWatermark(WatermarkEvent);

impl From<WatermarkEvent> for SeenWatermark {
    fn from(watermark: WatermarkEvent) -> Self {
        Self(watermark)
    }
}

impl From<Time> for SeenWatermark {
    fn from(time: Time) -> Self {
        Self(WatermarkEvent::Watermark(time))
    }
}

/// Everything that came out, record by record at parallelism 1; every other mode gave the same.
#[derive(Debug)]
pub struct Outcome<Out> {
    /// Records and watermarks of the main output, in order.
    pub output: Vec<Seen<Out>>,
    sides: Vec<(EdgeId, Row)>,
    names: Vec<(String, EdgeId)>,
}

impl<Out: Record + Debug> Outcome<Out> {
    pub(super) fn new(segments: Vec<Segment>, names: Vec<(String, EdgeId)>) -> Result<Self> {
        let mut output = Vec::new();
        let mut sides = Vec::new();
        for segment in segments {
            for entry in segment.main {
                output.push(match entry {
                    Entry::Row(row) => Seen::Row(from_bytes(&row.bytes)?, row.ts),
                    Entry::Watermark(watermark) => Seen::Watermark(watermark),
                });
            }
            sides.extend(segment.sides);
        }
        Ok(Self { output, sides, names })
    }

    /// The records with their event times.
    pub fn rows(&self) -> Vec<(Out, Time)> {
        let row = |seen: &Seen<Out>| {
            if let Seen::Row(record, ts) = seen { Some((record.clone(), *ts)) } else { None }
        };
        self.output.iter().filter_map(row).collect()
    }

    /// The records alone.
    pub fn records(&self) -> Vec<Out> {
        self.rows().into_iter().map(|(record, _)| record).collect()
    }

    /// The records of a side output.
    ///
    /// # Panics
    /// When the rig was not told of this side output, or it has another type.
    pub fn side<S: Record>(&self, tag: &SideTag<S>) -> Vec<S> {
        self.side_named(tag.name())
    }

    /// The records of the output with this name, see [`Rig::side`](super::Rig::side) and
    /// [`Rig::edge`](super::Rig::edge).
    ///
    /// # Panics
    /// When the rig was not told of this output, or it has another type.
    pub fn side_named<S: Record>(&self, name: &str) -> Vec<S> {
        let known = self.names.iter().find(|(known, _)| known == name);
        let (_, edge) = known
            .expect("the rig is told of an output, with Rig::side or Rig::edge, before it is asked for it");
        let rows = self.sides.iter().filter(|(side, _)| side == edge);
        rows.map(|(_, row)| from_bytes(&row.bytes).expect("an output is read as the type that is written"))
            .collect()
    }
}

/// What was expected, in the form in which outputs are compared: rows between two watermarks in any order
/// where order means nothing.
pub(super) fn comparable<T: Record + Debug>(seen: &[Seen<T>], ordered: bool) -> Vec<Entry> {
    let entries = seen.iter().map(|seen| match seen {
        Seen::Row(record, ts) => Entry::Row(transcript::row(record, *ts)),
        Seen::Watermark(watermark) => Entry::Watermark(*watermark),
    });
    let mut entries: Vec<_> = entries.collect();
    if !ordered {
        for part in entries.split_mut(|entry| matches!(entry, Entry::Watermark(_))) {
            part.sort_by(|left, right| match (left, right) {
                (Entry::Row(left), Entry::Row(right)) => left.cmp(right),
                _ => std::cmp::Ordering::Equal,
            });
        }
    }
    entries
}
