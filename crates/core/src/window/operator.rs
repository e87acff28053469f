//! Tumbling, sliding, cumulating and global windows, as Flink's `WindowOperator` without merging.

use std::collections::VecDeque;
use std::sync::Arc;

use super::assigner::require_time;
use super::cold::{self, Cursor};
use super::emit::{WindowFunction, emit};
use super::frozen::{self, FrozenWindows, WindowEntry};
use super::pane::{Cell, Panes, StateOf, add_time};
use super::{Aggregate, Assigner, Fire, Timers, Trigger, Window, lateness};
use crate::cold::{Cache, ColdTable};
use crate::figures::OperatorFigures;
use crate::key::KeyGroup;
use crate::operator::SideTag;
use crate::plan::{Kept, KeyedSpec, StateSpec};
use crate::record::from_bytes;
use crate::snapshot::{CheckpointId, Frozen, FrozenState, RestoredKeyed, TableSchema};
use crate::state::{Floors, GroupWatermarks, Meter};
use crate::table::{Entry, WARM};
use crate::time::{MIN_TIME, Time};
use crate::{Budget, Context, Data, Key, Mark, OpenContext, Operator, Output, Record, Result, Rows, Step};

/// What a window operator is made of.
pub struct WindowSpec<T, KF, W, G, A, F> {
    /// Reads the key; its hash is already in the batch.
    pub key: Arc<KF>,
    /// Which windows.
    pub assigner: W,
    /// When they fire.
    pub trigger: G,
    /// What they keep.
    pub aggregate: A,
    /// What goes out.
    pub function: Arc<F>,
    /// How long after its end, in event time, a window still takes records.
    pub allowed_lateness: Time,
    /// Where records go that came too late.
    pub late: SideTag<T>,
}

