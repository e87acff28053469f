//! Reads the recording's splits of one subtask and gives them anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_record::key::hash_bytes;
use millstream_record::record::to_bytes;
use millstream_record::{Error, Result};
use millstream_stage::Budget;
use millstream_stage::batch::Rows;
use millstream_stage::context::Context;
use millstream_stage::raw::RawBatch;
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::source::{Polled, Split, SplitReader, split_state};
use millstream_stage::split::SplitId;
use millstream_stage::time::{MIN_TIME, Nanos, Time};

use super::config::{ReplayOptions, Speed};
use super::format::Format;
use super::shuffle::Shuffle;
use super::split::ReplaySplit;
use crate::pace::wake_at;

// How often one poll asks the source below before it lets others have their turn.
const READS_PER_POLL: usize = 8;

/// One per subtask.
pub(crate) struct ReplayReader {
    inner: Box<dyn SplitReader<Out = RawBatch>>,
    options: Arc<ReplayOptions>,
    format: Arc<dyn Format>,
    parts: Vec<ReplayedSplit>,
    // Everything of them was given. One that the source below keeps in its snapshot is damaged, and stays in
    // this one, too.
    finished: Vec<ReplayedSplit>,
    paused: BTreeSet<SplitId>,
    rows: Rows<RawBatch>,
}

struct ReplayedSplit {
    id: SplitId,
    shuffle: Shuffle,
    given: i64,
    // When and with which place the first message was given.
    begun: Option<(Nanos, Time)>,
    inner_paused: bool,
}

enum ReplayTurn {
    Rows(RawBatch),
    Finished,
    // The next message is not due before this time.
    Wait(Time),
    // Something must be read first.
    Read,
}

impl ReplayReader {
    pub(crate) fn new(
        inner: Box<dyn SplitReader<Out = RawBatch>>,
        options: Arc<ReplayOptions>,
        format: Arc<dyn Format>,
    ) -> Self {
        let (parts, finished, paused) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { inner, options, format, parts, finished, paused, rows: Rows::default() }
    }

    fn add_split(&mut self, split: &Split, inner: &mut Vec<Split>) -> Result<()> {
        let mut state: ReplaySplit = split_state(split)?;
        if !state.read {
            inner.push(Split { id: Arc::clone(&split.id), state: std::mem::take(&mut state.inner) });
        }
        let (options, format) = (Arc::clone(&self.options), Arc::clone(&self.format));
        let (stream, given) = (hash_bytes(split.id.as_bytes()), state.given);
        let shuffle = Shuffle::new(options, format, stream, state);
        let id = Arc::clone(&split.id);
        self.parts.push(ReplayedSplit { id, shuffle, given, begun: None, inner_paused: false });
        Ok(())
    }

    // Goes round the splits until one has something to give.
    fn give(&mut self, cx: &Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Given {
        let mut given = Given::Nothing { wait: None, read: false };
        for _ in 0..self.parts.len() {
            self.parts.rotate_left(1);
            let last = self.parts.len() - 1;
            let part = &mut self.parts[last];
            if self.paused.contains(&part.id) {
                continue;
            }
            let turn = part.turn(cx, budget, self.options.speed);
            part.hold_back(&mut *self.inner, matches!(turn, ReplayTurn::Wait(_)));
            match turn {
                ReplayTurn::Rows(batch) => {
                    rows.push(batch, MIN_TIME);
                    return Given::Polled(Polled::Rows(Arc::clone(&part.id)));
                }
                ReplayTurn::Finished => {
                    let part = self.parts.remove(last);
                    self.paused.remove(&part.id);
                    let id = Arc::clone(&part.id);
                    self.finished.push(part);
                    return Given::Polled(Polled::Finished(id));
                }
                other => given.note(&other),
            }
        }
        given
    }

    // One poll of the source below; when to come again, where it has nothing.
    fn read(&mut self, cx: &mut Context<'_>, budget: Budget) -> Result<Option<Option<Time>>> {
        self.rows.clear();
        match self.inner.poll(cx, budget, &mut self.rows)? {
            Polled::Pending(wait) => return Ok(Some(wait)),
            Polled::Rows(split) => {
                let part = self.part(&split)?;
                let rows = std::mem::take(&mut self.rows);
                for batch in &rows.rec {
                    batch.iter().for_each(|line| self.parts[part].shuffle.push(line));
                    // What the source could not give whole is no event either way.
                    batch.refused().iter().for_each(|line| self.parts[part].shuffle.push(line.as_raw()));
                }
                self.rows = rows;
            }
            Polled::Finished(split) => {
                let part = self.part(&split)?;
                self.parts[part].shuffle.end();
            }
        }
        Ok(None)
    }

    fn part(&self, split: &SplitId) -> Result<usize> {
        let found = self.parts.iter().position(|part| part.id == *split);
        found.ok_or_else(|| {
            Error::bug(format!("the replayed source gives split {split}, which it was not given"))
        })
    }
}

enum Given {
    Polled(Polled),
    Nothing { wait: Option<Time>, read: bool },
}

impl Given {
    fn note(&mut self, turn: &ReplayTurn) {
        if let Self::Nothing { wait, read } = self {
            match turn {
                ReplayTurn::Wait(time) => *wait = earliest(*wait, Some(*time)),
                _ => *read = true,
            }
        }
    }
}

fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    one.into_iter().chain(other).min()
}

