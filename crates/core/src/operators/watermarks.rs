//! Event times and watermarks, per split.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::SplitId;
use crate::figures::OperatorFigures;
use crate::operator::SplitChange;
use crate::record::{from_bytes, to_bytes};
use crate::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use crate::time::{MIN_TIME, Time, millis};
use crate::{Budget, Context, Data, Mark, OpenContext, Operator, Output, Result, Rows, Step};

const SPLITS: &str = "watermarks";

/// The one split of an input that does not come from a source.
const WHOLE_INPUT: &str = "";

/// Reads a record's event time.
pub type TimestampFn<T> = Arc<dyn Fn(&T) -> Time + Send + Sync>;

/// Reads a watermark from a record that carries one.
pub type PunctuationFn<T> = Arc<dyn Fn(&T, Time) -> Option<Time> + Send + Sync>;

/// How event time is found in records, as Flink's `WatermarkStrategy`.
#[derive(Clone)]
pub struct WatermarkStrategy<T> {
    timestamps: Option<TimestampFn<T>>,
    progress: Progress<T>,
    idleness: Option<Time>,
    tolerance: Option<Time>,
}

#[derive(Clone)]
enum Progress<T> {
    Bounded(Time),
    Punctuated(PunctuationFn<T>),
}

impl<T> WatermarkStrategy<T> {
    /// Records are at most this much out of order: the watermark is the highest time seen, less the bound, less 1 ms.
    pub fn bounded_out_of_orderness(bound: Duration) -> Self {
        Self::new(Progress::Bounded(millis(bound)))
    }

    /// Times within a split never fall.
    pub fn monotonous() -> Self {
        Self::bounded_out_of_orderness(Duration::ZERO)
    }

    /// Some records carry a watermark, for their split.
    pub fn punctuated(watermark: impl Fn(&T, Time) -> Option<Time> + Send + Sync + 'static) -> Self {
        Self::new(Progress::Punctuated(Arc::new(watermark)))
    }

    fn new(progress: Progress<T>) -> Self {
        Self { timestamps: None, progress, idleness: Some(30_000), tolerance: Some(60_000) }
    }

    /// Where the event time stands in a record; without this the decoder's time stays.
    #[must_use]
    pub fn with_timestamps(mut self, time: impl Fn(&T) -> Time + Send + Sync + 'static) -> Self {
        self.timestamps = Some(Arc::new(time));
        self
    }

    /// After how much silence a split no longer holds the watermark back; 30 s by default. Time spent back-pressured does not count, nor
    /// while its reader lags behind or its system cannot be reached. A split whose reader says that it is empty does not hold it at all.
    #[must_use]
    pub fn with_idleness(mut self, silence: Duration) -> Self {
        self.idleness = Some(millis(silence).max(1));
        self
    }

    /// A silent split holds the watermark back for ever.
    #[must_use]
    pub fn without_idleness(mut self) -> Self {
        self.idleness = None;
        self
    }

    /// How far the watermark may pass the wall clock; 60 s by default. One record from the future then closes no windows.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(millis(tolerance));
        self
    }
}

/// Assigns event times and emits the minimum of its splits' watermarks, as Flink's `TimestampsAndWatermarksOperator` with per-split outputs.
///
/// After a source (or after map and filter in its stage) watermarks are per split. Elsewhere the whole input counts as one split, and
/// watermarks that come in are swallowed, but for the final one.
pub struct AssignWatermarks<T> {
    name: String,
    strategy: WatermarkStrategy<T>,
    splits: BTreeMap<SplitId, SplitState>,
    restored: BTreeMap<SplitId, SplitState>,
    watermark: Time,
    idle: bool,
    seen_at: Time,
    ended: bool,
    assigned: bool,
    figures: Arc<OperatorFigures>,
}

#[derive(Clone, Debug)]
struct SplitState {
    highest: Time,
    silent_for: Time,
    idle: bool,
    // There is something to read of it: its silence does not count.
    behind: bool,
}

