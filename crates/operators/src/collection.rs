//! A source of records that are there already, and a sink that keeps what comes: for examples and tests.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use millstream_record::record::to_bytes;
use millstream_record::{Data, Record, Result};
use millstream_stage::batch::Rows;
use millstream_stage::dead_letter::DeadLetter;
use millstream_stage::sink::{Guarantee, Sink, SinkWriter};
use millstream_stage::snapshot::{CheckpointId, Frozen};
use millstream_stage::source::{
    Enumerator, EnumeratorContext, EnumeratorEvent, Polled, Source, Split, SplitReader, deal, split_state,
};
use millstream_stage::split::SplitId;
use millstream_stage::time::{MIN_TIME, Time};
use millstream_stage::unwritten::Backlog;
use millstream_stage::{Budget, Context, OpenContext, Step};

/// Records in memory, as Flink's `fromData`.
#[derive(Clone, Debug)]
pub struct Collection<T> {
    rows: Arc<Vec<(T, Time)>>,
    splits: usize,
}

impl<T: Record + Sync> Collection<T> {
    /// Records without event time.
    pub fn of(records: impl IntoIterator<Item = T>) -> Self {
        Self::with_times(records.into_iter().map(|record| (record, MIN_TIME)))
    }

    /// Records with their event times.
    pub fn with_times(rows: impl IntoIterator<Item = (T, Time)>) -> Self {
        Self { rows: Arc::new(rows.into_iter().collect()), splits: 1 }
    }

    /// Deals the records out to so many splits, in turn.
    #[must_use]
    pub fn in_splits(mut self, splits: usize) -> Self {
        self.splits = splits.max(1);
        self
    }
}

impl<T: Record + Sync> Source for Collection<T> {
    type Out = T;

    fn kind(&self) -> &'static str {
        "collection"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(AllSplits(self.splits))
    }

    fn reader(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = T>>> {
        Ok(Box::new(Reader { of: self.clone(), open: VecDeque::new(), paused: Vec::new() }))
    }
}

struct AllSplits(usize);

impl Enumerator for AllSplits {
    fn on(
        &mut self,
        cx: &EnumeratorContext,
        event: EnumeratorEvent,
    ) -> Result<Vec<millstream_stage::source::Assignment>> {
        let splits = match event {
            EnumeratorEvent::Start { restored: None } => self.0,
            EnumeratorEvent::Start { restored: Some(_) } => 0,
            EnumeratorEvent::Returned { splits } => return Ok(deal(splits, cx.parallelism, true)),
            EnumeratorEvent::ReaderReady { .. } | EnumeratorEvent::Tick => return Ok(Vec::new()),
        };
        // The state of a split is the place of its next record.
        let all =
            (0..splits as u64).map(|first| Split { id: first.to_string().into(), state: to_bytes(&first) });
        Ok(deal(all, cx.parallelism, true))
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }
}

struct Reader<T> {
    of: Collection<T>,
    open: VecDeque<(SplitId, u64)>,
    paused: Vec<SplitId>,
}

impl<T: Record + Sync> SplitReader for Reader<T> {
    type Out = T;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        for split in splits {
            self.open.push_back((Arc::clone(&split.id), split_state(&split)?));
        }
        Ok(())
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.paused.extend_from_slice(splits);
    }

    fn resume(&mut self, splits: &[SplitId]) {
        self.paused.retain(|split| !splits.contains(split));
    }

    fn poll(&mut self, _: &mut Context<'_>, budget: Budget, rows: &mut Rows<T>) -> Result<Polled> {
        let Some(index) = self.open.iter().position(|(split, _)| !self.paused.contains(split)) else {
            return Ok(Polled::Pending(None));
        };
        let Some((split, mut next)) = self.open.remove(index) else { return Ok(Polled::Pending(None)) };
        if next as usize >= self.of.rows.len() {
            return Ok(Polled::Finished(split));
        }
        for _ in 0..budget.records {
            let Some((record, time)) = self.of.rows.get(next as usize) else { break };
            rows.push(record.clone(), *time);
            next += self.of.splits as u64;
        }
        // To the back: splits take turns.
        self.open.push_back((Arc::clone(&split), next));
        Ok(Polled::Rows(split))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Split>> {
        let splits = self.open.iter();
        Ok(splits.map(|(split, next)| Split { id: Arc::clone(split), state: to_bytes(next) }).collect())
    }
}

/// Keeps what a stream gives, from all subtasks.
#[derive(Clone, Debug)]
pub struct Collected<T>(Arc<Mutex<Vec<(T, Time)>>>);

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Data> Collected<T> {
    /// Takes the records so far, in the order in which they came.
    pub fn take(&self) -> Vec<T> {
        self.take_with_times().into_iter().map(|(record, _)| record).collect()
    }

    /// Takes the records so far with their event times.
    pub fn take_with_times(&self) -> Vec<(T, Time)> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl<T: Data> Sink<T> for Collected<T> {
    fn kind(&self) -> &'static str {
        "collect"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, _: &str, _: &mut OpenContext) -> Result<Box<dyn SinkWriter<T>>> {
        Ok(Box::new(Writer(self.clone())))
    }
}

struct Writer<T>(Collected<T>);

impl<T: Data> SinkWriter<T> for Writer<T> {
    fn write(&mut self, _: &mut Context<'_>, rows: &mut Rows<T>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        self.0.0.lock().extend(rows.drain());
        Ok(Step::DONE)
    }

    fn resume(&mut self, _: &mut Context<'_>, _: Budget, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn flush(&mut self, _: &mut Context<'_>, _: &mut Rows<DeadLetter>) -> Result<Step> {
        Ok(Step::DONE)
    }

    fn snapshot(&mut self, _: CheckpointId, _: &mut Frozen) -> Result<()> {
        Ok(())
    }

    fn backlog(&self) -> Option<Backlog> {
        Some(Backlog::default())
    }
}

#[cfg(test)]
mod tests {
    use millstream_record::record::from_bytes;

    use super::*;

    #[test]
    fn a_split_is_the_place_of_its_next_record() {
        let split = Split { id: "1".into(), state: to_bytes(&7_u64) };
        assert_eq!(split_state::<u64>(&split).unwrap(), 7);
        assert_eq!(from_bytes::<Split>(&to_bytes(&split)).unwrap(), split);
    }
}
