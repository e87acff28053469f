//! Event times and watermarks, per split.

mod report;
mod split_clock;
mod strategy;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::report::{Report, SplitOfOperator, not_believed};
use self::split_clock::{Limits, Observed, SplitClock};
use self::strategy::Progress;
pub use self::strategy::{PunctuationFn, TimestampFn, WatermarkStrategy};
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Data, Result};
use millstream_stage::metrics::OperatorMetrics;
use millstream_stage::operator::SplitChange;
use millstream_stage::snapshot::{CheckpointId, Frozen, OperatorList, Redistribute};
use millstream_stage::split::SplitId;
use millstream_stage::time::{MIN_TIME, Time};
use millstream_stage::{Budget, Context, OpenContext, Operator, Output, Rows, Step, WatermarkEvent};

use crate::opened::Opened;

const SPLITS: &str = "watermarks";

/// The one split of an input that does not come from a source.
const WHOLE_INPUT: &str = "";

/// The name of the holder where the host's clock, and no split, holds the watermark: the events are ahead of
/// the clock.
const THE_CLOCK: &str = "the clock";

/// How long a split that was empty vouches for nothing after its first record, in milliseconds: what was
/// written to the others at the same time, and is still on its way, would be late.
const FIRST_RECORDS: Time = 1_000;

/// While it follows the wall clock: milliseconds between two steps.
const RIDE_EVERY: Time = 200;

/// Assigns event times and emits the minimum of its splits' watermarks, as Flink's
/// `TimestampsAndWatermarksOperator` with per-split outputs.
///
/// After a source (or after map and filter in its stage) watermarks are per split. Elsewhere the whole input
/// counts as one split, and watermarks that come in are swallowed, but for the final one.
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
    metrics: Opened<Arc<OperatorMetrics>>,
}

#[derive(Clone, Debug)]
struct SplitState {
    clock: SplitClock,
    report: Report,
    silent_for: Time,
    idle: bool,
    // There is something to read of it: its silence does not count.
    behind: bool,
    // Known to be empty, so nobody waits for it.
    empty: bool,
    // Until then it vouches for nothing.
    vouches_from: Option<Time>,
}

impl SplitState {
    fn new() -> Self {
        Self::at(MIN_TIME)
    }

