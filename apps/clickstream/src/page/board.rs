//! What the page shows of the results: the newest of each kind, no more.

use std::collections::{BTreeMap, VecDeque};

use millstream::DeadLetter;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use crate::jobs::hot_items::Ranking;
use crate::results::PvUv;

/// Minutes of the chart.
const MINUTES: usize = 180;
/// Rankings: those of the last complete hour, and the incomplete ones that the end of the input brings.
const RANKINGS: usize = 24;
/// Dead letters to look at.
const SAMPLES: usize = 5;
/// Bytes of a dead letter to look at.
const SHOWN: usize = 160;

/// The newest results, written by the pipeline, read by the page.
#[derive(Debug, Default)]
pub struct Board(Mutex<Shown>);

/// What is on the board.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// By start of the minute: views and visitors of the whole shop.
    pub minutes: BTreeMap<i64, Minute>,
    /// The newest rankings, by the end of their window.
    pub rankings: BTreeMap<i64, Hot>,
    /// The newest records that could not be used.
    pub samples: VecDeque<Sample>,
}

/// Views and visitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Minute {
    /// Views.
    pub pv: u64,
    /// Visitors.
    pub uv: u64,
}

/// A ranking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hot {
    /// End of its window.
    pub window_end: i64,
    /// Item and count, best first.
    pub items: Vec<(String, u64)>,
}

/// A dead letter, cut short.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// What refused it.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// Where it came from.
    pub place: String,
    /// Its first bytes.
    pub raw: String,
}

impl Board {
    /// What is on it.
    pub fn shown(&self) -> Shown {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock()
    }

    pub(super) fn pv_uv(&self, row: &PvUv) {
        if row.granularity != "1min" || row.dimension != "all" {
            return;
        }
        let mut shown = self.lock();
        shown.minutes.insert(row.window_start, Minute { pv: row.pv, uv: row.uv });
        if shown.minutes.len() > MINUTES {
            shown.minutes.pop_first();
        }
    }

    pub(super) fn hot_items(&self, ranking: &Ranking) {
        let items = ranking.items.iter().map(|(item, count)| (item.to_string(), *count)).collect();
        let mut shown = self.lock();
        shown.rankings.insert(ranking.window_end, Hot { window_end: ranking.window_end, items });
        if shown.rankings.len() > RANKINGS {
            shown.rankings.pop_first();
        }
    }

    pub(super) fn dead_letter(&self, letter: &DeadLetter) {
        let mut shown = self.lock();
        let raw = &letter.raw[..letter.raw.len().min(SHOWN)];
        let place = match letter.position {
            -1 => letter.source.clone(),
            position => format!("{} {position}", letter.split),
        };
        shown.samples.push_front(Sample {
            stage: letter.stage.clone(),
            reason: letter.reason.clone(),
            place,
            raw: String::from_utf8_lossy(raw).into_owned(),
        });
        shown.samples.truncate(SAMPLES);
    }
}
