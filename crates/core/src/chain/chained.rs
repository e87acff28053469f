//! One operator with all that follows it.

use std::sync::Arc;

use crate::Result;
use crate::batch::Rows;
use crate::context::{Context, OpenContext};
use crate::figures::OperatorFigures;
use crate::operator::{Operator, Output, Push, SplitChange};
use crate::snapshot::{CheckpointId, Frozen};
use crate::stage::{Budget, End, Mark, Step};

/// An operator and what comes after it.
pub struct Chained<O: Operator> {
    name: Arc<str>,
    operator: O,
    out: Output<O::Out>,
    next: Box<dyn Push<O::Out>>,
    figures: Arc<OperatorFigures>,
}

impl<O: Operator> Chained<O> {
    /// Puts an operator, under its user-given name, before `next`.
    pub fn new(name: Arc<str>, operator: O, next: Box<dyn Push<O::Out>>) -> Self {
        let figures = OperatorFigures::new(&name);
        Self { name, operator, out: Output::default(), next, figures }
    }

    fn hand_on(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        let mut step = Step::DONE;
        if !self.out.rows.is_empty() {
            self.figures.records_out.add(self.out.rows.len() as u64);
            step = self.next.rows(cx, &mut self.out.rows)?;
            self.out.rows.clear();
        }
        if let Some(mark) = self.out.mark.take() {
            if let Mark::Time(time) = mark {
                self.figures.watermark.set(time);
            }
            step = step.and(self.next.mark(cx, mark)?);
        }
        Ok(step)
    }
}

impl<O: Operator> Push<O::In> for Chained<O> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.figures = cx.figures_of(&self.name);
        let opened = self.operator.open(&self.name, cx);
        opened.map_err(|error| error.in_context(format_args!("operator {}", self.name)))?;
        self.next.open(cx)
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<O::In>) -> Result<Step> {
        self.figures.records_in.add(rows.len() as u64);
        let step = self.operator.rows(cx, rows, &mut self.out);
        let step = step.map_err(|error| error.in_context(format_args!("operator {}", self.name)))?;
        Ok(step.and(self.hand_on(cx)?))
    }

    fn mark(&mut self, cx: &mut Context<'_>, mark: Mark) -> Result<Step> {
        let step = self.operator.mark(cx, mark, &mut self.out);
        let step = step.map_err(|error| error.in_context(format_args!("operator {}", self.name)))?;
        Ok(step.and(self.hand_on(cx)?))
    }

    // Downstream first: it must have room before more is made for it.
    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let downstream = self.next.resume(cx, budget)?;
        if !downstream.is_complete() {
            return Ok(downstream);
        }
        let step = self.operator.resume(cx, budget, &mut self.out);
        let step = step.map_err(|error| error.in_context(format_args!("operator {}", self.name)))?;
        Ok(downstream.and(step).and(self.hand_on(cx)?))
    }

    fn split(&mut self, cx: &mut Context<'_>, change: &SplitChange) -> Result<()> {
        self.operator.split(cx, change)?;
        self.next.split(cx, change)
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        let step = self.operator.prepare(cx, id, &mut self.out)?.and(self.hand_on(cx)?);
        if step.is_complete() { Ok(step.and(self.next.prepare(cx, id)?)) } else { Ok(step) }
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.operator.snapshot(id, frozen)?;
        self.next.snapshot(id, frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.operator.completed(cx, id)?;
        self.next.completed(cx, id)
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        self.operator.aborted(cx, id);
        self.next.aborted(cx, id);
    }

    fn end(&mut self, cx: &mut Context<'_>, end: End) -> Result<Step> {
        let step = self.operator.end(cx, end, &mut self.out)?.and(self.hand_on(cx)?);
        if step.is_complete() { Ok(step.and(self.next.end(cx, end)?)) } else { Ok(step) }
    }

    fn close(&mut self) {
        self.operator.close();
        self.next.close();
    }
}
