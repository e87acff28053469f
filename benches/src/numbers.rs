//! A source of numbers in a random order, each once per pass, which goes on where a checkpoint left it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream::Budget;
use millstream::snapshot::CheckpointId;
use millstream::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader, deal,
    split_state,
};
use millstream::time::Time;
use millstream::{Context, OpenContext};
use millstream::{Result, Rows};

const SPLITS: u64 = 4;
const LOOK_AGAIN_MS: Time = 5;
// Coprime to every smaller number of keys: one step further is anywhere.
const STEP: u128 = 2_654_435_761;

/// Numbers below `keys`.
#[derive(Clone, Default)]
pub(crate) struct Numbers {
    /// How many there are.
    pub(crate) keys: u64,
    /// How often all of them come.
    pub(crate) passes: u64,
    /// Whether it ends after that, or waits.
    pub(crate) ends: bool,
    /// Where it waits for more, if it does.
    pub(crate) gate: Option<Arc<AtomicU64>>,
}

impl Source for Numbers {
    type Out = u64;

    fn kind(&self) -> &'static str {
        "numbers"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(self.clone())
    }

    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = u64>>> {
        Ok(Box::new(Reader { of: self.clone(), open: Vec::new() }))
    }
}

impl Enumerator for Numbers {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        match event {
            EnumeratorEvent::Start { restored: None } => {
                let splits = (0..SPLITS).map(|split| at(split.to_string().into(), split));
                Ok(deal(splits, cx.parallelism, true))
            }
            EnumeratorEvent::Start { restored: Some(_) } => Ok(deal([], cx.parallelism, true)),
            _ => Ok(Vec::new()),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct Reader {
    of: Numbers,
    // Each with its next position: its number, then steps of `SPLITS`.
    open: Vec<(Arc<str>, u64)>,
}

fn at(id: Arc<str>, position: u64) -> Split {
    Split { id, state: millstream::record::to_bytes(&position) }
}

impl SplitReader for Reader {
    type Out = u64;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        for split in splits {
            let position = split_state(&split)?;
            self.open.push((split.id, position));
        }
        Ok(())
    }

    fn pause(&mut self, _: &[Arc<str>]) {}

    fn resume(&mut self, _: &[Arc<str>]) {}

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<u64>) -> Result<Polled> {
        let Numbers { keys, passes, ends, ref gate } = self.of;
        let all = keys * passes;
        let upto = gate.as_ref().map_or(all, |gate| gate.load(Relaxed).min(all));
        let unread = self.open.iter().position(|(_, position)| *position < upto);
        let Some(place) = unread else {
            let finished = if ends && upto == all { self.open.pop() } else { None };
            let again = (upto < all).then(|| cx.now() + LOOK_AGAIN_MS);
            return Ok(finished.map_or(Polled::Pending(again), |(id, _)| Polled::Finished(id)));
        };
        let (id, position) = &mut self.open[place];
        for _ in 0..budget.records.min(4096) {
            if *position >= upto {
                break;
            }
            let number = u128::from(*position % keys) * STEP % u128::from(keys);
            rows.push(number as u64, Time::from((*position / keys) as u32));
            *position += SPLITS;
        }
        let id = Arc::clone(id);
        // Splits take turns.
        self.open.rotate_left(1);
        Ok(Polled::Rows(id))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        Ok(self.open.iter().map(|(id, position)| at(Arc::clone(id), *position)).collect())
    }
}
