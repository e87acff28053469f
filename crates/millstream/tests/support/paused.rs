//! A collection of which each split is read up to a point, and then no further until the job is over.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use millstream::SplitId;
use millstream::prelude::*;
use millstream::snapshot::CheckpointId;
use millstream::source::{Enumerator, Polled, Source, Split, SplitReader};
use millstream::{Budget, Context, OpenContext, Rows};

/// A collection that each split of which gives `records` and then waits.
pub(crate) struct Paused<T> {
    of: Collection<T>,
    records: usize,
    reached: SyncSender<SplitId>,
}

/// Hears when splits have given what they may.
pub(crate) struct Reached(Receiver<SplitId>);

impl Reached {
    /// Waits for so many splits.
    pub(crate) fn wait(&self, splits: usize) {
        (0..splits).for_each(|_| drop(self.0.recv().expect("the job reads on until then")));
    }
}

impl<T: Record + Sync> Paused<T> {
    /// The first `records` of each split.
    pub(crate) fn after(records: usize, of: Collection<T>) -> (Self, Reached) {
        let (reached, hears) = sync_channel(64);
        (Self { of, records, reached }, Reached(hears))
    }
}

impl<T: Record + Sync> Source for Paused<T> {
    type Out = T;

    fn kind(&self) -> &'static str {
        self.of.kind()
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        self.of.enumerator()
    }

    fn reader(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = T>>> {
        let (reached, given) = (self.reached.clone(), BTreeMap::new());
        let of = self.of.reader(name, cx)?;
        Ok(Box::new(PausedReader { of, records: self.records, given, reached }))
    }
}

struct PausedReader<T: Record> {
    of: Box<dyn SplitReader<Out = T>>,
    records: usize,
    given: BTreeMap<SplitId, usize>,
    reached: SyncSender<SplitId>,
}

impl<T: Record> SplitReader for PausedReader<T> {
    type Out = T;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        self.given.extend(splits.iter().map(|split| (SplitId::clone(&split.id), 0)));
        self.of.add_splits(splits)
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.of.pause(splits);
    }

    fn resume(&mut self, splits: &[SplitId]) {
        let open = |split: &&SplitId| self.given.get(*split).is_none_or(|given| *given < self.records);
        let open: Vec<_> = splits.iter().filter(open).cloned().collect();
        self.of.resume(&open);
    }

    // One record at a time, so that the point is met exactly.
    fn poll(&mut self, cx: &mut Context<'_>, _: Budget, rows: &mut Rows<T>) -> Result<Polled> {
        let polled = self.of.poll(cx, Budget { records: 1 }, rows)?;
        if let Polled::Rows(split) = &polled {
            let given = self.given.entry(SplitId::clone(split)).or_default();
            *given += 1;
            if *given == self.records {
                self.of.pause(std::slice::from_ref(split));
                let _ = self.reached.send(SplitId::clone(split));
            }
        }
        Ok(polled)
    }

    fn snapshot(&mut self, id: CheckpointId) -> Result<Vec<Split>> {
        self.of.snapshot(id)
    }
}
