//! An operator with everything in it: keyed state, slices, timers, late data, and a flaw to choose.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_record::key_group::{KeyGroup, key_group};
use millstream_record::record::{from_bytes, to_bytes};
use millstream_record::{Error, Key, Result};
use millstream_stage::operator::SideTag;
use millstream_stage::snapshot::{
    CheckpointId, Emit, Frozen, FrozenState, OperatorList, Redistribute, TableSchema,
};
use millstream_stage::time::{MAX_TIME, MIN_TIME, Time};
use millstream_stage::{Budget, Context, End, OpenContext, Operator, Output, Rows, Step, WatermarkEvent};
use parking_lot::Mutex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    ForgetsState,
    FrozenIsAlive,
    ForeignGroups,
    LateByOwnClock,
    MarkGoesBack,
    FinalMarkTwice,
    EmitsInSnapshot,
    PanicsInBatches,
    CountsBatches,
    ResumeEmits,
    NobodyTakesBack,
    AbortForgets,
    TimersAreLost,
    BlocksForEver,
    NeverDone,
    PreparesForEver,
    SliceLosesKeys,
    EndFails,
}

pub(crate) type In = (String, i64);
pub(crate) type Out = (String, i64);

#[derive(Clone, Debug, Default, PartialEq)]
struct Sum {
    sum: i64,
    fired: Time,
    tick: Option<Time>,
}

type Sums = BTreeMap<String, Sum>;

/// Sums by key; tells every sum at each watermark, and 100 ms of processing time after the key's first
/// record.
pub(crate) struct RunningSums {
    flaw: Flaw,
    name: String,
    sums: Arc<Mutex<Sums>>,
    groups: u16,
    owned: std::ops::Range<KeyGroup>,
    // By group, so that it survives a restore at another parallelism.
    seen: BTreeMap<KeyGroup, Time>,
    watermark: Time,
    pending: Option<WatermarkEvent>,
    frozen: bool,
}

impl RunningSums {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            name: String::new(),
            sums: Arc::default(),
            groups: 1,
            owned: 0..1,
            seen: BTreeMap::new(),
            watermark: MIN_TIME,
            pending: None,
            frozen: false,
        }
    }

    pub(crate) fn late() -> SideTag<In> {
        SideTag::new("late")
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn seen(&self, key: &str) -> Time {
        let group = key_group(key.to_owned().key_hash(), self.groups);
        let restored = self.seen.get(&group).copied().unwrap_or(MIN_TIME);
        if self.has(Flaw::LateByOwnClock) { self.watermark } else { self.watermark.max(restored) }
    }

    fn fire(&mut self, now: Time, records: usize, out: &mut Output<Out>) -> Step {
        let mut left = records;
        let mut sums = self.sums.lock();
        for (key, sum) in sums.iter_mut() {
            if sum.tick.is_some_and(|at| at <= now) {
                sum.tick = None;
                out.rows.push((format!("{key} ticks"), sum.sum), now);
            }
        }
        if let Some(WatermarkEvent::Watermark(time)) = self.pending {
            for (key, sum) in sums.iter_mut().filter(|(_, sum)| sum.fired < time) {
                if left == 0 {
                    return Step::MORE;
                }
                left -= 1;
                sum.fired = time;
                out.rows.push((key.clone(), sum.sum), time);
            }
        }
        out.watermarks.extend(self.pending);
        match self.pending {
            Some(WatermarkEvent::Watermark(20)) if self.has(Flaw::MarkGoesBack) => {
                out.watermarks.push_back(WatermarkEvent::Watermark(19));
            }
            Some(WatermarkEvent::Watermark(MAX_TIME)) if self.has(Flaw::FinalMarkTwice) => {
                out.watermarks.extend(self.pending);
            }
            _ => {}
        }
        self.pending = None;
        let wake_at = sums.values().filter_map(|sum| sum.tick).min();
        Step { wake_at, ..Step::DONE }
    }
}

