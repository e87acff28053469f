//! A source's reader, driven by hand as a driver would.

use millstream_record::{Error, Record, Result};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{Polled, Source, Split, SplitReader};
use millstream_stage::split::SplitId;
use millstream_stage::{Budget, Rows};

use crate::harness::Harness;

/// The name under which the reader is opened and finds its metrics.
const SOURCE_NAME: &str = "source";

/// What one poll gave.
#[derive(Debug)]
pub enum Reading<T> {
    /// Rows of a split.
    Rows(SplitId, Rows<T>),
    /// Nothing is there yet.
    Pending,
    /// The split's end was reached.
    Finished(SplitId),
}

/// A reader with its subtask.
pub struct DrivenReader<T: Record> {
    harness: Harness,
    reader: Box<dyn SplitReader<Out = T>>,
    wake_at: Option<millstream_stage::time::Time>,
}

impl<T: Record> DrivenReader<T> {
    /// Opens a reader.
    ///
    /// # Errors
    /// The source's own.
    pub fn open<S: Source<Out = T>>(source: &S, harness: Harness) -> Result<Self> {
        let reader = source.reader(SOURCE_NAME, &mut harness.open_context())?;
        Ok(Self { harness, reader, wake_at: None })
    }

    /// Hands over splits.
    ///
    /// # Errors
    /// The reader's own.
    pub fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        self.reader.add_splits(splits)
    }

    /// Polls once, without waiting.
    ///
    /// # Errors
    /// The reader's own.
    pub fn poll(&mut self, records: usize) -> Result<Reading<T>> {
        let mut rows = Rows::default();
        let reader = &mut self.reader;
        let polled = self.harness.call(|cx| reader.poll(cx, Budget { records }, &mut rows))?;
        Ok(match polled {
            Polled::Rows(split) => Reading::Rows(split, rows),
            Polled::Finished(split) => Reading::Finished(split),
            Polled::Pending(wake_at) => {
                self.wake_at = wake_at;
                Reading::Pending
            }
        })
    }

    /// Polls until there is something, waiting as the reader asked for.
    ///
    /// # Errors
    /// The reader's own; and when nothing would ever wake it.
    pub fn next(&mut self, records: usize) -> Result<Reading<T>> {
        loop {
            match self.poll(records)? {
                Reading::Pending => self.wait()?,
                other => return Ok(other),
            }
        }
    }

    /// Waits for what the reader waits for since its last poll.
    ///
    /// # Errors
    /// When nothing would ever wake it.
    pub fn wait(&mut self) -> Result<()> {
        let waited = self.harness.wait(self.wake_at.take());
        waited.map_err(|error| error.in_context("the source's reader answered Pending"))
    }

    /// See [`SplitReader::is_at_end`].
    pub fn is_at_end(&self, split: &SplitId) -> bool {
        self.reader.is_at_end(split)
    }

    /// Stops reading these splits for a while.
    pub fn pause(&mut self, splits: &[SplitId]) {
        self.reader.pause(splits);
    }

    /// Goes on reading them.
    pub fn resume(&mut self, splits: &[SplitId]) {
        self.reader.resume(splits);
    }

    /// Every split that is not finished, at its position.
    ///
    /// # Errors
    /// The reader's own.
    pub fn snapshot(&mut self, id: CheckpointId) -> Result<Vec<Split>> {
        self.reader.snapshot(id)
    }

    /// Why a split ended before its end; asked when everything was read.
    pub fn damage(&mut self) -> Option<Error> {
        self.reader.damage()
    }

    /// The checkpoint is complete.
    ///
    /// # Errors
    /// The reader's own.
    pub fn completed(&mut self, id: CheckpointId) -> Result<()> {
        self.reader.completed(id)
    }

    /// Frees the reader.
    pub fn close(self) {
        drop(self);
    }

    /// Its subtask.
    pub fn harness(&self) -> &Harness {
        &self.harness
    }
}

impl<T: Record> std::fmt::Debug for DrivenReader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrivenReader").field("wake_at", &self.wake_at).finish_non_exhaustive()
    }
}
