//! The rows that a sink has taken and that its system has not acknowledged yet: how many, and for how long
//! the oldest of them waits.
//!
//! A latency histogram cannot show a store that is away: it has only the rows that were acknowledged, and
//! looks better when the slow ones are missing. The age of the oldest unwritten row grows instead.
//!
//! ```
//! use millstream_stage::unwritten::{Backlog, Taken};
//!
//! let mut taken = Taken::default();
//! taken.take(100, 3);
//! taken.take(200, 2);
//! taken.done(4);
//! assert_eq!(taken.backlog(), Backlog { rows: 1, oldest: Some(200) });
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::time::Nanos;

/// Batches that are told apart; a sink that never acknowledges anything must not fill the memory.
const MOST_BATCHES: usize = 4096;

/// No row waits.
const NONE: u64 = u64::MAX;

/// Rows that are not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many.
    pub rows: u64,
    /// When the oldest of them entered the job, by its monotonic clock.
    pub oldest: Option<Nanos>,
}

impl Backlog {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let oldest = self.oldest.into_iter().chain(other.oldest).min();
        Self { rows: self.rows + other.rows, oldest }
    }
}

/// The backlog of one sink in one subtask: written after each call of its writer, read by page and metrics.
#[derive(Debug)]
pub struct Unwritten {
    rows: AtomicU64,
    oldest: AtomicU64,
}

impl Default for Unwritten {
    fn default() -> Self {
        Self { rows: AtomicU64::new(0), oldest: AtomicU64::new(NONE) }
    }
}

impl Unwritten {
    /// Replaces it.
    pub fn set(&self, backlog: Backlog) {
        self.rows.store(backlog.rows, Relaxed);
        self.oldest.store(backlog.oldest.unwrap_or(NONE), Relaxed);
    }

    /// What it stands at.
    pub fn get(&self) -> Backlog {
        let oldest = self.oldest.load(Relaxed);
        Backlog { rows: self.rows.load(Relaxed), oldest: (oldest != NONE).then_some(oldest) }
    }
}

/// Counts the backlog of a writer that only says how many rows were acknowledged: the oldest ones, as far as
/// anybody knows.
#[derive(Debug, Default)]
pub struct Taken {
    batches: VecDeque<(Nanos, u64)>,
    rows: u64,
}

impl Taken {
    /// The sink has taken rows that entered the job at `ingest`.
    pub fn take(&mut self, ingest: Nanos, rows: u64) {
        if rows == 0 {
            return;
        }
        self.rows += rows;
        let full = self.batches.len() >= MOST_BATCHES;
        match self.batches.back_mut() {
            Some((last, count)) if *last >= ingest || full => *count += rows,
            _ => self.batches.push_back((ingest, rows)),
        }
    }

    /// So many rows were acknowledged or refused. More than were taken is possible: a restored writer brings
    /// rows of an earlier attempt.
    pub fn done(&mut self, mut rows: u64) {
        while let Some((_, count)) = self.batches.front_mut() {
            let now = rows.min(*count);
            (*count, self.rows, rows) = (*count - now, self.rows - now, rows - now);
            if *count > 0 {
                return;
            }
            self.batches.pop_front();
        }
    }

    /// What is left.
    pub fn backlog(&self) -> Backlog {
        Backlog { rows: self.rows, oldest: self.batches.front().map(|(ingest, _)| *ingest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rows_are_done_first() {
        let mut taken = Taken::default();
        assert_eq!(taken.backlog(), Backlog::default());
        taken.take(10, 0);
        taken.take(10, 2);
        taken.take(10, 1);
        taken.take(20, 5);
        taken.done(2);
        assert_eq!(taken.backlog(), Backlog { rows: 6, oldest: Some(10) });
        taken.done(1);
        assert_eq!(taken.backlog(), Backlog { rows: 5, oldest: Some(20) });
        taken.done(99);
        assert_eq!(taken.backlog(), Backlog::default());
    }

    #[test]
    fn a_sink_that_never_acknowledges_anything_fills_no_memory() {
        let mut taken = Taken::default();
        (0..3 * MOST_BATCHES as u64).for_each(|ingest| taken.take(ingest, 1));
        assert_eq!(taken.batches.len(), MOST_BATCHES);
        assert_eq!(taken.backlog(), Backlog { rows: 3 * MOST_BATCHES as u64, oldest: Some(0) });
    }

    #[test]
    fn the_backlog_of_several_subtasks_is_as_old_as_the_oldest() {
        let (some, none) = (Backlog { rows: 2, oldest: Some(7) }, Backlog::default());
        assert_eq!(none.and(some), some);
        assert_eq!(some.and(Backlog { rows: 1, oldest: Some(3) }), Backlog { rows: 3, oldest: Some(3) });
        let unwritten = Unwritten::default();
        assert_eq!(unwritten.get(), none);
        unwritten.set(some);
        assert_eq!(unwritten.get(), some);
    }
}
