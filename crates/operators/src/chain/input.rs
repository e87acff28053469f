//! A stage whose records come from other stages.

use millstream_record::record::Record;
use millstream_record::{Error, Result};
use millstream_stage::batch::{Batch, Rows};
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::operator::Push;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::stage::{End, InputId, Stage, no_such_input};
use millstream_stage::step::{Budget, Step};
use millstream_stage::time::MAX_TIME;
use millstream_stage::watermark::WatermarkEvent;
use millstream_stage::watermark::WatermarkMerger;

/// What stands at the front of a stage: knows the types of its inputs.
pub trait Head: Send {
    /// Opens all operators.
    fn open(&mut self, cx: &mut OpenContext) -> Result<()>;
    /// A batch of an input.
    fn batch(&mut self, cx: &mut Context<'_>, input: InputId, batch: Batch) -> Result<Step>;
    /// Everything else: the calls that do not depend on the input's type.
    fn call(&mut self, cx: &mut Context<'_>, call: Call<'_>) -> Result<Step>;
    /// Closes all operators.
    fn close(&mut self);
}

/// A call that goes to every operator of the stage.
pub enum Call<'a> {
    /// [`Push::watermark`].
    Watermark(WatermarkEvent),
    /// [`Push::resume`].
    Resume(Budget),
    /// [`Push::prepare`].
    Prepare(CheckpointId),
    /// [`Push::snapshot`].
    Snapshot(CheckpointId, &'a mut Frozen),
    /// [`Push::completed`].
    Completed(CheckpointId),
    /// [`Push::aborted`].
    Aborted(CheckpointId),
    /// [`Push::end`].
    End(End),
}

/// Makes a [`Call`] on a chain.
///
/// # Errors
/// Returns the errors of the operators.
pub fn forward<T: millstream_record::Data>(
    next: &mut dyn Push<T>,
    cx: &mut Context<'_>,
    call: Call<'_>,
) -> Result<Step> {
    match call {
        Call::Watermark(watermark) => return next.on_watermark(cx, watermark),
        Call::Resume(budget) => return next.resume(cx, budget),
        Call::Prepare(id) => return next.prepare(cx, id),
        Call::End(end) => return next.end(cx, end),
        Call::Snapshot(id, frozen) => next.snapshot(id, frozen)?,
        Call::Completed(id) => next.completed(cx, id)?,
        Call::Aborted(id) => next.aborted(cx, id),
    }
    Ok(Step::DONE)
}

/// The front of a stage whose inputs all carry the same type: one input, or a union of several.
pub struct OneInput<T: Record> {
    next: Box<dyn Push<T>>,
}

impl<T: Record> OneInput<T> {
    /// Rows of every input go to `next`.
    pub fn new(next: Box<dyn Push<T>>) -> Self {
        Self { next }
    }
}

impl<T: Record> Head for OneInput<T> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.next.open(cx)
    }

    fn batch(&mut self, cx: &mut Context<'_>, _: InputId, batch: Batch) -> Result<Step> {
        let mut rows: Rows<T> = batch.into_rows()?;
        self.next.rows(cx, &mut rows)
    }

    fn call(&mut self, cx: &mut Context<'_>, call: Call<'_>) -> Result<Step> {
        forward(self.next.as_mut(), cx, call)
    }

    fn close(&mut self) {
        self.next.close();
    }
}

/// A stage with inputs: merges their watermarks, and ends when all have ended.
pub struct InputStage {
    head: Box<dyn Head>,
    merge: WatermarkMerger,
    open_inputs: Vec<bool>,
    stopped: bool,
    ended: Option<End>,
    // A watermark that waits until the one before it has been dealt with.
    waiting: Option<WatermarkEvent>,
}

impl InputStage {
    /// A stage with so many inputs.
    pub fn new(inputs: usize, head: Box<dyn Head>) -> Self {
        Self {
            head,
            merge: WatermarkMerger::new(inputs),
            open_inputs: vec![true; inputs],
            stopped: false,
            ended: None,
            waiting: None,
        }
    }

    fn apply(&mut self, cx: &mut Context<'_>, changes: [Option<WatermarkEvent>; 2]) -> Result<Step> {
        let mut step = Step::DONE;
        for watermark in changes.into_iter().flatten() {
            if step.more {
                self.waiting = Some(watermark);
            } else {
                step = step.and(self.head.call(cx, Call::Watermark(watermark))?);
            }
        }
        Ok(step)
    }

    // What is left to do, one thing per call: the watermark that waits, then the end.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        if let Some(watermark) = self.waiting.take() {
            let step = self.head.call(cx, Call::Watermark(watermark))?;
            return Ok(Step { more: step.more || self.ended.is_some(), ..step });
        }
        let Some(end) = self.ended else {
            return Ok(Step::DONE);
        };
        let step = self.head.call(cx, Call::End(end))?;
        if step.is_complete() {
            self.ended = None;
        }
        Ok(step)
    }
}

impl Stage for InputStage {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        self.head.open(cx)
    }

    fn process(&mut self, cx: &mut Context<'_>, input: InputId, batch: Batch) -> Result<Step> {
        if !*self.open_inputs.get(usize::from(input)).ok_or_else(|| no_such_input(input))? {
            return Err(Error::bug(format!("a batch came on input {input} after its end")));
        }
        cx.ingest = batch.ingest;
        self.head.batch(cx, input, batch)
    }

    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        input: InputId,
        watermark: WatermarkEvent,
    ) -> Result<Step> {
        let changes = self.merge.on(usize::from(input), watermark);
        self.apply(cx, changes)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let step = self.head.call(cx, Call::Resume(budget))?;
        if step.is_complete() { Ok(step.and(self.go_on(cx)?)) } else { Ok(step) }
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        self.head.call(cx, Call::Prepare(id))
    }

    fn snapshot(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Frozen> {
        let mut frozen = Frozen::default();
        self.head.call(cx, Call::Snapshot(id, &mut frozen))?;
        Ok(frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.head.call(cx, Call::Completed(id)).map(|_| ())
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        // Aborting has nothing to report: the next call of a broken operator will.
        let _ = self.head.call(cx, Call::Aborted(id));
    }

    fn end_of_input(&mut self, cx: &mut Context<'_>, input: InputId, end: End) -> Result<Step> {
        let open = self.open_inputs.get_mut(usize::from(input)).ok_or_else(|| no_such_input(input))?;
        *open = false;
        // One input that was stopped makes the whole end a stop: event time is not complete.
        self.stopped |= end == End::Stopped;
        if self.open_inputs.iter().any(|open| *open) {
            let changes = if self.stopped { [None, None] } else { self.merge.end(usize::from(input)) };
            return self.apply(cx, changes);
        }
        let (end, last) = if self.stopped {
            (End::Stopped, None)
        } else {
            (End::Finished, Some(WatermarkEvent::Watermark(MAX_TIME)))
        };
        self.ended = Some(end);
        Ok(self.apply(cx, [last, None])?.and(Step::MORE))
    }

    fn close(&mut self) {
        self.head.close();
    }
}
