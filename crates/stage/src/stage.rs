//! The contract between a stage and whoever drives it.
//!
//! A stage is a chain (in truth a tree) of operators between two exchanges. A driver calls it, one call per
//! batch; it never blocks, owns no thread, and answers only through the context of the call and its [`Step`].
//!
//! The order of calls, which `millstream_protocol::subtask::SubtaskProtocol` sees to for every driver:
//! 1. [`open`](Stage::open), once.
//! 2. [`process`](Stage::process) and [`on_watermark`](Stage::on_watermark) per input, as they arrive, unless
//!    the last step was *blocked* or *more*; [`resume`](Stage::resume) after a step of *more*, when a wake-up
//!    time has come, and when the waker was called. **While a checkpoint is under way whose barrier has not
//!    come on every channel**, data, watermarks and ends are brought to a *blocked* stage as well: it takes
//!    them whatever its buffer holds. So a sink whose system is slow or away holds no barrier up for longer
//!    than it takes to empty its bounded queue, and what it could not write is in the snapshot.
//! 3. At a checkpoint, when the barrier has come on every input: [`prepare`](Stage::prepare) (until it no
//!    longer says *more* or *blocked*, with `resume` in between), [`snapshot`](Stage::snapshot), and the
//!    barrier goes on behind what was emitted. A `resume` follows; until then a source reads nothing. Later
//!    [`completed`](Stage::completed) or [`aborted`](Stage::aborted), or neither; a `resume` follows these
//!    too.
//! 4. [`end_of_input`](Stage::end_of_input) per input; after the last one, `resume` until the step is done.
//!    Where checkpoints are taken, a last one follows, and after its `completed` once more
//!    [`prepare`](Stage::prepare) with its id until that is complete: then everything that sinks write only
//!    now was written.
//! 5. [`close`](Stage::close), always, also after an error.

use millstream_record::{Error, Result};

use crate::batch::Batch;
use crate::context::{Context, OpenContext};
use crate::snapshot::{CheckpointId, Frozen};
use crate::source::SplitControl;
use crate::step::{Budget, Step};
use crate::watermark::WatermarkEvent;

/// Numbers the inputs of a stage.
pub type InputId = u16;

/// How an input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was read: event time ends too, every window fires.
    Finished,
    /// The job is being stopped: flush what is complete, leave open windows alone.
    Stopped,
}

/// What every driver calls. All calls are per batch, none per record.
pub trait Stage: Send {
    /// Called once, before anything else; operators take their restored state from the context.
    fn open(&mut self, cx: &mut OpenContext) -> Result<()>;
    /// A batch for an input.
    fn process(&mut self, cx: &mut Context<'_>, input: InputId, batch: Batch) -> Result<Step>;
    /// The merged watermark of an input's channels.
    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        input: InputId,
        watermark: WatermarkEvent,
    ) -> Result<Step>;
    /// Timers, source reads, completions of futures, the rest of what was cut off by *more*.
    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step>;
    /// Before a barrier goes on: hand on or flush what must not be in the snapshot.
    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step>;
    /// Freezes all state. Bounded, no I/O.
    fn snapshot(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Frozen>;
    /// The checkpoint is complete, and with it every earlier one. May never come, may come twice.
    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()>;
    /// The checkpoint will not complete.
    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId);
    /// Nothing more comes on an input. After the last one the stage flushes.
    fn end_of_input(&mut self, cx: &mut Context<'_>, input: InputId, end: End) -> Result<Step>;
    /// Frees everything; never fails.
    fn close(&mut self);
    /// The reader, where the stage starts with a source.
    fn source(&mut self) -> Option<&mut dyn SplitControl> {
        None
    }
}

/// The error for an input that a stage does not have.
pub fn no_such_input(input: InputId) -> Error {
    Error::bug(format!("this stage has no input {input}"))
}
