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
use millstream_stage::sink::SinkWriter;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::step::{Budget, Step};
use millstream_stage::trouble::Troubles;
use millstream_stage::watermark::WatermarkEvent;

/// A sink's writer, and where its dead letters go.
pub struct SinkEnd<T: Data> {
    name: Arc<str>,
    writer: Box<dyn SinkWriter<T>>,
    dead: Rows<DeadLetter>,
    dead_letters: Box<dyn Push<DeadLetter>>,
    metrics: Arc<OperatorMetrics>,
    refusals: Refusals,
    // Records that its system had acknowledged when they were last counted.
    acknowledged: u64,
}

impl<T: Data> SinkEnd<T> {
    /// Ends a chain in a writer; what it refuses goes to `dead_letters`.
    pub fn new(
        name: Arc<str>,
        writer: Box<dyn SinkWriter<T>>,
        dead_letters: Box<dyn Push<DeadLetter>>,
    ) -> Self {
        let metrics = OperatorMetrics::new(&name);
        let refusals = Troubles::default().refusals(&name);
        Self { name, writer, dead: Rows::default(), dead_letters, metrics, refusals, acknowledged: 0 }
    }

    fn hand_on(&mut self, cx: &mut Context<'_>, step: Result<Step>) -> Result<Step> {
        let step = step.map_err(|error| error.in_operator(&self.name))?;
        let step = step.and(self.count(cx));
        if self.dead.is_empty() {
            return Ok(step);
        }
        self.metrics.counter("deadLetters").add(self.dead.len() as u64);
        let step = step.and(self.dead_letters.rows(cx, &mut self.dead)?);
        self.dead.clear();
        Ok(step)
    }
}

impl<T: Data> SinkEnd<T> {
    // What its system has answered since the last call: answers come later than records.
    fn count(&mut self, cx: &Context<'_>) -> Step {
        let acknowledged = self.metrics.latency.count();
        let written = acknowledged.saturating_sub(std::mem::replace(&mut self.acknowledged, acknowledged));
        let refused = self.dead.len() as u64;
        if written + refused == 0 {
            return self.refusals.look_in(cx);
        }
        self.refusals.count_in(cx, written + refused, refused, || Refusal::of(&self.dead.rec))
    }
}

impl<T: Data> Push<T> for SinkEnd<T> {
    // The sink's metrics are made here and found by the writer under the sink's name.
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.metrics = cx.metrics_of(&self.name);
        self.refusals = cx.refusals_of(&self.name);
        self.acknowledged = self.metrics.latency.count();
        let opened = self.writer.open(&self.name, cx);
        opened.map_err(|error| error.in_operator(&self.name))?;
        self.dead_letters.open(cx)
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>) -> Result<Step> {
        self.metrics.records_in.add(rows.len() as u64);
        let step = self.writer.write(cx, rows, &mut self.dead);
        self.hand_on(cx, step)
    }

    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step> {
        if let WatermarkEvent::Watermark(time) = watermark {
            self.metrics.watermark.set(time);
        }
        self.dead_letters.on_watermark(cx, watermark)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let downstream = self.dead_letters.resume(cx, budget)?;
        let step = self.writer.resume(cx, budget, &mut self.dead);
        Ok(downstream.and(self.hand_on(cx, step)?))
    }

    fn split(&mut self, _: &mut Context<'_>, _: &SplitChange) -> Result<()> {
        Ok(())
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        let step = self.writer.prepare(cx, id, &mut self.dead);
        let step = self.hand_on(cx, step)?;
        if step.is_complete() { Ok(step.and(self.dead_letters.prepare(cx, id)?)) } else { Ok(step) }
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.writer.snapshot(id, frozen)?;
        self.dead_letters.snapshot(id, frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.writer.completed(cx, id)?;
        self.dead_letters.completed(cx, id)
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        self.writer.aborted(cx, id);
        self.dead_letters.aborted(cx, id);
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step> {
        let step = self.writer.flush(cx, &mut self.dead);
        let step = self.hand_on(cx, step)?;
        if !step.is_complete() {
            return Ok(step);
        }
        self.refusals.end(cx.nanos());
        Ok(step.and(self.dead_letters.end(cx, end)?))
    }

    fn close(&mut self) {
        self.writer.close();
        self.dead_letters.close();
    }
}
