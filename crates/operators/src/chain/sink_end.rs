//! The end of a chain: rows leave the pipeline.

use std::sync::Arc;

use millstream_record::Result;
use millstream_record::record::Data;
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::operator::{Push, SplitChange};
use millstream_stage::refusals::{Refusal, Refusals};
use millstream_stage::sink::{Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::step::{Budget, Step};
use millstream_stage::unwritten::Taken;
use millstream_stage::watermark::WatermarkEvent;

use crate::opened::Opened;

/// A sink, and where its dead letters go. The writer is made when the chain is opened.
pub struct SinkEnd<T: Data> {
    name: Arc<str>,
    sink: Arc<dyn Sink<T>>,
    opened: Opened<OpenSink<T>>,
    dead_letters: Box<dyn Push<DeadLetter>>,
}

/// A sink's writer with what it has refused and what is counted for it.
struct OpenSink<T: Data> {
    writer: Box<dyn SinkWriter<T>>,
    dead: Rows<DeadLetter>,
    metrics: Arc<OperatorMetrics>,
    refusals: Refusals,
    // Records that its system had acknowledged when they were last counted.
    acknowledged: u64,
    taken: Taken,
}

impl<T: Data> SinkEnd<T> {
    /// Ends a chain in a sink; what its writer refuses goes to `dead_letters`.
    pub fn new(name: Arc<str>, sink: Arc<dyn Sink<T>>, dead_letters: Box<dyn Push<DeadLetter>>) -> Self {
        Self { name, sink, opened: Opened::default(), dead_letters }
    }

    // Calls the writer, counts what came of it and hands on what it refused.
    fn call(
        &mut self,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut OpenSink<T>, &mut Context<'_>) -> Result<Step>,
    ) -> Result<Step> {
        let sink = self.opened.get_mut()?;
        let step = call(sink, cx).map_err(|error| error.in_operator(&self.name))?;
        let step = step.and(sink.count(cx));
        if sink.dead.is_empty() {
            return Ok(step);
        }
        sink.metrics.counter("deadLetters").add(sink.dead.len() as u64);
        sink.metrics.reasons.count(&sink.dead.rec);
        let step = step.and(self.dead_letters.rows(cx, &mut sink.dead)?);
        sink.dead.clear();
        Ok(step)
    }
}

impl<T: Data> OpenSink<T> {
    // What its system has answered since the last call: answers come later than records.
    fn count(&mut self, cx: &Context<'_>) -> Step {
        let acknowledged = self.metrics.latency.count();
        let written = acknowledged.saturating_sub(std::mem::replace(&mut self.acknowledged, acknowledged));
        let refused = self.dead.len() as u64;
        self.taken.done(written + refused);
        self.metrics.unwritten.set(self.writer.backlog().unwrap_or_else(|| self.taken.backlog()));
        if written + refused == 0 {
            return self.refusals.look_in(cx);
        }
        self.refusals.count_in(cx, written + refused, refused, || Refusal::of(&self.dead.rec))
    }
}

impl<T: Data> Push<T> for SinkEnd<T> {
    // The sink's metrics are made here and found by the writer under the sink's name.
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        let metrics = cx.metrics_of(&self.name);
        let refusals = cx.refusals_of(&self.name);
        let acknowledged = metrics.latency.count();
        let writer = self.sink.writer(&self.name, cx).map_err(|error| error.in_operator(&self.name))?;
        metrics.unwritten.set(writer.backlog().unwrap_or_default());
        let (dead, taken) = (Rows::default(), Taken::default());
        self.opened.open(OpenSink { writer, dead, metrics, refusals, acknowledged, taken });
        self.dead_letters.open(cx)
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) -> Result<Step> {
        self.call(cx, |sink, cx| {
            sink.metrics.records_in.add(rows.len() as u64);
            sink.taken.take(cx.ingest, rows.len() as u64);
            sink.writer.write(cx, rows, &mut sink.dead)
        })
    }

    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step> {
        if let WatermarkEvent::Watermark(time) = watermark {
            self.opened.get_mut()?.metrics.watermark.set(time);
        }
        self.dead_letters.on_watermark(cx, watermark)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let downstream = self.dead_letters.resume(cx, budget)?;
        let step = self.call(cx, |sink, cx| sink.writer.resume(cx, budget, &mut sink.dead))?;
        Ok(downstream.and(step))
    }

    fn split(&mut self, _: &mut Context<'_>, _: &SplitChange) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        let step = self.call(cx, |sink, cx| sink.writer.prepare(cx, id, &mut sink.dead))?;
        if step.is_complete() { Ok(step.and(self.dead_letters.prepare(cx, id)?)) } else { Ok(step) }
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let written = self.opened.get_mut()?.writer.snapshot(id, frozen);
        written.map_err(|error| error.in_operator(&self.name))?;
        self.dead_letters.snapshot(id, frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        let completed = self.opened.get_mut()?.writer.completed(cx, id);
        completed.map_err(|error| error.in_operator(&self.name))?;
        self.dead_letters.completed(cx, id)
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        if let Some(sink) = self.opened.if_open() {
            sink.writer.aborted(cx, id);
        }
        self.dead_letters.aborted(cx, id);
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step> {
        let step = self.call(cx, |sink, cx| sink.writer.flush(cx, &mut sink.dead))?;
        if !step.is_complete() {
            return Ok(step);
        }
        self.opened.get_mut()?.refusals.end(cx.nanos());
        Ok(step.and(self.dead_letters.end(cx, end)?))
    }

    fn close(&mut self) {
        self.opened.close();
        self.dead_letters.close();
    }
}
