//! Nothing: rows are counted and dropped, to measure a job without a store.

use std::sync::Arc;

use millstream::metrics::OperatorMetrics;
use millstream::prelude::*;
use millstream::sink::{Guarantee, Sink, SinkWriter};
use millstream::snapshot::{CheckpointId, Frozen};
use millstream::{Budget, Context, OpenContext, Rows, Step};

use super::Tables;

pub(super) fn sink(tables: &Tables, name: impl Fn(&str) -> String) -> Vec<DataStream<DeadLetter>> {
    let mut refused = Vec::new();
    if let Some(rows) = &tables.user_clicks {
        refused.push(rows.sink_to(&name("user-clicks"), Blackhole).dead_letters());
    }
    if let Some((_, rows)) = &tables.hot_items {
        refused.push(rows.sink_to(&name("hot-items"), Blackhole).dead_letters());
    }
    if let Some(rows) = &tables.pv_uv {
        refused.push(rows.sink_to(&name("pv-uv"), Blackhole).dead_letters());
    }
    refused
}

struct Blackhole;

struct Writer {
    metrics: Arc<OperatorMetrics>,
}

impl<T: Data> Sink<T> for Blackhole {
    fn kind(&self) -> &'static str {
        "blackhole"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(Writer { metrics: cx.metrics_of(name) }))
    }
}

impl<T: Data> SinkWriter<T> for Writer {
    fn write(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
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
