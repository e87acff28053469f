//! A sink that keeps nothing but totals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream::stage::context::{Context, OpenContext};
use millstream::stage::dead_letter::DeadLetter;
use millstream::stage::metrics::OperatorMetrics;
use millstream::stage::sink::{Guarantee, Sink, SinkWriter};
use millstream::stage::snapshot::{CheckpointId, Frozen};
use millstream::stage::step::{Budget, Step};
use millstream::{Data, Result, Rows};

/// Counts rows, adds up what a function reads from each, and drops them.
pub(crate) struct Discard<T> {
    totals: Arc<(AtomicU64, AtomicU64)>,
    metrics: Arc<OperatorMetrics>,
    read: fn(&T) -> u64,
}

impl<T> Clone for Discard<T> {
    fn clone(&self) -> Self {
        Self { totals: Arc::clone(&self.totals), metrics: Arc::clone(&self.metrics), read: self.read }
    }
}

impl<T> Discard<T> {
    /// A sink that adds up `read`.
    pub(crate) fn new(read: fn(&T) -> u64) -> Self {
        Self { totals: Arc::default(), metrics: OperatorMetrics::new(""), read }
    }

    /// Rows, and the sum.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.totals.0.load(Relaxed), self.totals.1.load(Relaxed))
    }
}

impl<T: Data> Sink<T> for Discard<T> {
    fn kind(&self) -> &'static str {
        "discard"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self) -> Box<dyn SinkWriter<T>> {
        Box::new(self.clone())
    }
}

impl<T: Data> SinkWriter<T> for Discard<T> {
    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.metrics = cx.metrics_of(name);
        Ok(())
    }

    fn write(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.totals.0.fetch_add(rows.len() as u64, Relaxed);
        self.totals.1.fetch_add(rows.rec.iter().map(self.read).sum(), Relaxed);
        self.metrics.latency.record(cx.nanos().saturating_sub(cx.ingest), rows.len() as u64);
        rows.clear();
        Ok(Step::DONE)
    }

    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn flush(&mut self, _: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) {}
}
