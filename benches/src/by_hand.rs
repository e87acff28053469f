//! The yardstick: the same work as one loop that does nothing else, as an expert would write it with serde
//! and hashbrown. It borrows from the buffers, touches the allocator only for a key that is new to its
//! window, and looks up each record once.

use compact_str::CompactString;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use millstream::RawBatch;
use serde::Deserialize;

use crate::jobs::Row;

const MINUTE: i64 = 60_000;
const OUT_OF_ORDER: i64 = 5_000;

/// What both shapes of a line have in common.
pub(crate) trait Line<'a>: Deserialize<'a> {
    /// Key, behaviour and time.
    fn parts(self) -> (&'a str, &'a str, i64);
}

/// A line that is counted by user.
#[derive(Deserialize)]
pub(crate) struct UserLine<'a> {
    #[serde(rename = "userId")]
    key: &'a str,
    behavior: &'a str,
    timestamp: i64,
}

/// A line that is counted by category.
#[derive(Deserialize)]
pub(crate) struct CategoryLine<'a> {
    #[serde(rename = "categoryId")]
    key: &'a str,
    behavior: &'a str,
    timestamp: i64,
}

impl<'a> Line<'a> for UserLine<'a> {
    fn parts(self) -> (&'a str, &'a str, i64) {
        (self.key, self.behavior, self.timestamp)
    }
}

impl<'a> Line<'a> for CategoryLine<'a> {
    fn parts(self) -> (&'a str, &'a str, i64) {
        (self.key, self.behavior, self.timestamp)
    }
}

/// Rows, the sum of their counts, and lines that were of no use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    pub(crate) sum: u64,
    pub(crate) refused: u64,
}

struct Window {
    start: i64,
    counts: HashMap<CompactString, u64, RandomState>,
}

/// Open windows, the earliest first.
#[derive(Default)]
struct Windows {
    open: Vec<Window>,
    last: usize,
    watermark: i64,
    rows: Vec<Row>,
    totals: Totals,
}

/// Counts per key and minute.
pub(crate) fn count<'a, L: Line<'a>>(batches: impl Iterator<Item = &'a RawBatch>) -> Totals {
    let mut windows = Windows { watermark: i64::MIN, ..Windows::default() };
    for batch in batches {
        for message in batch.iter() {
            // Faster than `from_slice`, which validates string by string.
            let text = simdutf8::basic::from_utf8(message.bytes).ok();
            match text.and_then(|text| serde_json::from_str::<L>(text).ok()) {
                Some(line) => windows.add(line),
                None => windows.totals.refused += 1,
            }
        }
    }
    windows.fire(i64::MAX);
    windows.totals
}

impl Windows {
    #[inline]
    fn add<'a>(&mut self, line: impl Line<'a>) {
        let (key, behavior, time) = line.parts();
        if key.is_empty() || behavior != "pv" {
            return;
        }
        let start = time - time.rem_euclid(MINUTE);
        if start + MINUTE - 1 <= self.watermark {
            self.totals.refused += 1;
            return;
        }
        let counts = &mut self.window(start).counts;
        match counts.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                counts.insert(key.into(), 1);
            }
        }
        let watermark = time - OUT_OF_ORDER - 1;
        if watermark > self.watermark {
            self.watermark = watermark;
            if self.open[0].start + MINUTE - 1 <= watermark {
                self.fire(watermark);
            }
        }
    }

    #[inline]
    fn window(&mut self, start: i64) -> &mut Window {
        if self.open.get(self.last).is_none_or(|window| window.start != start) {
            self.last = self.open.partition_point(|window| window.start < start);
            if self.open.get(self.last).is_none_or(|window| window.start != start) {
                self.open.insert(self.last, Window { start, counts: HashMap::default() });
            }
        }
        &mut self.open[self.last]
    }

    fn fire(&mut self, watermark: i64) {
        let due = self.open.iter().take_while(|window| window.start + MINUTE - 1 <= watermark).count();
        for window in self.open.drain(..due) {
            let end = window.start.saturating_add(MINUTE);
            self.rows.extend(window.counts.into_iter().map(|(key, count)| (key, window.start, end, count)));
            self.totals.rows += self.rows.len() as u64;
            self.totals.sum += self.rows.iter().map(|row| row.3).sum::<u64>();
            self.rows.clear();
        }
        self.last = 0;
    }
}