    fn at(highest: Time) -> Self {
        let (clock, report) = (SplitClock::at(highest), Report::default());
        Self { clock, report, silent_for: 0, idle: false, behind: false, empty: false, vouches_from: None }
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
            metrics: Opened::default(),
        }
    }

    // The time that this split vouches for: everything up to it has come.
    fn vouched(&self, state: &SplitState) -> Time {
        match (&self.strategy.progress, state.clock.highest()) {
            (_, MIN_TIME) => MIN_TIME,
            _ if state.vouches_from.is_some() => MIN_TIME,
            (Progress::Bounded(bound), highest) => highest.saturating_sub(*bound).saturating_sub(1),
            (Progress::Punctuated(_), highest) => highest,
        }
    }

    fn remember(&mut self, split: SplitId, highest: Time, idle: bool) {
        let whole = &*split == WHOLE_INPUT;
        let state = |highest, idle| SplitState { idle, ..SplitState::at(highest) };
        let Some(known) = self.restored.get_mut(&split) else {
            self.restored.insert(split, state(highest, idle));
            return;
        };
        let known_highest = known.clock.highest();
        if whole {
            // Of several subtasks, the slowest vouches for all.
            *known = state(highest.min(known_highest), idle && known.idle);
        } else if highest >= known_highest {
            // Others than its reader remember a split as it was at their start.
            *known = state(highest, idle);
        }
    }

    // What is known of a split from before. A restored time that this host's clock contradicts moves nothing,
    // as that of an event would not.
    fn taken_up(&mut self, split: &SplitId, now: Time) -> SplitState {
        let limits = self.limits(now);
        match self.restored.remove(split) {
            Some(state) if state.clock.highest() > limits.latest() => {
                let line =
                    not_believed(SplitOfOperator::new(&self.name, split), state.clock.highest(), limits);
                tracing::warn!("{line}");
                SplitState { idle: state.idle, ..SplitState::new() }
            }
            Some(state) => state,
            None => SplitState::new(),
        }
    }

    fn limits(&self, now: Time) -> Limits {
        let bound = match self.strategy.progress {
            Progress::Bounded(bound) => bound,
            Progress::Punctuated(_) => Time::MAX,
        };
        Limits { now, tolerance: self.strategy.tolerance, bound }
    }

    fn stamp(&self, rows: &mut Rows<T>) {
        if let Some(timestamps) = &self.strategy.timestamps {
            for (record, ts) in rows.rec.iter().zip(&mut rows.ts) {
                *ts = timestamps(record);
            }
        }
    }

    // Takes the times that may move the split's clock; whether any of them counts.
    fn observe(&mut self, rows: &Rows<T>, split: &SplitId, now: Time) -> Result<bool> {
        let limits = self.limits(now);
        if !self.splits.contains_key(split) {
            let state = self.taken_up(split, now);
            self.splits.insert(Arc::clone(split), state);
        }
        let Some(state) = self.splits.get_mut(split) else { return Ok(false) };
        let seen = match &self.strategy.progress {
            Progress::Bounded(_) => state.clock.observe(&rows.ts, limits),
            Progress::Punctuated(watermark) => {
                let watermarks =
                    rows.rec.iter().zip(&rows.ts).filter_map(|(record, ts)| watermark(record, *ts));
                let watermarks: Vec<_> = watermarks.collect();
                // A record without a watermark is a sign of life too.
                let seen = state.clock.observe(&watermarks, limits);
                Observed { counted: seen.counted || watermarks.len() < rows.len(), ..seen }
            }
        };
        if let Some(furthest) = seen.furthest {
            self.metrics.get()?.add_ahead(split, seen.beyond.into(), furthest.saturating_sub(now));
        }
        let place = SplitOfOperator::new(&self.name, split);
        for line in state.report.observed(place, &state.clock, seen, limits) {
            tracing::warn!("{line}");
        }
        if seen.counted {
            (state.silent_for, state.idle) = (0, false);
            if std::mem::take(&mut state.empty) {
                state.vouches_from = Some(now + FIRST_RECORDS);
            }
        }
        Ok(seen.counted)
    }

    fn advance(&mut self, now: Time, out: &mut Output<T>) -> Result<()> {
        let metrics = self.metrics.get()?;
        for state in self.splits.values_mut() {
            state.clock.ride(now);
            state.vouches_from.take_if(|from| *from <= now);
        }
        let active = self.splits.iter().filter(|(_, state)| !state.idle);
        let slowest =
            active.map(|(split, state)| (self.vouched(state), split, state)).min_by_key(|slow| slow.0);
        // A subtask that does not know its splits yet is not idle: others must wait for it.
        let idle = slowest.is_none() && (self.assigned || !self.splits.is_empty());
        let was_idle = std::mem::replace(&mut self.idle, idle);
        if was_idle && !idle {
            out.watermarks.push_back(WatermarkEvent::Active);
        }
        metrics.set_holder(match slowest {
            Some((_, split, state)) if !state.clock.is_held() => split,
            None if !self.splits.values().any(|state| state.clock.is_held()) => "",
            _ => THE_CLOCK,
        });
        let target = match slowest {
            Some((time, ..)) => time,
            None => self.splits.values().map(|state| self.vouched(state)).max().unwrap_or(MIN_TIME),
        };
        if target > self.watermark {
            self.watermark = target;
            metrics.event_time.set(target);
            out.watermarks.push_back(WatermarkEvent::Watermark(target));
        }
        // Behind the watermark: nobody waits for what comes from somebody who is idle.
        if idle && !was_idle {
            out.watermarks.push_back(WatermarkEvent::Idle);
        }
        Ok(())
    }

    // Silence is counted in small pieces, each call at most one: a long pause between two calls is
    // back-pressure, not silence.
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

    // A split that is known to be empty, and always was, holds nobody up, whatever the idleness is.
    fn pass_over_if_empty(&mut self, split: &SplitId) {
        if let Some(state) = self.splits.get_mut(split).filter(|state| state.clock.highest() == MIN_TIME) {
            (state.idle, state.empty) = (true, true);
        }
    }

    // Logs what no line has reported yet, before the split is forgotten.
    fn report_rest(&mut self, split: &SplitId, now: Time) {
        let limits = self.limits(now);
        let rest = self
            .splits
            .get_mut(split)
            .and_then(|state| state.report.rest(SplitOfOperator::new(&self.name, split), limits));
        rest.iter().for_each(|line| tracing::warn!("{line}"));
    }

    fn wake_at(&self, now: Time, silence: Option<Time>) -> Step {
        let rides = self.splits.values().any(|state| state.clock.rides()).then_some(now + RIDE_EVERY);
        let vouches = self.splits.values().filter_map(|state| state.vouches_from).min();
        Step { wake_at: [silence, rides, vouches].into_iter().flatten().min(), ..Step::DONE }
    }
}