impl ReplayedSplit {
    fn turn(&mut self, cx: &Context<'_>, budget: Budget, speed: Speed) -> ReplayTurn {
        if self.shuffle.is_finished() {
            return ReplayTurn::Finished;
        }
        let Some(place) = self.shuffle.next_place() else { return ReplayTurn::Read };
        let until = match speed {
            Speed::Max => Time::MAX,
            Speed::Times(times) => self.due_until(cx.nanos(), place, times),
        };
        if let (true, Speed::Times(times)) = (place > until, speed) {
            let wait = (place - until) as f64 / times;
            return ReplayTurn::Wait(wake_at(cx.now(), std::time::Duration::from_secs_f64(wait / 1000.0)));
        }
        ReplayTurn::Rows(self.take(until, budget.records.max(1)))
    }

    // The place up to which everything is due by the clock. What has no time is due at once.
    fn due_until(&mut self, nanos: Nanos, place: Time, times: f64) -> Time {
        if self.begun.is_none() && place > MIN_TIME {
            self.begun = Some((nanos, place));
        }
        let Some((begun, first)) = self.begun else { return place };
        let passed = nanos.saturating_sub(begun) as f64 / 1e6 * times;
        first.saturating_add(passed as Time)
    }

    fn snapshot(&self, read: bool, inner: Option<&Split>) -> Split {
        let state = ReplaySplit {
            inner: inner.map(|split| split.state.clone()).unwrap_or_default(),
            read,
            given: self.given,
            newest: self.shuffle.newest(),
            ready: self.shuffle.ready(),
            pending: self.shuffle.pending(),
        };
        Split { id: Arc::clone(&self.id), state: to_bytes(&state) }
    }

    fn take(&mut self, until: Time, most: usize) -> RawBatch {
        let mut batch = RawBatch::new(Arc::clone(&self.id));
        while batch.len() < most && self.shuffle.next_place().is_some_and(|place| place <= until) {
            let Some(message) = self.shuffle.pop() else { break };
            self.given += 1;
            batch.push(&message.bytes, self.given, message.time);
        }
        batch
    }

    // What waits for its time is enough: no more of this split is read meanwhile.
    fn hold_back(&mut self, inner: &mut dyn SplitReader<Out = RawBatch>, hold: bool) {
        if hold != self.inner_paused && !self.shuffle.is_read() {
            let split = std::slice::from_ref(&self.id);
            if hold {
                inner.pause(split);
            } else {
                inner.resume(split);
            }
            self.inner_paused = hold;
        }
    }
}

impl SplitReader for ReplayReader {
    type Out = RawBatch;

    fn add_splits(&mut self, splits: Vec<Split>) -> Result<()> {
        let mut inner = Vec::new();
        splits.iter().try_for_each(|split| self.add_split(split, &mut inner))?;
        self.inner.add_splits(inner)
    }

    fn pause(&mut self, splits: &[SplitId]) {
        self.paused.extend(splits.iter().cloned());
        self.inner.pause(splits);
    }

    fn resume(&mut self, splits: &[SplitId]) {
        splits.iter().for_each(|split| {
            self.paused.remove(split);
        });
        self.inner.resume(splits);
        self.parts
            .iter_mut()
            .filter(|part| splits.contains(&part.id))
            .for_each(|part| part.inner_paused = false);
    }

    fn poll(&mut self, cx: &mut Context<'_>, budget: Budget, rows: &mut Rows<RawBatch>) -> Result<Polled> {
        for _ in 0..READS_PER_POLL {
            let wait = match self.give(cx, budget, rows) {
                Given::Polled(polled) => return Ok(polled),
                Given::Nothing { wait, read: false } => return Ok(Polled::Pending(wait)),
                Given::Nothing { wait, .. } => wait,
            };
            if let Some(inner) = self.read(cx, budget)? {
                return Ok(Polled::Pending(earliest(wait, inner)));
            }
        }
        // Read, but nothing to give yet: go on at once.
        Ok(Polled::Pending(Some(cx.now())))
    }

    fn is_at_end(&self, split: &SplitId) -> bool {
        let holds = |part: &ReplayedSplit| part.id == *split && !part.shuffle.is_empty();
        self.inner.is_at_end(split) && !self.parts.iter().any(holds)
    }

    fn knows_ends(&self) -> bool {
        self.inner.knows_ends()
    }

    fn damage(&mut self) -> Option<Error> {
        self.inner.damage()
    }

    fn snapshot(&mut self, id: CheckpointId) -> Result<Vec<Split>> {
        let inner = self.inner.snapshot(id)?;
        let of = |part: &ReplayedSplit| inner.iter().find(|split| split.id == part.id);
        let damaged = self.finished.iter().filter_map(|part| Some(part.snapshot(false, Some(of(part)?))));
        let open = self.parts.iter().map(|part| part.snapshot(part.shuffle.is_read(), of(part)));
        Ok(open.chain(damaged).collect())
    }

    fn completed(&mut self, id: CheckpointId) -> Result<()> {
        self.inner.completed(id)
    }
}
