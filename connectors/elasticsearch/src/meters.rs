//! What the sink counts about itself.

use std::sync::Arc;

use millstream_core::figures::{Counter, OperatorFigures};
use millstream_core::time::Nanos;

use crate::buffer::Pending;

/// The operator's figures, with the counters that only this sink has.
pub(crate) struct Meters {
    figures: Arc<OperatorFigures>,
    /// Documents that were sent again (`retries`).
    pub(crate) retries: Arc<Counter>,
    /// Documents that the cluster was too busy for (`rejected429`).
    pub(crate) rejected: Arc<Counter>,
    /// Documents that can never be written (`deadLetters`).
    pub(crate) dead_letters: Arc<Counter>,
    /// Documents of which the store holds a newer version (`conflicts`).
    pub(crate) conflicts: Arc<Counter>,
    /// Records that gave way to a newer one of their id before they were sent (`folded`).
    pub(crate) folded: Arc<Counter>,
}

impl Meters {
    pub(crate) fn new(figures: Arc<OperatorFigures>) -> Self {
        Self {
            retries: figures.counter("retries"),
            rejected: figures.counter("rejected429"),
            dead_letters: figures.counter("deadLetters"),
            conflicts: figures.counter("conflicts"),
            folded: figures.counter("folded"),
            figures,
        }
    }

    /// These documents are in the store.
    pub(crate) fn acknowledged(&self, documents: &[Pending], now: Nanos) {
        self.figures.bytes_out.add(documents.iter().map(|document| document.lines.len() as u64).sum());
        // Documents of one batch entered together: one look at the histogram for all of them.
        for together in documents.chunk_by(|one, next| one.ingest == next.ingest) {
            let rows = together.iter().map(|document| document.rows).sum();
            if rows > 0 {
                self.figures.latency.record(now.saturating_sub(together[0].ingest), rows);
            }
        }
    }
}