impl SplitState {
    fn new() -> Self {
        Self { highest: MIN_TIME, silent_for: 0, idle: false, behind: false }
    }
}

impl<T: Data> AssignWatermarks<T> {
    /// An operator with this strategy.
    pub fn new(strategy: WatermarkStrategy<T>) -> Self {
        Self {
            name: String::new(),
            strategy,
            splits: BTreeMap::new(),
            restored: BTreeMap::new(),
            watermark: MIN_TIME,
            idle: false,
            seen_at: 0,
            ended: false,
            assigned: false,
            figures: OperatorFigures::new(""),
        }
    }

    // The time that this split vouches for: everything up to it has come.
    fn vouched(&self, state: &SplitState) -> Time {
        match (&self.strategy.progress, state.highest) {
            (_, MIN_TIME) => MIN_TIME,
            (Progress::Bounded(bound), highest) => highest.saturating_sub(*bound).saturating_sub(1),
            (Progress::Punctuated(_), highest) => highest,
        }
    }

    fn stamp(&self, rows: &mut Rows<T>) {
        if let Some(timestamps) = &self.strategy.timestamps {
            for (record, ts) in rows.rec.iter().zip(&mut rows.ts) {
                *ts = timestamps(record);
            }
        }
    }

    fn highest(&self, rows: &Rows<T>) -> Time {
        match &self.strategy.progress {
            Progress::Bounded(_) => rows.ts.iter().copied().max().unwrap_or(MIN_TIME),
            Progress::Punctuated(watermark) => {
                let marks = rows.rec.iter().zip(&rows.ts).filter_map(|(record, ts)| watermark(record, *ts));
                marks.max().unwrap_or(MIN_TIME)
            }
        }
    }

    fn advance(&mut self, now: Time, out: &mut Output<T>) {
        let active = self.splits.iter().filter(|(_, state)| !state.idle);
        let slowest = active.map(|(split, state)| (self.vouched(state), split)).min();
        // Who has not been told its splits yet is not idle: others must wait for it.
        let idle = slowest.is_none() && (self.assigned || !self.splits.is_empty());
        let was_idle = std::mem::replace(&mut self.idle, idle);
        if was_idle && !idle {
            out.marks.push_back(Mark::Active);
        }
        self.figures.set_holder(slowest.map_or("", |(_, split)| split));
        let target = match slowest {
            Some((time, _)) => time,
            None => self.splits.values().map(|state| self.vouched(state)).max().unwrap_or(MIN_TIME),
        };
        let target = target.min(self.ceiling(now));
        if target > self.watermark {
            self.watermark = target;
            out.marks.push_back(Mark::Time(target));
        }
        // Behind the watermark: nobody waits for what comes from somebody who is idle.
        if idle && !was_idle {
            out.marks.push_back(Mark::Idle);
        }
    }

    fn ceiling(&self, now: Time) -> Time {
        self.strategy.tolerance.map_or(Time::MAX, |tolerance| now.saturating_add(tolerance))
    }

    // Silence is counted in small pieces, each call at most one: a long pause between two calls is back-pressure, not silence.
    fn count_silence(&mut self, now: Time) -> Option<Time> {
        let limit = self.strategy.idleness?;
        let piece = piece(limit);
        let passed = now.saturating_sub(self.seen_at).clamp(0, piece);
        self.seen_at = now;
        for state in self.splits.values_mut().filter(|state| !state.idle && !state.behind) {
            state.silent_for += passed;
            state.idle = state.silent_for >= limit;
        }
        self.splits.values().any(|state| !state.idle).then(|| now + piece)
    }

    fn set_behind(&mut self, split: &SplitId, behind: bool) {
        if let Some(state) = self.splits.get_mut(split) {
            (state.behind, state.silent_for) = (behind, 0);
        }
    }

