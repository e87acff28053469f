//! A sink that keeps nothing but totals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream::DeadLetter;
use millstream::metrics::OperatorMetrics;
use millstream::sink::{Guarantee, Sink, SinkWriter};
use millstream::snapshot::{CheckpointId, Frozen};
use millstream::{Budget, Step};
use millstream::{Context, OpenContext};
use millstream::{Data, Result, Rows};

/// Counts rows, adds up what a function reads from each, and drops them.
pub(crate) struct Discard<T> {
    totals: Arc<(AtomicU64, AtomicU64)>,
    read: fn(&T) -> u64,
}

impl<T> Clone for Discard<T> {
    fn clone(&self) -> Self {
        Self { totals: Arc::clone(&self.totals), read: self.read }
    }
}

struct Writer<T> {
    discard: Discard<T>,
    metrics: Arc<OperatorMetrics>,
}

impl<T> Discard<T> {
    /// A sink that adds up `read`.
    pub(crate) fn new(read: fn(&T) -> u64) -> Self {
        Self { totals: Arc::default(), read }
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

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(Writer { discard: self.clone(), metrics: cx.metrics_of(name) }))
    }
}

impl<T: Data> SinkWriter<T> for Writer<T> {
    fn write(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        let Discard { totals, read } = &self.discard;
        totals.0.fetch_add(rows.len() as u64, Relaxed);
        totals.1.fetch_add(rows.rec.iter().map(read).sum(), Relaxed);
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
}