/// The length of the pieces in which silence is counted.
fn piece(limit: Time) -> Time {
    (limit / 4).max(1)
}

impl<T: Data> Operator for AssignWatermarks<T> {
    type In = T;
    type Out = T;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.name = name.to_owned();
        self.metrics.open(cx.metrics_of(name));
        self.seen_at = cx.clock.now();
        for bytes in cx.restored.take_list(name, SPLITS) {
            let (split, highest, idle): (String, Time, bool) = from_bytes(&bytes)?;
            self.remember(split.into(), highest, idle);
        }
        // Nobody announces it, and its silence counts from now on.
        if self.restored.contains_key(WHOLE_INPUT) {
            let whole = SplitId::from(WHOLE_INPUT);
            let state = self.taken_up(&whole, self.seen_at);
            self.splits.insert(whole, state);
        }
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<T>) -> Result<Step> {
        self.stamp(rows);
        let split = cx.split.clone().unwrap_or_else(|| Arc::from(WHOLE_INPUT));
        if self.observe(rows, &split, cx.now())? && self.idle {
            self.idle = false;
            out.watermarks.push_back(WatermarkEvent::Active);
        }
        rows.append_to(&mut out.rows);
        self.advance(cx.now(), out)?;
        let silence = self.strategy.idleness.map(|limit| cx.now() + piece(limit));
        Ok(self.wake_at(cx.now(), silence))
    }

    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<T>,
    ) -> Result<Step> {
        if watermark == WatermarkEvent::Watermark(Time::MAX) && !self.ended {
            self.ended = true;
            let splits: Vec<_> = self.splits.keys().cloned().collect();
            splits.iter().for_each(|split| self.report_rest(split, cx.now()));
            out.watermarks.push_back(watermark);
        }
        Ok(Step::DONE)
    }

    fn resume(&mut self, cx: &mut Context<'_>, _: Budget, out: &mut Output<T>) -> Result<Step> {
        if self.ended {
            return Ok(Step::DONE);
        }
        let silence = self.count_silence(cx.now());
        self.advance(cx.now(), out)?;
        Ok(self.wake_at(cx.now(), silence))
    }

    fn split(&mut self, cx: &mut Context<'_>, change: &SplitChange) -> Result<()> {
        match change {
            SplitChange::Added(split) => {
                let state = self.taken_up(split, cx.now());
                self.splits.insert(Arc::clone(split), state);
            }
            SplitChange::Removed(split) => {
                self.report_rest(split, cx.now());
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
        let items =
            states.map(|(split, state)| to_bytes(&(split.to_string(), state.clock.highest(), state.idle)));
        frozen.lists.push(OperatorList {
            operator: self.name.clone(),
            state: SPLITS.to_owned(),
            items: items.collect(),
            redistribute: Redistribute::Union,
        });
        Ok(())
    }
}
