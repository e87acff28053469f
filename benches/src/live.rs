//! A source of what is given to it while it runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use millstream::Budget;
use millstream::RawBatch;
use millstream::snapshot::CheckpointId;
use millstream::source::{Enumerator, Polled, Source, Split, SplitReader};
use millstream::time::MIN_TIME;
use millstream::{Context, OpenContext};
use millstream::{Result, Rows};
use parking_lot::{Mutex, MutexGuard};

use crate::prebuilt::AllSplits;

#[derive(Default)]
struct State {
    batches: VecDeque<RawBatch>,
    ended: bool,
    waker: Option<Waker>,
}

/// One split of buffers that come one at a time.
pub(crate) struct Live(LiveInput);

/// Where they are given.
#[derive(Clone, Default)]
pub(crate) struct LiveInput(Arc<Mutex<State>>);

impl Live {
    /// A source, for one subtask, and its input.
    pub(crate) fn new() -> (LiveInput, Self) {
        let input = LiveInput::default();
        (input.clone(), Self(input))
    }
}

impl LiveInput {
    /// One more buffer.
    pub(crate) fn give(&self, batch: RawBatch) {
        self.change(|state| state.batches.push_back(batch));
    }

    /// No more will come.
    pub(crate) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl Source for Live {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "live"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(AllSplits(1))
    }

    fn reader(&self, _: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        self.0.lock().waker = Some(cx.waker.clone());
        Ok(Box::new(Reader { input: self.0.clone(), split: None }))
    }
}

struct Reader {
    input: LiveInput,
    split: Option<Split>,
}

impl SplitReader for Reader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        self.split = splits.into_iter().next();
        Ok(())
    }

    fn pause(&mut self, _: &[Arc<str>]) {}

    fn resume(&mut self, _: &[Arc<str>]) {}

    fn poll(&mut self, _: &mut Context<'_>, _: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        let mut state = self.input.lock();
        let Some(split) = &self.split else { return Ok(Polled::Pending(None)) };
        let id = Arc::clone(&split.id);
        if let Some(batch) = state.batches.pop_front() {
            rows.push(batch, MIN_TIME);
            return Ok(Polled::Rows(id));
        }
        if state.ended {
            self.split = None;
            return Ok(Polled::Finished(id));
        }
        Ok(Polled::Pending(None))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        Ok(self.split.iter().cloned().collect())
    }
}
