//! One operator with all that follows it.

use std::sync::Arc;

use millstream_record::Result;
use millstream_stage::batch::Rows;
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::operator::{Operator, Output, Push, SplitChange};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::End;
use millstream_stage::step::{Budget, Step};
use millstream_stage::watermark::WatermarkEvent;

use super::side::Side;
use crate::opened::Opened;

#[derive(Clone, Copy)]
enum NextCall {
    Resume(Budget),
    Prepare(CheckpointId),
    End(End),
}

/// An operator and what comes after it.
pub struct Chained<O: Operator> {
    name: Arc<str>,
    operator: O,
    out: Output<O::Out>,
    next: Box<dyn Push<O::Out>>,
    sides: Vec<Side>,
    metrics: Opened<Arc<OperatorMetrics>>,
    // What a timer emits from then on would come after the end.
    ended: bool,
}

impl<O: Operator> Chained<O> {
    /// Puts an operator, under its user-given name, before `next`.
    pub fn new(name: Arc<str>, operator: O, next: Box<dyn Push<O::Out>>) -> Self {
        Self {
            name,
            operator,
            out: Output::default(),
            next,
            sides: Vec::new(),
            metrics: Opened::default(),
            ended: false,
        }
    }

    /// Says where the side outputs go. Rows of any other side output end here.
    #[must_use]
    pub fn with_sides(mut self, sides: Vec<Side>) -> Self {
        self.sides = sides;
        self
    }

    fn hand_on(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        let mut step = self.hand_on_sides(cx)?;
        if !self.out.rows.is_empty() {
            self.metrics.get()?.records_out.add(self.out.rows.len() as u64);
            step = step.and(self.next.rows(cx, &mut self.out.rows)?);
            self.out.rows.clear();
        }
        self.hand_on_marks(cx, step)
    }

    fn hand_on_sides(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        let mut step = Step::DONE;
        for (name, rows) in self.out.sides_mut() {
            for side in self.sides.iter_mut().filter(|side| *side.name == *name) {
                step = step.and(side.next.rows(cx, rows)?);
            }
        }
        self.out.clear_sides();
        Ok(step)
    }

    // A watermark waits until what the one before it set off is done; `resume` comes back here.
    fn hand_on_marks(&mut self, cx: &mut Context<'_>, mut step: Step) -> Result<Step> {
        while step.is_complete() {
            let Some(watermark) = self.out.watermarks.pop_front() else { return Ok(step) };
            if let WatermarkEvent::Watermark(time) = watermark {
                self.metrics.get()?.watermark.set(time);
            }
            for side in &mut self.sides {
                step = step.and(side.next.on_watermark(cx, watermark)?);
            }
            step = step.and(self.next.on_watermark(cx, watermark)?);
        }
        if !self.out.watermarks.is_empty() {
            step.more = true;
        }
        Ok(step)
    }

    // One call to everything that follows: the side outputs, then the main one.
    fn each_next(&mut self, cx: &mut Context<'_>, call: NextCall) -> Result<Step> {
        let mut step = Step::DONE;
        for side in &mut self.sides {
            step = step.and(match call {
                NextCall::Resume(budget) => side.next.resume(cx, budget)?,
                NextCall::Prepare(id) => side.next.prepare(cx, id)?,
                NextCall::End(end) => side.next.end(cx, end)?,
            });
        }
        Ok(step.and(match call {
            NextCall::Resume(budget) => self.next.resume(cx, budget)?,
            NextCall::Prepare(id) => self.next.prepare(cx, id)?,
            NextCall::End(end) => self.next.end(cx, end)?,
        }))
    }
}

impl<O: Operator> Push<O::In> for Chained<O> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.metrics.open(cx.metrics_of(&self.name));
        let opened = self.operator.open(&self.name, cx);
        opened.map_err(|error| error.in_operator(&self.name))?;
        self.sides.iter_mut().try_for_each(|side| side.next.open(cx))?;
        self.next.open(cx)
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<O::In>) -> Result<Step> {
        self.metrics.get()?.records_in.add(rows.len() as u64);
        let step = self.operator.rows(cx, rows, &mut self.out);
        let step = step.map_err(|error| error.in_operator(&self.name))?;
        Ok(step.and(self.hand_on(cx)?))
    }

    fn on_watermark(&mut self, cx: &mut Context<'_>, watermark: WatermarkEvent) -> Result<Step> {
        let step = self.operator.on_watermark(cx, watermark, &mut self.out);
        let step = step.map_err(|error| error.in_operator(&self.name))?;
        Ok(step.and(self.hand_on(cx)?))
    }

    // Downstream first: it must have room before more is made for it.
    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let step = self.each_next(cx, NextCall::Resume(budget))?;
        let step = self.hand_on_marks(cx, step)?;
        if self.ended || !step.is_complete() {
            return Ok(step);
        }
        let own = self.operator.resume(cx, budget, &mut self.out);
        let own = own.map_err(|error| error.in_operator(&self.name))?;
        Ok(step.and(own).and(self.hand_on(cx)?))
    }

    fn split(&mut self, cx: &mut Context<'_>, change: &SplitChange) -> Result<()> {
        self.operator.split(cx, change).map_err(|error| error.in_operator(&self.name))?;
        self.next.split(cx, change)
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        let step = self.operator.prepare(cx, id, &mut self.out);
        let step = step.map_err(|error| error.in_operator(&self.name))?.and(self.hand_on(cx)?);
        if !step.is_complete() {
            return Ok(step);
        }
        Ok(step.and(self.each_next(cx, NextCall::Prepare(id))?))
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.operator.snapshot(id, frozen).map_err(|error| error.in_operator(&self.name))?;
        self.sides.iter_mut().try_for_each(|side| side.next.snapshot(id, frozen))?;
        self.next.snapshot(id, frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.operator.completed(cx, id).map_err(|error| error.in_operator(&self.name))?;
        self.sides.iter_mut().try_for_each(|side| side.next.completed(cx, id))?;
        self.next.completed(cx, id)
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        self.operator.aborted(cx, id);
        self.sides.iter_mut().for_each(|side| side.next.aborted(cx, id));
        self.next.aborted(cx, id);
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step> {
        let step = self.operator.end(cx, end, &mut self.out);
        let step = step.map_err(|error| error.in_operator(&self.name))?.and(self.hand_on(cx)?);
        if !step.is_complete() {
            return Ok(step);
        }
        self.ended = true;
        Ok(step.and(self.each_next(cx, NextCall::End(end))?))
    }

    fn close(&mut self) {
        self.operator.close();
        self.sides.iter_mut().for_each(|side| side.next.close());
        self.next.close();
    }
}

#[cfg(test)]
mod tests {
    use millstream_record::Error;

    use super::*;
    use crate::chain::Discard;
    use crate::operators::Map;

    struct Broken;

    impl Operator for Broken {
        type In = i64;
        type Out = i64;

        fn rows(&mut self, _: &mut Context<'_>, _: &mut Rows<i64>, _: &mut Output<i64>) -> Result<Step> {
            Ok(Step::DONE)
        }

        fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
            Err(Error::restart("the state cannot be frozen"))
        }
    }

    #[test]
    fn an_error_of_a_snapshot_names_the_operator_that_it_comes_from() {
        let inner = Chained::new("inner".into(), Broken, Discard::of(Vec::new()));
        let mut outer = Chained::new("outer".into(), Map::new(Arc::new(|n: i64| n)), Box::new(inner));
        let error = outer.snapshot(1, &mut Frozen::default()).unwrap_err();
        assert_eq!(error.operator(), Some("inner"));
    }
}
