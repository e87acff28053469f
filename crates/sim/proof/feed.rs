//! An input without an end: some of its splits stay empty, some are found only while the job runs.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Record, Result};
use millstream_stage::context::OpenContext;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{
    Assignment, Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader,
    split_state,
};
use millstream_stage::split::SplitId;
use millstream_stage::step::Budget;
use millstream_stage::{Context, Rows};

/// How often the enumerator looks for new splits.
const LOOK_EVERY: Duration = Duration::from_millis(8);

/// The splits, each with its records, and how many of them are there when the job starts. The others appear
/// one by one.
#[derive(Clone)]
pub(crate) struct Feed<T> {
    pub(crate) splits: Arc<Vec<Vec<T>>>,
    pub(crate) at_start: usize,
}

impl<T: Record + Sync> Source for Feed<T> {
    type Out = T;

    fn kind(&self) -> &'static str {
        "feed"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(Finder { there: self.at_start, splits: self.splits.len(), assigned: BTreeSet::new() })
    }

    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = T>>> {
        Ok(Box::new(Reader { splits: Arc::clone(&self.splits), open: VecDeque::new() }))
    }
}

struct Finder {
    /// How many splits exist by now.
    there: usize,
    splits: usize,
    assigned: BTreeSet<u64>,
}

impl Finder {
    // Only readers for which there is something are told: the driver sees to the others.
    fn assign_new(&mut self, parallelism: u16) -> Vec<Assignment> {
        let all = 0..self.there as u64;
        let new: Vec<_> = all.filter(|split| self.assigned.insert(*split)).collect();
        let assign = |split: u64| Assignment {
            subtask: (split % u64::from(parallelism)) as u16,
            splits: vec![Split { id: split.to_string().into(), state: to_bytes(&0_u64) }],
            last: false,
        };
        new.into_iter().map(assign).collect()
    }
}

impl Enumerator for Finder {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        match event {
            EnumeratorEvent::Start { restored } => {
                let assigned = restored.map(|bytes| from_bytes::<Vec<u64>>(&bytes)).transpose()?;
                self.assigned = assigned.unwrap_or_default().into_iter().collect();
                self.there = self.there.max(self.assigned.len());
            }
            EnumeratorEvent::Tick => self.there = self.splits.min(self.there + 1),
            EnumeratorEvent::ReaderReady { .. } | EnumeratorEvent::Returned { .. } => return Ok(Vec::new()),
        }
        Ok(self.assign_new(cx.parallelism))
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(LOOK_EVERY)
    }

    fn snapshot(&self) -> Vec<u8> {
        to_bytes(&self.assigned.iter().copied().collect::<Vec<u64>>())
    }
}

struct Reader<T> {
    splits: Arc<Vec<Vec<T>>>,
    /// With the place of each split's next record.
    open: VecDeque<(SplitId, u64)>,
}

impl<T> Reader<T> {
    fn records(&self, split: &SplitId) -> &[T] {
        split.parse().ok().and_then(|number: usize| self.splits.get(number)).map_or(&[], Vec::as_slice)
    }
}

impl<T: Record + Sync> SplitReader for Reader<T> {
    type Out = T;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        for split in splits {
            self.open.push_back((Arc::clone(&split.id), split_state(&split)?));
        }
        Ok(())
    }

    fn pause(&mut self, _: &[SplitId]) {}

    fn resume(&mut self, _: &[SplitId]) {}

    fn poll(&mut self, _: &mut Context<'_>, budget: Budget, rows: &mut Rows<T>) -> Result<Polled> {
        for _ in 0..self.open.len() {
            // To the back: splits take turns.
            self.open.rotate_left(1);
            let Some((split, next)) = self.open.back().cloned() else { break };
            let left = self.records(&split).get(next as usize..).unwrap_or_default();
            if left.is_empty() {
                continue;
            }
            let read = left.len().min(budget.records);
            left[..read].iter().for_each(|record| rows.push(record.clone(), 0));
            if let Some((_, next)) = self.open.back_mut() {
                *next += read as u64;
            }
            return Ok(Polled::Rows(split));
        }
        Ok(Polled::Pending(None))
    }

    fn is_at_end(&self, split: &SplitId) -> bool {
        let open = self.open.iter().find(|(other, _)| other == split);
        open.is_none_or(|(split, next)| *next as usize >= self.records(split).len())
    }

    fn knows_ends(&self) -> bool {
        true
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        let splits = self.open.iter();
        Ok(splits.map(|(split, next)| Split { id: Arc::clone(split), state: to_bytes(next) }).collect())
    }
}
