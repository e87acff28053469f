//! A sink's writer, driven by hand as a driver would.

use millstream_record::record::Data;
use millstream_record::{Error, Result};
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::sink::{Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::time::Time;
use millstream_stage::{Budget, Context, Rows, Step};

use crate::harness::Harness;
use crate::pace::Pace;

/// The name under which the writer is opened and finds its metrics.
pub(crate) const SINK_NAME: &str = "sink";

// More resumes than any sink needs between two writes: it turns in a circle.
const MOST_TURNS: u32 = 100_000;

/// A writer with its subtask: each call honours what the writer has asked for.
pub struct DrivenWriter<T: Data> {
    harness: Harness,
    writer: Box<dyn SinkWriter<T>>,
    pace: Pace,
    turns: u32,
    dead: Rows<DeadLetter>,
}

impl<T: Data> DrivenWriter<T> {
    /// Opens a writer.
    ///
    /// # Errors
    /// The sink's own.
    pub fn open(sink: &dyn Sink<T>, harness: Harness) -> Result<Self> {
        let writer = sink.writer(SINK_NAME, &mut harness.open_context())?;
        Ok(Self { harness, writer, pace: Pace::default(), turns: 0, dead: Rows::default() })
    }

    /// Writes rows as soon as the writer takes data. It may be blocked afterwards.
    ///
    /// # Errors
    /// The writer's own; and when it is blocked and nothing would ever unblock it.
    pub fn write(&mut self, rows: impl Into<Rows<T>>) -> Result<()> {
        self.settle()?;
        self.turns = 0;
        let mut rows = rows.into();
        self.call(|writer, cx, dead| writer.write(cx, &mut rows, dead))?;
        Ok(())
    }

    /// Resumes until the writer takes data again.
    ///
    /// # Errors
    /// Returns the same errors as [`write`](Self::write).
    pub fn settle(&mut self) -> Result<()> {
        while !self.pace.takes_data() {
            self.turn()?;
        }
        Ok(())
    }

    /// Waits for what the writer waits for (not at all if it wants to go on at once), then resumes it.
    ///
    /// # Errors
    /// The writer's own; and when nothing would ever wake it.
    pub fn turn(&mut self) -> Result<()> {
        self.turns += 1;
        if self.turns > MOST_TURNS {
            return Err(wrong(format!(
                "the sink's writer was resumed {MOST_TURNS} times and is not done: {:?}",
                self.pace
            )));
        }
        if !self.pace.wants_resume() {
            self.harness.wait(self.pace.wake_at()).map_err(|error| error.in_context("the sink's writer"))?;
        }
        self.resume()
    }

    /// Resumes the writer at once.
    ///
    /// # Errors
    /// The writer's own.
    pub fn resume(&mut self) -> Result<()> {
        let budget = Budget::default();
        let (writer, dead) = (&mut self.writer, &mut self.dead);
        let step = self.harness.call(|cx| writer.resume(cx, budget, dead))?;
        self.pace.replace(step);
        Ok(())
    }

    /// Flushes until the writer says that the flush is complete.
    ///
    /// # Errors
    /// The writer's own; and when the flush would never be complete.
    pub fn flush(&mut self) -> Result<()> {
        while !self.try_flush()?.is_complete() {
            self.turn()?;
        }
        Ok(())
    }

    /// Asks once for a flush.
    ///
    /// # Errors
    /// The writer's own.
    pub fn try_flush(&mut self) -> Result<Step> {
        self.call(|writer, cx, dead| writer.flush(cx, dead))
    }

    /// Prepares and freezes, as at a barrier.
    ///
    /// # Errors
    /// The writer's own; and when it would never be prepared.
    pub fn checkpoint(&mut self, id: CheckpointId) -> Result<Frozen> {
        while !self.call(|writer, cx, dead| writer.prepare(cx, id, dead))?.is_complete() {
            self.turn()?;
        }
        let mut frozen = Frozen::default();
        self.writer.snapshot(id, &mut frozen)?;
        Ok(frozen)
    }

    /// The checkpoint is complete.
    ///
    /// # Errors
    /// The writer's own.
    pub fn completed(&mut self, id: CheckpointId) -> Result<()> {
        let writer = &mut self.writer;
        self.harness.call(|cx| writer.completed(cx, id))
    }

    /// The checkpoint will not complete.
    pub fn aborted(&mut self, id: CheckpointId) {
        let writer = &mut self.writer;
        self.harness.call(|cx| writer.aborted(cx, id));
    }

    /// Frees the writer.
    pub fn close(self) {
        drop(self);
    }

    /// What was refused so far.
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead.rec
    }

    /// What the writer waits for.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// When the writer wants to be resumed.
    pub fn wake_at(&self) -> Option<Time> {
        self.pace.wake_at()
    }

    /// Its subtask.
    pub fn harness(&self) -> &Harness {
        &self.harness
    }

    fn call(
        &mut self,
        call: impl FnOnce(&mut dyn SinkWriter<T>, &mut Context<'_>, &mut Rows<DeadLetter>) -> Result<Step>,
    ) -> Result<Step> {
        let (writer, dead) = (self.writer.as_mut(), &mut self.dead);
        let step = self.harness.call(|cx| call(writer, cx, dead))?;
        self.pace.add(step);
        Ok(step)
    }
}

impl<T: Data> std::fmt::Debug for DrivenWriter<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrivenWriter").field("pace", &self.pace).finish_non_exhaustive()
    }
}

/// What a caller cannot continue with.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::bug(message)
}
