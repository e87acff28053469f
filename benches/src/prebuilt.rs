//! A source of buffers that are there already.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use millstream::core::context::{Context, OpenContext};
use millstream::core::raw::RawBatch;
use millstream::core::snapshot::CheckpointId;
use millstream::core::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader, deal,
};
use millstream::core::stage::Budget;
use millstream::{Result, Rows};

/// Gives each buffer once, unchanged: the source itself costs next to nothing.
pub(crate) struct Prebuilt(Arc<Vec<Mutex<VecDeque<RawBatch>>>>);

impl Prebuilt {
    /// By split, its buffers.
    pub(crate) fn new(splits: Vec<Vec<RawBatch>>) -> Self {
        Self(Arc::new(splits.into_iter().map(|batches| Mutex::new(batches.into())).collect()))
    }
}

impl Source for Prebuilt {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "prebuilt"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(AllSplits(self.0.len()))
    }

    fn reader(&self) -> Box<dyn SplitReader<Out = RawBatch>> {
        Box::new(Reader { of: Arc::clone(&self.0), open: VecDeque::new() })
    }
}

struct AllSplits(usize);

impl Enumerator for AllSplits {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let EnumeratorEvent::Start { .. } = event else { return Ok(Vec::new()) };
        let splits =
            (0..self.0).map(|split| Split { id: split.to_string().into(), state: vec![split as u8] });
        Ok(deal(splits, cx.parallelism, true))
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct Reader {
    of: Arc<Vec<Mutex<VecDeque<RawBatch>>>>,
    open: VecDeque<Split>,
}

impl SplitReader for Reader {
    type Out = RawBatch;

    fn open(&mut self, _: &mut OpenContext) -> Result<()> {
        Ok(())
    }

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        self.open.extend(splits);
        Ok(())
    }

    fn pause(&mut self, _: &[Arc<str>]) {}

    fn resume(&mut self, _: &[Arc<str>]) {}

    fn poll(&mut self, _: &mut Context<'_>, _: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        let Some(split) = self.open.pop_front() else { return Ok(Polled::Pending(None)) };
        let batches = &self.of[usize::from(split.state[0])];
        let Some(batch) = batches.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
            return Ok(Polled::Finished(split.id));
        };
        rows.push(batch, millstream::core::time::MIN_TIME);
        let id = Arc::clone(&split.id);
        // To the back: splits take turns.
        self.open.push_back(split);
        Ok(Polled::Rows(id))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        Ok(self.open.iter().cloned().collect())
    }

    fn close(&mut self) {
        self.open.clear();
    }
}