impl Operator for RunningSums {
    type In = In;
    type Out = Out;

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.name = name.to_owned();
        self.groups = cx.key_groups;
        self.owned = cx.owned.clone();
        cx.restored.take_keyed(name).read(&tables(), &mut |group, table, entry| {
            if table == 0 {
                self.seen.insert(group, from_bytes(entry)?);
                return Ok(());
            }
            let (key, (sum, fired, tick)) = from_bytes::<SumEntry>(entry)?;
            let tick = if self.flaw == Flaw::TimersAreLost { None } else { tick };
            self.sums.lock().insert(key, Sum { sum, fired, tick });
            Ok(())
        })
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<In>, out: &mut Output<Out>) -> Result<Step> {
        assert!(!(self.has(Flaw::PanicsInBatches) && rows.len() == 2), "two at once");
        if self.has(Flaw::CountsBatches) {
            out.rows.push(("a batch".to_owned(), 1), 0);
        }
        for ((key, value), ts) in rows.drain() {
            let seen = self.seen(&key);
            if ts <= seen {
                out.side(&Self::late()).push((key, value), ts);
                continue;
            }
            let mut sums = self.sums.lock();
            let new = Sum { sum: 0, fired: seen, tick: Some(cx.now() + 100) };
            let sum = sums.entry(key).or_insert(new);
            sum.sum += value;
        }
        if self.has(Flaw::BlocksForEver) {
            return Ok(Step::BLOCKED);
        }
        Ok(self.fire(cx.now(), 0, out))
    }

    fn on_watermark(
        &mut self,
        cx: &mut Context<'_>,
        watermark: WatermarkEvent,
        out: &mut Output<Out>,
    ) -> Result<Step> {
        if let WatermarkEvent::Watermark(time) = watermark {
            self.watermark = self.watermark.max(time);
        }
        self.pending = Some(watermark);
        Ok(self.fire(cx.now(), cx.budget.records, out))
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, out: &mut Output<Out>) -> Result<Step> {
        let useless = match self.flaw {
            Flaw::ResumeEmits => self.watermark == 20 && self.pending.is_none(),
            _ => false,
        };
        if useless {
            out.rows.push(("resumed".to_owned(), 0), 0);
        }
        if self.has(Flaw::NeverDone) && self.watermark > MIN_TIME {
            return Ok(Step::MORE);
        }
        Ok(self.fire(cx.now(), budget.records, out))
    }

    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, out: &mut Output<Out>) -> Result<Step> {
        if self.has(Flaw::EmitsInSnapshot) {
            out.rows.push(("prepared".to_owned(), 0), 0);
        }
        Ok(if self.has(Flaw::PreparesForEver) { Step::MORE } else { Step::DONE })
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        self.frozen = true;
        let mut sums = Arc::clone(&self.sums);
        if !self.has(Flaw::FrozenIsAlive) {
            let copy = sums.lock().clone();
            sums = Arc::new(Mutex::new(copy));
        }
        if let (Flaw::SliceLosesKeys, Some(WatermarkEvent::Watermark(time))) = (self.flaw, self.pending) {
            sums.lock().values_mut().for_each(|sum| sum.fired = time);
        }
        let seen = self.owned.clone().map(|group| {
            let restored = self.seen.get(&group).copied().unwrap_or(MIN_TIME);
            (group, restored.max(self.watermark))
        });
        let foreign = self.has(Flaw::ForeignGroups);
        let state = Live { sums, seen: seen.collect(), groups: self.groups, foreign };
        if !self.has(Flaw::ForgetsState) {
            frozen.keyed.push((self.name.clone(), Box::new(state)));
        }
        if self.has(Flaw::NobodyTakesBack) {
            let (operator, state) = (self.name.clone(), "forgotten".to_owned());
            frozen.lists.push(OperatorList {
                operator,
                state,
                items: vec![vec![1]],
                redistribute: Redistribute::Split,
            });
        }
        Ok(())
    }

    fn aborted(&mut self, _: &mut Context<'_>, _: CheckpointId) {
        if self.has(Flaw::AbortForgets) {
            self.sums.lock().clear();
        }
    }

    fn end(&mut self, _: &mut Context<'_>, _: End, _: &mut Output<Out>) -> Result<Step> {
        if self.has(Flaw::EndFails) { Err(Error::bug("on purpose")) } else { Ok(Step::DONE) }
    }
}

struct Live {
    sums: Arc<Mutex<Sums>>,
    seen: BTreeMap<KeyGroup, Time>,
    groups: u16,
    foreign: bool,
}

type SumEntry = (String, (i64, Time, Option<Time>));

fn tables() -> Vec<TableSchema> {
    vec![TableSchema::of::<Time>("seen"), TableSchema::of::<SumEntry>("sums")]
}

impl FrozenState for Live {
    fn tables(&self) -> Vec<TableSchema> {
        tables()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        let groups: Vec<KeyGroup> =
            if self.foreign { (0..self.groups).collect() } else { self.seen.keys().copied().collect() };
        for group in &groups {
            emit(*group, 0, &to_bytes(self.seen.get(group).unwrap_or(&MIN_TIME)))?;
        }
        for (key, sum) in self.sums.lock().iter() {
            let group = key_group(key.key_hash(), self.groups);
            if groups.contains(&group) {
                emit(group, 1, &to_bytes(&(key.clone(), (sum.sum, sum.fired, sum.tick))))?;
            }
        }
        Ok(())
    }
}
