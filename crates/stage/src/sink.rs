//! Where results leave the pipeline.

use millstream_record::Result;
use millstream_record::record::Data;

use crate::batch::Rows;
use crate::context::{Context, OpenContext};
use crate::dead_letter::DeadLetter;
use crate::snapshot::{CheckpointId, Frozen};
use crate::step::{Budget, Step};
use crate::unwritten::Backlog;

pub use crate::output_location::OutputLocation;

/// What a reader of the system can rely on after crashes and replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Repeated writes may be seen twice.
    AtLeastOnce,
    /// A repeated write has the same effect as one; a writer that should be dead may still overwrite.
    Idempotent,
    /// As above, and an older writer's or an older write is refused.
    IdempotentFenced,
    /// Visible only when the checkpoint is complete.
    Transactional,
}

/// A sink: plain settings and a mapping that make one writer per subtask.
pub trait Sink<T: Data>: Send + Sync + 'static {
    /// The system's name for plans and metrics, such as `elasticsearch`.
    fn kind(&self) -> &'static str;
    /// What its readers can rely on.
    fn guarantee(&self) -> Guarantee;
    /// Refuses settings that can never work. No I/O.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// The places that it writes to, as far as its settings name them and a source could read them: the plan
    /// refuses a pipeline that reads its own output. None by default.
    fn outputs(&self) -> Vec<OutputLocation> {
        Vec::new()
    }
    /// Opens a writer for the subtask of `cx`. Its metrics are `cx.metrics_of(name)`, where `name` is the
    /// sink's name in the pipeline. Connections may be checked by the writer's first I/O instead of here.
    ///
    /// # Errors
    /// A restored state that cannot be read, and whatever keeps the writer from being opened. The job does
    /// not start.
    fn writer(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>>;
}

/// Writes one subtask's results. It buffers, hands I/O to the context, and never blocks.
///
/// It counts `bytes_out`, and `latency` when a write was acknowledged, in the metrics under the sink's name.
/// When the subtask ends, the writer is dropped and frees everything. What was not flushed by then is lost,
/// which is correct: the job had failed, or the data is in its last checkpoint.
pub trait SinkWriter<T: Data>: Send {
    /// Takes all rows, whatever the buffer holds; answers *blocked* when it is full. What can never be
    /// written goes to `dead`.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        rows: &mut Rows<T>,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step>;
    /// Completions of its I/O, retries that are due, the age of its buffer.
    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, dead: &mut Rows<DeadLetter>) -> Result<Step>;
    /// A flush that really waits: complete only when everything taken so far was acknowledged, or is to be
    /// part of the snapshot. Called at the end of input, and complete only when what
    /// [`completed`](Self::completed) has ordered was done as well; while it answers *more* or *blocked*,
    /// `resume` follows, then `flush` again.
    fn flush(&mut self, cx: &mut Context<'_>, dead: &mut Rows<DeadLetter>) -> Result<Step>;
    /// Before a barrier goes on. A flush unless the writer says otherwise: one whose snapshot holds
    /// everything that was not acknowledged has nothing to wait for, so that a slow system holds no barrier.
    /// With a checkpoint that is complete already, it is the last one, and what it has ordered is waited for.
    fn prepare(
        &mut self,
        cx: &mut Context<'_>,
        _: CheckpointId,
        dead: &mut Rows<DeadLetter>,
    ) -> Result<Step> {
        self.flush(cx, dead)
    }
    /// Adds what was not acknowledged yet, or what is to be committed.
    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()>;
    /// The checkpoint is complete, and with it every earlier one. May never come, may come twice.
    fn completed(&mut self, _: &mut Context<'_>, _: CheckpointId) -> Result<()> {
        Ok(())
    }
    /// The checkpoint will not complete.
    fn aborted(&mut self, _: &mut Context<'_>, _: CheckpointId) {}
    /// The rows that were taken and not acknowledged. By default they are counted by `latency`, the oldest
    /// first; a writer that acknowledges out of order, or that counts no latency, says it itself.
    fn backlog(&self) -> Option<Backlog> {
        None
    }
}
