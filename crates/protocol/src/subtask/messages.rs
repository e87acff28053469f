//! The events that a subtask takes, and the decisions that it makes.

use millstream_record::{Error, Result};
use millstream_stage::context::Context;
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::source::Assignment;
use millstream_stage::stage::{End, InputId, Stage};
use millstream_stage::step::{Budget, Step};
use millstream_stage::watermark::WatermarkEvent;

/// What happens to a subtask. A batch is no event: it goes to `process` of the input that its channel feeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubtaskEvent {
    /// Progress of event time on a channel.
    Watermark(usize, WatermarkEvent),
    /// A barrier on a channel.
    Barrier(usize, CheckpointId),
    /// The end of a channel.
    End(usize, End),
    /// The job's coordinator wants something.
    Command(SubtaskCommand),
    /// The stage's waker was called, its wake-up time has come, or it said *more*.
    Resume,
}

/// What the job's coordinator tells a subtask. Commands come in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubtaskCommand {
    /// Splits for a source.
    Assign(Assignment),
    /// A source reads no more. Others learn of it by the ends of their channels.
    Stop(End),
    /// A checkpoint starts: sources inject its barrier.
    Trigger {
        /// The checkpoint.
        id: CheckpointId,
        /// Sources read nothing behind the barrier until they hear that it was given up, or are told to stop.
        hold: bool,
    },
    /// The checkpoint will not complete, or it is a savepoint, which commits nothing.
    Aborted(CheckpointId),
    /// The checkpoint is complete.
    Completed {
        /// The checkpoint.
        id: CheckpointId,
        /// It is the job's last one: say when its output is committed.
        last: bool,
    },
}

/// One call of the stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageCall {
    /// [`on_watermark`](millstream_stage::stage::Stage::on_watermark).
    Watermark(InputId, WatermarkEvent),
    /// [`end_of_input`](millstream_stage::stage::Stage::end_of_input).
    EndOfInput(InputId, End),
    /// [`assign`](millstream_stage::source::SplitControl::assign); a resume follows.
    Assign(Assignment),
    /// [`resume`](millstream_stage::stage::Stage::resume).
    Resume,
    /// [`prepare`](millstream_stage::stage::Stage::prepare).
    Prepare(CheckpointId),
    /// [`snapshot`](millstream_stage::stage::Stage::snapshot).
    Snapshot(CheckpointId),
    /// [`completed`](millstream_stage::stage::Stage::completed).
    Completed(CheckpointId),
    /// [`aborted`](millstream_stage::stage::Stage::aborted).
    Aborted(CheckpointId),
}

/// Which kind of call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A `resume`.
    Resume,
    /// A `prepare`.
    Prepare(CheckpointId),
    /// Any other call, `process` included.
    Other,
}

impl StageCall {
    /// What its answer is an answer to.
    pub fn asked(&self) -> Asked {
        match self {
            Self::Resume => Asked::Resume,
            Self::Prepare(id) => Asked::Prepare(*id),
            _ => Asked::Other,
        }
    }

    /// Makes the call. What a snapshot freezes goes to `frozen`.
    ///
    /// # Errors
    /// Returns the errors of the stage.
    pub fn make(
        self,
        stage: &mut dyn Stage,
        cx: &mut Context<'_>,
        budget: Budget,
        frozen: &mut Option<Frozen>,
    ) -> Result<Step> {
        match self {
            Self::Watermark(input, watermark) => stage.on_watermark(cx, input, watermark),
            Self::EndOfInput(input, end) => stage.end_of_input(cx, input, end),
            Self::Assign(assignment) => {
                let source = stage.source();
                let source = source.ok_or_else(|| Error::bug("splits came to a stage without a source"))?;
                source.assign(cx, assignment).map(|()| Step::MORE)
            }
            Self::Resume => stage.resume(cx, budget),
            Self::Prepare(id) => stage.prepare(cx, id),
            Self::Snapshot(id) => {
                *frozen = Some(stage.snapshot(cx, id)?);
                Ok(Step::DONE)
            }
            Self::Completed(id) => stage.completed(cx, id).map(|()| Step::DONE),
            Self::Aborted(id) => {
                stage.aborted(cx, id);
                Ok(Step::DONE)
            }
        }
    }
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubtaskDecision {
    /// Make a call of the stage, hand on what it emitted, and report its answer.
    Call(StageCall),
    /// Send the barrier to every channel, behind what was emitted so far.
    PassBarrier(CheckpointId),
    /// Send the end to every channel.
    PassEnd(End),
    /// Tell the coordinator that the source's reader waits for splits.
    ReportReady,
    /// Hand the snapshot that was just taken to the coordinator.
    ReportFrozen(CheckpointId),
    /// Tell the coordinator that all work is done.
    ReportEnded(End),
    /// Tell the coordinator that everything which the last checkpoint holds is committed.
    ReportSettled,
}

/// What a subtask can do without anything from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Prepares the barrier that has come on every channel.
    Barrier,
    /// Sees that the source's reader has read everything, or waits for splits.
    Reader(ReaderState),
    /// Tells the stage what its channels mean for an input.
    InputEvent,
    /// Ends.
    End,
    /// Prepares the last checkpoint once more, so that what is written only now is written.
    Settle,
}

impl Move {
    /// All of them, in the order in which the thread driver tries them.
    pub fn all(reader: ReaderState) -> [Self; 5] {
        [Self::Barrier, Self::Reader(reader), Self::InputEvent, Self::End, Self::Settle]
    }
}

/// What the reader of a source says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderState {
    /// [`is_finished`](millstream_stage::source::SplitControl::is_finished).
    pub finished: bool,
    /// [`is_waiting`](millstream_stage::source::SplitControl::is_waiting).
    pub waiting: bool,
}

/// Which elements a subtask can take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// Whatever comes next on a channel that is not held back.
    All,
    /// Barriers alone. They may overtake nothing, so only one at the head of its channel.
    Barriers,
    /// None.
    None,
}
