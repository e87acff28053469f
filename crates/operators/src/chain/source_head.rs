//! A stage that starts with a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_record::record::{Record, from_bytes, to_bytes};
use millstream_record::{Error, Result};
use millstream_stage::batch::{Batch, Rows};
use millstream_stage::context::{Context, OpenContext};
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::operator::{Push, SplitChange};
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::source::{Assignment, Polled, SPLITS, Source, Split, SplitControl, SplitReader};
use millstream_stage::split::SplitId;
use millstream_stage::stage::{End, InputId, Stage, no_such_input};
use millstream_stage::step::{Budget, Step};
use millstream_stage::time::{MAX_TIME, MIN_TIME, Time};
use millstream_stage::watermark::WatermarkEvent;

use crate::opened::Opened;

/// Milliseconds between two looks at which splits lag behind.
const LOOK_EVERY: Time = 100;

/// A source and the chain behind it. Its single input, 0, exists only to be ended. The reader is made when
/// the stage is opened.
pub struct SourceStage<T: Record> {
    name: Arc<str>,
    source: Arc<dyn Source<Out = T>>,
    opened: Opened<OpenSource<T>>,
    next: Box<dyn Push<T>>,
    rows: Rows<T>,
    // By split: whether the chain last heard that the split is at its end.
    splits: BTreeMap<SplitId, Option<bool>>,
    look_at: Time,
    // Splits that came back from a snapshot or were assigned, not yet reported to the chain.
    added: Vec<Split>,
    untold: bool,
    last_assigned: bool,
    // Between prepare and snapshot nothing is read, or a sink behind it would never be done flushing.
    preparing: bool,
    ending: Option<Ending>,
}

/// A source's reader and what is counted for it.
struct OpenSource<T> {
    reader: Box<dyn SplitReader<Out = T>>,
    metrics: Arc<OperatorMetrics>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Watermark,
    Flush(End),
    Done,
}

impl<T: Record> SourceStage<T> {
    /// A stage of a source under its name, and what follows it.
    pub fn new(name: Arc<str>, source: Arc<dyn Source<Out = T>>, next: Box<dyn Push<T>>) -> Self {
        Self {
            name,
            source,
            opened: Opened::default(),
            next,
            rows: Rows::default(),
            splits: BTreeMap::new(),
            look_at: MIN_TIME,
            added: Vec::new(),
            untold: false,
            last_assigned: false,
            preparing: false,
            ending: None,
        }
    }

    // The chain acts on it in the resume that follows.
    fn take_added(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        self.untold = false;
        let added = std::mem::take(&mut self.added);
        for split in &added {
            self.splits.insert(Arc::clone(&split.id), None);
            self.next.split(cx, &SplitChange::Added(Arc::clone(&split.id)))?;
        }
        self.next.split(cx, &SplitChange::Assigned)?;
        self.look_at = MIN_TIME;
        self.opened.get_mut()?.reader.add_splits(added)?;
        Ok(Step::MORE)
    }

    // Tells the chain which splits lag behind, now and then: what counts is silence, and that is long.
    fn look(&mut self, cx: &mut Context<'_>) -> Result<Step> {
        let reader = &self.opened.get()?.reader;
        if !reader.knows_ends() {
            return Ok(Step::DONE);
        }
        if cx.now() < self.look_at {
            return Ok(self.look_again());
        }
        self.look_at = cx.now().saturating_add(LOOK_EVERY);
        let mut step = self.look_again();
        let reader = &self.opened.get()?.reader;
        for (split, reported) in &mut self.splits {
            let at_end = Some(reader.is_at_end(split));
            if std::mem::replace(reported, at_end) != at_end {
                let id = Arc::clone(split);
                let at_end = at_end == Some(true);
                let change = if at_end { SplitChange::AtEnd(id) } else { SplitChange::Behind(id) };
                self.next.split(cx, &change)?;
                step = step.and(Step::MORE);
            }
        }
        Ok(step)
    }

    // Nobody wakes the stage when a split without records turns out to be at its end.
    fn look_again(&self) -> Step {
        let lags = self.splits.values().any(|reported| *reported != Some(true));
        if lags { Step::wake_at(self.look_at) } else { Step::DONE }
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let polled = self.opened.get_mut()?.reader.poll(cx, budget, &mut self.rows);
        match polled.map_err(|error| error.in_operator(&self.name))? {
            Polled::Rows(split) => self.hand_on(cx, split),
            Polled::Pending(wake_at) => Ok(Step { wake_at, ..Step::DONE }),
            Polled::Finished(split) => {
                self.splits.remove(&split);
                self.next.split(cx, &SplitChange::Removed(split))?;
                Ok(Step::MORE)
            }
        }
    }

