//! How many rows were not acknowledged, and when the oldest of them entered the job, whatever the order of
//! the answers.

use std::collections::BTreeMap;

use millstream_stage::time::Nanos;
use millstream_stage::unwritten::Backlog;

/// Rows by the time at which they entered the job; those of one batch share it.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    by_ingest: BTreeMap<Nanos, u64>,
    rows: u64,
}

impl Ages {
    /// Adds rows.
    pub(crate) fn add(&mut self, ingest: Nanos, rows: u64) {
        *self.by_ingest.entry(ingest).or_default() += rows;
        self.rows += rows;
    }

    /// Takes away rows that were added.
    pub(crate) fn remove(&mut self, ingest: Nanos, rows: u64) {
        let Some(count) = self.by_ingest.get_mut(&ingest) else { return };
        *count = count.saturating_sub(rows);
        if *count == 0 {
            self.by_ingest.remove(&ingest);
        }
        self.rows = self.rows.saturating_sub(rows);
    }

    /// What is left.
    pub(crate) fn backlog(&self) -> Backlog {
        Backlog { rows: self.rows, oldest: self.by_ingest.first_key_value().map(|(ingest, _)| *ingest) }
    }
}
