//! A split that has nothing to read for a while.

use millstream::connectors::generator::{GeneratorOptions, GeneratorSource};
use millstream::prelude::*;
use millstream::snapshot::CheckpointId;
use millstream::source::{Assignment, EnumeratorContext, EnumeratorEvent, Polled, Split};
use millstream::{Budget, Context, Enumerator, OpenContext, RawBatch, Rows, Source, SplitId, SplitReader};

/// The name of the split.
const QUIET: &str = "quiet";

/// Generated traffic, and a split beside it that has no record and ends after a time.
pub(crate) struct TrafficAndQuiet {
    pub(crate) traffic: GeneratorOptions,
    pub(crate) quiet: Duration,
}

impl TrafficAndQuiet {
    fn traffic(&self) -> GeneratorSource {
        GeneratorSource::new(self.traffic.clone())
    }
}

impl Source for TrafficAndQuiet {
    type Out = RawBatch;

    fn kind(&self) -> &'static str {
        "generator"
    }

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(QuietEnumerator(self.traffic().enumerator()))
    }

    fn reader(&self, name: &str, cx: &mut OpenContext) -> Result<Box<dyn SplitReader<Out = RawBatch>>> {
        let traffic = self.traffic().reader(name, cx)?;
        Ok(Box::new(QuietReader { traffic, quiet: self.quiet, split: None, ends: None }))
    }
}

struct QuietEnumerator(Box<dyn Enumerator>);

impl Enumerator for QuietEnumerator {
    fn on(&mut self, cx: &EnumeratorContext, event: EnumeratorEvent) -> Result<Vec<Assignment>> {
        let fresh = matches!(event, EnumeratorEvent::Start { restored: None });
        let mut assignments = self.0.on(cx, event)?;
        // The generator deals its splits out from the first subtask on.
        if let Some(last) = assignments.last_mut().filter(|_| fresh) {
            last.splits.push(Split { id: QUIET.into(), state: Vec::new() });
        }
        Ok(assignments)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.snapshot()
    }
}

struct QuietReader {
    traffic: Box<dyn SplitReader<Out = RawBatch>>,
    quiet: Duration,
    split: Option<Split>,
    ends: Option<Time>,
}

impl SplitReader for QuietReader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        let (quiet, traffic) = splits.into_iter().partition(|split| &*split.id == QUIET);
        self.split = Vec::into_iter(quiet).next().or(self.split.take());
        self.traffic.add_splits(traffic)
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.traffic.pause(splits);
    }

    fn resume(&mut self, splits: &[SplitId]) {
        self.traffic.resume(splits);
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        let polled = self.traffic.poll(cx, budget, rows)?;
        let (Polled::Pending(at), Some(split)) = (&polled, &self.split) else { return Ok(polled) };
        let now = cx.now();
        let ends = *self.ends.get_or_insert(now + self.quiet.as_millis() as Time);
        if now < ends {
            return Ok(Polled::Pending(Some(at.unwrap_or(ends).min(ends))));
        }
        let id = split.id.clone();
        self.split = None;
        Ok(Polled::Finished(id))
    }

    /// The generator's splits are never idle, however slow the machine is.
    fn is_at_end(&self, split: &SplitId) -> bool {
        &**split == QUIET
    }

    fn snapshot(&mut self, id: CheckpointId) -> Result<Vec<Split>> {
        let mut splits = self.traffic.snapshot(id)?;
        splits.extend(self.split.clone());
        Ok(splits)
    }
}
