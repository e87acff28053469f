//! A source of buffers that are there already.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millstream::Budget;
use millstream::RawBatch;
use millstream::snapshot::CheckpointId;
use millstream::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader, deal,
};
use millstream::time::{MIN_TIME, Nanos, Time, nanos};
use millstream::{Context, OpenContext};
use millstream::{Result, Rows};
use parking_lot::Mutex;

/// Gives each buffer once, unchanged: the source itself costs next to nothing.
pub(crate) struct Prebuilt {
    batches: Batches,
    pause: Option<Duration>,
}

type Batches = Arc<Vec<Mutex<VecDeque<RawBatch>>>>;

impl Prebuilt {
    /// By split, its buffers.
    pub(crate) fn new(splits: Vec<Vec<RawBatch>>) -> Self {
        let batches = splits.into_iter().map(|batches| Mutex::new(batches.into()));
        Self { batches: Arc::new(batches.collect()), pause: None }
    }

    /// Each reader gives one buffer per `pause`, and catches up when it was held up.
    pub(crate) fn paced(self, pause: Duration) -> Self {
        Self { pause: Some(pause), ..self }
    }
}

impl Source for Prebuilt {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "prebuilt"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(AllSplits(self.batches.len()))
    }

    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        let of = Arc::clone(&self.batches);
        Ok(Box::new(Reader { of, open: VecDeque::new(), pause: self.pause, due: 0 }))
    }
}

/// Assigns so many splits at once; the state of each is its number.
pub(crate) struct AllSplits(pub(crate) usize);

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
    of: Batches,
    open: VecDeque<Split>,
    pause: Option<Duration>,
    /// By the monotonic clock: when the next buffer may go.
    due: Nanos,
}

impl Reader {
    // When to come back, in ms of processing time, if it is too early.
    fn too_early(&mut self, cx: &Context<'_>) -> Option<Time> {
        let pause = nanos(self.pause?);
        let now = cx.nanos();
        if now < self.due {
            return Some(cx.now() + (self.due - now).div_ceil(1_000_000) as Time);
        }
        self.due = if self.due == 0 { now } else { self.due } + pause;
        None
    }
}

impl SplitReader for Reader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        self.open.extend(splits);
        Ok(())
    }

    fn pause(&mut self, _: &[Arc<str>]) {}

    fn resume(&mut self, _: &[Arc<str>]) {}

    fn poll(&mut self, cx: &mut Context<'_>, _: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        if let Some(time) = self.too_early(cx) {
            return Ok(Polled::Pending(Some(time)));
        }
        let Some(split) = self.open.pop_front() else { return Ok(Polled::Pending(None)) };
        let batches = &self.of[usize::from(split.state[0])];
        let Some(batch) = batches.lock().pop_front() else {
            return Ok(Polled::Finished(split.id));
        };
        rows.push(batch, MIN_TIME);
        let id = Arc::clone(&split.id);
        // To the back: splits take turns.
        self.open.push_back(split);
        Ok(Polled::Rows(id))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        Ok(self.open.iter().cloned().collect())
    }
}