    // A split in which nothing ever was holds nobody up for as long as a silence may last.
    fn pass_over_if_empty(&mut self, split: &SplitId) {
        if let Some(state) = self.splits.get_mut(split).filter(|state| state.highest == MIN_TIME) {
            state.idle = self.strategy.idleness.is_some();
        }
    }

    fn wake_at(&self, now: Time, silence: Option<Time>) -> Step {
        let capped = self.splits.values().any(|state| self.vouched(state) > self.ceiling(now));
        let capped = capped.then_some(now + 200);
        Step { wake_at: [silence, capped].into_iter().flatten().min(), ..Step::DONE }
    }
}

/// In how large pieces silence is counted.
fn piece(limit: Time) -> Time {
    (limit / 4).max(1)
}

impl<T: Data> Operator for AssignWatermarks<T> {
    type In = T;
    type Out = T;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.name = name.to_owned();
        self.figures = cx.figures_of(name);
        self.seen_at = cx.clock.now();
        for bytes in cx.restored.take_list(name, SPLITS) {
            let (split, highest, idle): (String, Time, bool) = from_bytes(&bytes)?;
            let state = SplitState { highest, idle, ..SplitState::new() };
            if split == WHOLE_INPUT {
                // Nobody announces it, and its silence counts from now on. Of several subtasks, the slowest vouches for all.
                let known = self.splits.entry(split.into()).or_insert_with(|| state.clone());
                (known.highest, known.idle) = (known.highest.min(highest), known.idle && idle);
            } else {
                self.restored.insert(split.into(), state);
            }
        }
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<T>) -> Result<Step> {
        self.stamp(rows);
        let highest = self.highest(rows);
        let split = cx.split.clone().unwrap_or_else(|| Arc::from(WHOLE_INPUT));
        let restored = &mut self.restored;
        let state = self
            .splits
            .entry(split)
            .or_insert_with_key(|split| restored.remove(split).unwrap_or_else(SplitState::new));
        state.highest = state.highest.max(highest);
        (state.silent_for, state.idle) = (0, false);
        if self.idle {
            self.idle = false;
            out.marks.push_back(Mark::Active);
        }
        rows.append_to(&mut out.rows);
        self.advance(cx.now(), out);
        let silence = self.strategy.idleness.map(|limit| cx.now() + piece(limit));
        Ok(self.wake_at(cx.now(), silence))
    }

    fn mark(&mut self, _: &mut Context<'_>, mark: Mark, out: &mut Output<T>) -> Result<Step> {
        if mark == Mark::Time(Time::MAX) && !self.ended {
            self.ended = true;
            out.marks.push_back(mark);
        }
        Ok(Step::DONE)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, out: &mut Output<T>) -> Result<Step> {
        if self.ended {
            return Ok(Step::DONE);
        }
        let silence = self.count_silence(cx.now());
        self.advance(cx.now(), out);
        Ok(self.wake_at(cx.now(), silence))
    }

    fn split(&mut self, _: &mut Context<'_>, change: &SplitChange) -> Result<()> {
        match change {
            SplitChange::Added(split) => {
                let state = self.restored.remove(split).unwrap_or_else(SplitState::new);
                self.splits.insert(Arc::clone(split), state);
            }
            SplitChange::Removed(split) => {
                self.splits.remove(split);
            }
            SplitChange::Assigned => self.assigned = true,
            SplitChange::AtEnd(split) => {
                self.set_behind(split, false);
                self.pass_over_if_empty(split);
            }
            SplitChange::Behind(split) => self.set_behind(split, true),
        }
        Ok(())
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let states = self.splits.iter().chain(&self.restored);
        let items = states.map(|(split, state)| to_bytes(&(split.to_string(), state.highest, state.idle)));
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: SPLITS.to_owned(),
            items: items.collect(),
            redistribute: Redistribute::Union,
        });
        Ok(())
    }
}