/// Windows that are the same for all keys. Each keeps one accumulator per key; all keys of a window fire together, in slices.
pub struct WindowOperator<K, T, R, KF, W, G, A, F>
where
    A: Aggregate<T>,
    G: Trigger,
{
    spec: WindowSpec<T, KF, W, G, A, F>,
    name: String,
    panes: Panes<K, A::Acc, StateOf<G>>,
    watermark: Time,
    floors: Floors,
    firing: Firing,
    owned: std::ops::Range<KeyGroup>,
    cold: Option<Cache>,
    assigned: Vec<Window>,
    figures: Arc<OperatorFigures>,
    meter: Meter,
    of: std::marker::PhantomData<fn(T) -> R>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Domain {
    Event,
    Processing,
}

/// Timers that have come due and are worked off in slices.
#[derive(Default)]
struct Firing {
    due: VecDeque<(Domain, Time, Window)>,
    slot: u32,
    cursor: Cursor,
    mark: Option<Mark>,
}

impl Firing {
    fn is_done(&self) -> bool {
        self.due.is_empty() && self.mark.is_none()
    }
}

impl<K, T, R, KF, W, G, A, F> WindowOperator<K, T, R, KF, W, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    KF: Fn(&T) -> K,
    W: Assigner,
    G: Trigger,
    A: Aggregate<T>,
    F: WindowFunction<K, A::Out, R>,
{
    /// An operator of these parts.
    pub fn new(spec: WindowSpec<T, KF, W, G, A, F>) -> Self {
        Self {
            spec,
            name: String::new(),
            panes: Panes::new(1, false),
            watermark: MIN_TIME,
            floors: Floors::default(),
            firing: Firing::default(),
            owned: 0..1,
            cold: None,
            assigned: Vec::new(),
            figures: OperatorFigures::new(""),
            meter: Meter::default(),
            of: std::marker::PhantomData,
        }
    }

    fn element(&mut self, now: Time, record: &T, ts: Time, hash: u64, out: &mut Rows<R>) -> Result<bool> {
        let event_time = self.spec.assigner.is_event_time();
        let time = if event_time { require_time(ts)? } else { now };
        self.assigned.clear();
        self.spec.assigner.assign_next(time, &mut self.assigned);
        let watermark = self.watermark.max(self.floors.of(hash, self.panes.groups()));
        let mut late = !self.assigned.is_empty();
        for index in 0..self.assigned.len() {
            let window = self.assigned[index];
            if event_time && lateness::is_window_late(&window, self.spec.allowed_lateness, watermark) {
                continue;
            }
            late = false;
            self.add(window, record, hash, Timers::new(watermark, now), out);
        }
        Ok(!late)
    }

    fn add(&mut self, window: Window, record: &T, hash: u64, mut timers: Timers, out: &mut Rows<R>) {
        let WindowSpec { key, trigger, aggregate, function, .. } = &self.spec;
        let pane = self.panes.open(window);
        let entry = pane.cell::<T, A>(hash, key(record), aggregate);
        let Cell { acc, trigger: state } = &mut entry.value;
        aggregate.add(acc, record);
        let fire = trigger.on_element(&window, state, &mut timers);
        if fire.fire {
            emit(function.as_ref(), &entry.key, &window, aggregate.result(acc), out);
        }
        if fire.purge {
            *acc = aggregate.create();
        }
        add_time(&mut pane.timers.event, timers.event);
        add_time(&mut pane.timers.processing, timers.processing);
    }

    fn collect_due(&mut self, domain: Domain, upto: Time) {
        let due = match domain {
            Domain::Event => self.panes.take_due(upto, |timers| &mut timers.event),
            Domain::Processing => self.panes.take_due(upto, |timers| &mut timers.processing),
        };
        self.firing.due.extend(due.into_iter().map(|(time, window)| (domain, time, window)));
    }

    // Works off what is due; `More` while something is left.
    fn fire(&mut self, now: Time, budget: Budget, out: &mut Output<R>) -> Result<Step> {
        let mut left = budget.records;
        while let Some(due) = self.firing.due.front().copied() {
            if !self.fire_window(due, &mut left, &mut out.rows)? {
                if self.firing.cursor.is_set() {
                    self.settle(now)?;
                }
                return Ok(Step::MORE);
            }
            self.firing.due.pop_front();
            self.firing.slot = 0;
        }
        self.expire(now);
        self.settle(now)?;
        if let Some(mark) = self.firing.mark.take() {
            out.marks.push_back(mark);
        }
        Ok(Step { wake_at: self.panes.next_processing_timer(), ..Step::DONE })
    }

    // False while some keys of the window are left.
    fn fire_window(
        &mut self,
        due: (Domain, Time, Window),
        left: &mut usize,
        out: &mut Rows<R>,
    ) -> Result<bool> {
        let Self { spec, panes, floors, firing, cold, .. } = self;
        let groups = panes.groups();
        let Some(pane) = panes.get(&due.2) else { return Ok(true) };
        // A window that never left memory fires from there; nothing leaves it before it is done.
        if let Some(cache) = cold.as_mut().filter(|_| pane.table.is_behind()) {
            let mut fire = |entry: &mut _| fire_entry(spec, due, floors, groups, entry, out);
            return cold::fire(cache, pane, &mut firing.cursor, left, &mut fire);
        }
        while firing.slot < pane.table.slots() {
            if *left == 0 {
                return Ok(false);
            }
            let entry = pane.table.entry_mut(firing.slot);
            firing.slot += 1;
            let Some(entry) = entry else { continue };
            *left -= usize::from(fire_entry(spec, due, floors, groups, entry, out).is_some());
        }
        Ok(true)
    }

    fn expire(&mut self, now: Time) {
        let cold = &mut self.cold;
        let dropped = |pane: &_| {
            if let Some(cache) = cold {
                cold::forget(cache, pane);
            }
        };
        if self.spec.assigner.is_event_time() {
            self.panes.expire(self.spec.allowed_lateness, self.watermark, dropped);
            self.floors.caught_up(self.watermark);
        } else {
            self.panes.expire(0, now, dropped);
        }
    }

    // Above a cold store: brings the keys of a batch into memory.
    fn load(&mut self, now: Time, rows: &Rows<T>) -> Result<()> {
        let Some(cache) = &mut self.cold else { return Ok(()) };
        let event_time = self.spec.assigner.is_event_time();
        let mut missing = Vec::new();
        for ((record, ts), hash) in rows.rec.iter().zip(&rows.ts).zip(&rows.hash) {
            self.assigned.clear();
            self.spec.assigner.assign_next(if event_time { *ts } else { now }, &mut self.assigned);
            for window in &self.assigned {
                let Some(pane) = self.panes.get(window).filter(|pane| pane.table.is_behind()) else {
                    continue;
                };
                let key = (self.spec.key)(record);
                if pane.table.find(*hash, &key).is_none() {
                    missing.push(pane.cold_key(*hash, &key));
                }
            }
        }
        cold::load(cache, &mut self.panes, missing)
    }

    // Between two batches: measures; above a cold store writes back what changed, and makes room.
    fn settle(&mut self, now: Time) -> Result<()> {
        if self.meter.is_due(now) {
            let tables = self.panes.all().iter().map(|pane| &pane.table);
            let figures = self.figures.state("windows");
            Meter::measure(&figures, tables, self.cold.as_ref(), |entry| entry.value.acc.heap_size());
        }
        self.cold.as_mut().map_or(Ok(()), |cache| cache.settle(self.panes.all()))
    }

    /// What its snapshots consist of.
    pub fn tables() -> Vec<TableSchema> {
        frozen::tables::<K, A::Acc, StateOf<G>>()
    }

    fn restore(&mut self, restored: &RestoredKeyed) -> Result<()> {
        restored.read(&Self::tables(), &mut |group, table, entry| {
            match table {
                0 => self.floors.restore(group, entry)?,
                1 => drop(self.panes.restore(from_bytes(entry)?)),
                _ => self.restore_entry(from_bytes(entry)?),
            }
            Ok(())
        })
    }

    fn restore_entry(&mut self, (window, key, acc, trigger): WindowEntry<K, A::Acc, StateOf<G>>) {
        let pane = self.panes.open(window);
        pane.table.resolve(key.key_hash(), key, || Cell { acc, trigger });
    }

    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenState>> {
        let watermarks = GroupWatermarks::new(&self.owned, self.watermark, &self.floors);
        match &mut self.cold {
            None => Ok(Box::new(FrozenWindows::new(watermarks, &mut self.panes))),
            Some(cache) => cold::freeze(cache, &mut self.panes, &watermarks, id),
        }
    }
}

// Asks the trigger of one key; nothing where the key group had come so far before a restore.
fn fire_entry<K, T, R, KF, W, G, A, F>(
    spec: &WindowSpec<T, KF, W, G, A, F>,
    (domain, time, window): (Domain, Time, Window),
    floors: &Floors,
    groups: u16,
    entry: &mut Entry<K, Cell<A::Acc, StateOf<G>>>,
    out: &mut Rows<R>,
) -> Option<Fire>
where
    R: Data,
    G: Trigger,
    A: Aggregate<T>,
    F: WindowFunction<K, A::Out, R>,
{
    if domain == Domain::Event && lateness::has_fired(&window, floors.of(entry.hash, groups)) {
        return None;
    }
    let WindowSpec { trigger, aggregate, function, .. } = spec;
    let Cell { acc, trigger: state } = &mut entry.value;
    let asked = match domain {
        Domain::Event => trigger.on_event_time(time, &window, state),
        Domain::Processing => trigger.on_processing_time(time, &window, state),
    };
    if asked.fire {
        emit(function.as_ref(), &entry.key, &window, aggregate.result(acc), out);
    }
    if asked.purge {
        *acc = aggregate.create();
    }
    Some(asked)
}

impl<K, T, R, KF, W, G, A, F> Operator for WindowOperator<K, T, R, KF, W, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    KF: Fn(&T) -> K + Send + Sync + 'static,
    W: Assigner,
    G: Trigger,
    A: Aggregate<T>,
    F: WindowFunction<K, A::Out, R>,
{
    type In = T;
    type Out = R;

    fn keyed(&self) -> KeyedSpec {
        let name = Self::tables().pop().map(|table| table.name).unwrap_or_default();
        KeyedSpec { tables: Self::tables(), states: vec![StateSpec { name, kept: Kept::Window }] }
    }

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.spec.assigner.validate()?;
        self.name = name.to_owned();
        self.figures = cx.figures_of(name);
        self.owned = cx.owned.clone();
        let restored = cx.restored.take_keyed(name);
        let opened = Cache::open(name, &Self::tables(), &restored, cx)?;
        self.panes = Panes::new(cx.key_groups, opened.is_some());
        let Some((mut cache, done)) = opened else { return self.restore(&restored) };
        cold::restore(&mut cache, &mut self.panes, &mut self.floors, (!done).then_some(&restored))?;
        self.cold = Some(cache);
        Ok(())
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<R>) -> Result<Step> {
        let now = cx.now();
        self.load(now, rows)?;
        let (hashes, origins) = (std::mem::take(&mut rows.hash), std::mem::take(&mut rows.origins));
        let mut records = rows.drain().enumerate();
        for block in hashes.chunks(WARM) {
            self.panes.warm(block);
            for (hash, (index, (record, ts))) in block.iter().zip(records.by_ref()) {
                if !self.element(now, &record, ts, *hash, &mut out.rows)? {
                    self.figures.late.add(1);
                    out.side(&self.spec.late).push_of(record, ts, &origins, index);
                }
            }
        }
        self.settle(now)?;
        Ok(Step { wake_at: self.panes.next_processing_timer(), ..Step::DONE })
    }

    fn mark(&mut self, cx: &mut Context<'_>, mark: Mark, out: &mut Output<R>) -> Result<Step> {
        if let Mark::Time(time) = mark {
            self.watermark = self.watermark.max(time);
            self.collect_due(Domain::Event, time);
        }
        self.firing.mark = Some(mark);
        self.fire(cx.now(), cx.budget, out)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, out: &mut Output<R>) -> Result<Step> {
        self.collect_due(Domain::Processing, cx.now());
        self.fire(cx.now(), budget, out)
    }

    // A window that fires in slices is fired to its end before the barrier: a snapshot holds no half-fired window.
    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<R>) -> Result<Step> {
        Ok(if self.firing.is_done() { Step::DONE } else { Step::MORE })
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.keyed.push((self.name.clone(), self.freeze(id)?));
        Ok(())
    }

    fn close(&mut self) {
        self.panes = Panes::new(1, false);
        self.cold = None;
    }
}
