//! What the engine counts, and where it reports trouble.

use std::sync::Arc;

use millstream_stage::OpenContext;
use millstream_stage::metrics::{Counter, OperatorMetrics};
use millstream_stage::time::Nanos;
use millstream_stage::trouble::Reporter;

use crate::buffer::{Buffer, SlotId};
use crate::item::Item;
use crate::store::Names;

/// The operator's metrics, with the counters of asynchronous sinks. (Dead letters are counted where they
/// leave the sink.)
pub(crate) struct Meters {
    metrics: Arc<OperatorMetrics>,
    /// Items that were sent again (`retries`).
    pub(crate) retries: Arc<Counter>,
    /// Items that the store was too busy for.
    overloaded: Option<Arc<Counter>>,
    /// Items of which the store holds this version or a newer one.
    pub(crate) stale: Arc<Counter>,
    /// Records that gave way to a newer one of their id before they were sent (`folded`).
    pub(crate) folded: Arc<Counter>,
    reporter: Reporter,
    /// Items that were sent in vain and are still there.
    failing: usize,
}

impl Meters {
    pub(crate) fn new(operator: &str, names: &Names, subject: String, cx: &OpenContext) -> Self {
        let metrics = cx.metrics_of(operator);
        metrics.set_system(&subject);
        Self {
            retries: metrics.counter("retries"),
            overloaded: names.overloaded.map(|name| metrics.counter(name)),
            stale: metrics.counter(names.stale),
            folded: metrics.counter("folded"),
            reporter: cx.reporter_of(subject),
            failing: 0,
            metrics,
        }
    }

    /// So many items are to be sent again.
    pub(crate) fn count_retries(&self, items: usize, overloaded: usize) {
        self.retries.add(items as u64);
        if let Some(counter) = &self.overloaded {
            counter.add(overloaded as u64);
        }
    }

    /// Something failed, for this reason.
    pub(crate) fn failed(&mut self, now: Nanos, why: &str) {
        self.reporter.failed(now, why);
    }

    /// An item was sent in vain for the first time.
    pub(crate) fn begins_to_fail(&mut self) {
        self.failing += 1;
    }

    /// An item is done with after this many tries in vain.
    pub(crate) fn done_with(&mut self, tries: u32) {
        self.failing -= usize::from(tries > 0);
    }

    /// Something succeeded: the trouble is over when nothing waits because of it.
    pub(crate) fn succeeded(&mut self, now: Nanos) {
        if self.failing == 0 {
            self.reporter.recovered(now);
        }
    }

    /// These items are in the store.
    pub(crate) fn acknowledged<I: Item>(&self, buffer: &Buffer<I>, slots: &[SlotId], now: Nanos) {
        let bytes = slots.iter().map(|slot| buffer.sent(*slot).item.bytes() as u64).sum();
        self.metrics.bytes_out.add(bytes);
        // Items of one batch entered together: one look at the histogram for all of them.
        let ingest = |slot: &SlotId| buffer.sent(*slot).ingest;
        for together in slots.chunk_by(|one, next| ingest(one) == ingest(next)) {
            let rows = together.iter().map(|slot| buffer.sent(*slot).rows).sum();
            if rows > 0 {
                self.metrics.latency.record(now.saturating_sub(ingest(&together[0])), rows);
            }
        }
    }
}