    fn hand_on(&mut self, cx: &mut Context<'_>, split: SplitId) -> Result<Step> {
        let records: usize = self.rows.rec.iter().map(Record::weight).sum();
        let bytes: usize = self.rows.rec.iter().map(Record::heap_size).sum();
        let metrics = &self.opened.get()?.metrics;
        metrics.records_out.add(records as u64);
        metrics.bytes_in.add(bytes as u64);
        cx.ingest = cx.nanos();
        cx.split = Some(split);
        let step = self.next.rows(cx, &mut self.rows)?;
        self.rows.clear();
        cx.split = None;
        Ok(step.and(Step::MORE))
    }

    // One thing per call: the final watermark, then the flush.
    fn go_on_ending(&mut self, cx: &mut Context<'_>, ending: Ending) -> Result<Step> {
        let (step, following) = match ending {
            Ending::Watermark => (
                self.next.on_watermark(cx, WatermarkEvent::Watermark(MAX_TIME))?.and(Step::MORE),
                Ending::Flush(End::Finished),
            ),
            Ending::Flush(end) => {
                let step = self.next.end(cx, end)?;
                (step, if step.is_complete() { Ending::Done } else { ending })
            }
            Ending::Done => (Step::DONE, Ending::Done),
        };
        self.ending = Some(following);
        Ok(step)
    }
}

impl<T: Record> Stage for SourceStage<T> {
    fn open(&mut self, cx: &mut OpenContext) -> Result<()> {
        let metrics = cx.metrics_of(&self.name);
        let reader = self.source.reader(&self.name, cx).map_err(|error| error.in_operator(&self.name))?;
        self.opened.open(OpenSource { reader, metrics });
        for bytes in cx.restored.take_list(&self.name, SPLITS) {
            self.added.push(from_bytes(&bytes)?);
            self.untold = true;
        }
        self.next.open(cx)
    }

    fn process(&mut self, _: &mut Context<'_>, input: InputId, _: Batch) -> Result<Step> {
        Err(no_such_input(input))
    }

    fn on_watermark(&mut self, _: &mut Context<'_>, input: InputId, _: WatermarkEvent) -> Result<Step> {
        Err(no_such_input(input))
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Step> {
        let step = self.next.resume(cx, budget)?;
        if !step.is_complete() || self.preparing {
            return Ok(step);
        }
        if let Some(ending) = self.ending {
            return Ok(step.and(self.go_on_ending(cx, ending)?));
        }
        if self.untold {
            return Ok(step.and(self.take_added(cx)?));
        }
        let step = step.and(self.look(cx)?);
        Ok(step.and(self.poll(cx, budget)?))
    }

    fn prepare(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<Step> {
        self.preparing = true;
        self.next.prepare(cx, id)
    }

    fn snapshot(&mut self, _: &mut Context<'_>, id: CheckpointId) -> Result<Frozen> {
        self.preparing = false;
        let mut frozen = Frozen::default();
        let splits = self.opened.get_mut()?.reader.snapshot(id)?;
        let items = splits.iter().chain(&self.added).map(to_bytes).collect();
        let (operator, state) = (self.name.to_string(), SPLITS.to_owned());
        frozen.lists.push(OperatorList { operator, state, items, redistribute: Redistribute::Split });
        self.next.snapshot(id, &mut frozen)?;
        Ok(frozen)
    }

    fn completed(&mut self, cx: &mut Context<'_>, id: CheckpointId) -> Result<()> {
        self.opened.get_mut()?.reader.completed(id)?;
        self.next.completed(cx, id)
    }

    fn aborted(&mut self, cx: &mut Context<'_>, id: CheckpointId) {
        self.preparing = false;
        self.next.aborted(cx, id);
    }

    fn end_of_input(&mut self, _: &mut Context<'_>, input: InputId, end: End) -> Result<Step> {
        if input != 0 {
            return Err(no_such_input(input));
        }
        self.ending = Some(match end {
            End::Finished => Ending::Watermark,
            End::Stopped => Ending::Flush(End::Stopped),
        });
        Ok(Step::MORE)
    }

    fn close(&mut self) {
        self.opened.close();
        self.next.close();
    }

    fn source(&mut self) -> Option<&mut dyn SplitControl> {
        Some(self)
    }
}

impl<T: Record> SplitControl for SourceStage<T> {
    fn assign(&mut self, _: &mut Context<'_>, assignment: Assignment) -> Result<()> {
        self.added.extend(assignment.splits);
        self.untold = true;
        self.last_assigned |= assignment.last;
        Ok(())
    }

    fn pause(&mut self, splits: &[SplitId]) {
        if let Some(source) = self.opened.if_open() {
            source.reader.pause(splits);
        }
    }

    fn resume(&mut self, splits: &[SplitId]) {
        if let Some(source) = self.opened.if_open() {
            source.reader.resume(splits);
        }
    }

    fn is_finished(&self) -> bool {
        self.last_assigned && self.added.is_empty() && self.splits.is_empty()
    }

    fn damage(&mut self) -> Option<Error> {
        let damage = self.opened.if_open()?.reader.damage();
        damage.map(|error| error.in_operator(&self.name))
    }

    fn is_waiting(&self) -> bool {
        !self.last_assigned && self.added.is_empty() && self.splits.is_empty()
    }
}
