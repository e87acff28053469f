//! What came out, step by step, and how two runs are compared.

use std::fmt::{self, Write};

use millstream_record::{Record, Result};
use millstream_stage::WatermarkEvent;
use millstream_stage::batch::{Batch, EdgeId, Rows};
use millstream_stage::time::Time;

use crate::driven_writer::wrong;

/// A row whose type is no longer known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    pub(super) ts: Time,
    pub(super) bytes: Vec<u8>,
    pub(super) text: String,
}

/// Reads a batch of an output.
pub(super) type ReadRows = fn(Batch) -> Result<Vec<Row>>;

pub(super) fn read_rows<T: Record + fmt::Debug>(batch: Batch) -> Result<Vec<Row>> {
    let Rows { rec, ts, hash, .. } = batch.into_rows::<T>()?;
    if rec.len() != ts.len() || !(hash.is_empty() || hash.len() == rec.len()) {
        return Err(wrong(format!(
            "a batch has columns of different lengths: {} records, {} times, {} hashes",
            rec.len(),
            ts.len(),
            hash.len()
        )));
    }
    Ok(rec.iter().zip(ts).map(|(record, ts)| row(record, ts)).collect())
}

pub(super) fn row<T: Record + fmt::Debug>(record: &T, ts: Time) -> Row {
    let text = if ts == millstream_stage::time::MIN_TIME { "no time".to_owned() } else { ts.to_string() };
    Row { ts, bytes: millstream_record::record::to_bytes(record), text: format!("{record:?} at {text}") }
}

/// A row or a watermark of the main output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Row(Row),
    Watermark(WatermarkEvent),
}

/// What came out in answer to one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) main: Vec<Entry>,
    pub(super) sides: Vec<(EdgeId, Row)>,
}

impl Segment {
    pub(super) fn append(&mut self, mut later: Self) {
        self.main.append(&mut later.main);
        self.sides.append(&mut later.sides);
    }

    // Rows in no order, and where event time stands afterwards.
    fn gist(&self) -> Gist<'_> {
        let mut gist =
            Gist { rows: Vec::new(), sides: self.sides.iter().collect(), time: None, idleness: None };
        for entry in &self.main {
            match entry {
                Entry::Row(row) => gist.rows.push(row),
                Entry::Watermark(WatermarkEvent::Watermark(time)) => gist.time = Some(*time),
                Entry::Watermark(idleness) => gist.idleness = Some(*idleness),
            }
        }
        gist.rows.sort();
        gist.sides.sort();
        gist
    }

    // Rows of the main output and of the sides come in different queues: only the order within each means
    // something.
    fn in_queues(&self) -> (&[Entry], Vec<(EdgeId, &Row)>) {
        let mut sides: Vec<_> = self.sides.iter().map(|(edge, row)| (*edge, row)).collect();
        sides.sort_by_key(|(edge, _)| *edge);
        (&self.main, sides)
    }

    pub(super) fn equals(&self, other: &Self, ordered: bool) -> bool {
        if ordered { self.in_queues() == other.in_queues() } else { self.gist() == other.gist() }
    }

    /// For messages: a line per row and watermark.
    pub(super) fn show(&self) -> String {
        let mut text = String::new();
        for entry in &self.main {
            let _ = match entry {
                Entry::Row(row) => write!(text, "\n    {}", row.text),
                Entry::Watermark(watermark) => write!(text, "\n    {}", show_watermark(*watermark)),
            };
        }
        for (edge, row) in &self.sides {
            let _ = write!(text, "\n    side output {edge}: {}", row.text);
        }
        if text.is_empty() { "\n    nothing".to_owned() } else { text }
    }
}

#[derive(PartialEq)]
struct Gist<'a> {
    rows: Vec<&'a Row>,
    sides: Vec<&'a (EdgeId, Row)>,
    time: Option<Time>,
    idleness: Option<WatermarkEvent>,
}

pub(super) fn show_watermark(watermark: WatermarkEvent) -> String {
    match watermark {
        WatermarkEvent::Watermark(millstream_stage::time::MAX_TIME) => "the final watermark".to_owned(),
        WatermarkEvent::Watermark(time) => format!("watermark {time}"),
        WatermarkEvent::Idle => "idle".to_owned(),
        WatermarkEvent::Active => "active".to_owned(),
    }
}
