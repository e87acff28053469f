//! Tumbling, sliding, cumulating and global windows, which are the same for all keys.

use std::collections::VecDeque;

use millstream_record::key_group::KeyGroup;
use millstream_record::record::from_bytes;
use millstream_record::{Data, Key, Record, Result};
use millstream_stage::metrics::StateMetrics;
use millstream_stage::operator::SideTag;
use millstream_stage::snapshot::{CheckpointId, FrozenState, RestoredKeyed, TableSchema};
use millstream_stage::time::{MIN_TIME, Time};
use millstream_stage::{OpenContext, Rows};

use super::assigner::require_time;
use super::cold;
use super::emit::WindowFunction;
use super::frozen::{self, FrozenWindows, StoredEntry};
use super::operator::{WindowOperator, WindowStore};
use super::pane::{Cell, FiringPosition, Panes, StateOf, WindowEntry, add_time};
use super::spec::{DueTimer, WindowSpec};
use super::{AggregateFunction, Trigger, TriggerContext, Window, WindowAssigner, allowed_lateness};
use crate::cold::{Cache, ColdTable};
use crate::group_watermarks::{GroupWatermarks, RestoredWatermarks};
use crate::state::{Meter, TimerKind};

/// Windows that are the same for all keys. Each keeps one accumulator per key; all keys of a window fire
/// together, in slices.
pub struct AlignedWindows<K, T, R, W, G, A, F>
where
    A: AggregateFunction<T>,
    G: Trigger,
{
    spec: WindowSpec<K, T, W, G, A, F>,
    panes: Panes<K, A::Acc, StateOf<G>>,
    watermark: Time,
    restored_watermarks: RestoredWatermarks,
    due: Due,
    owned: std::ops::Range<KeyGroup>,
    cold: Option<Cache>,
    assigned: Vec<Window>,
    of: std::marker::PhantomData<fn(T) -> R>,
}

/// Timers that have come due, and how far the first one's window has fired.
#[derive(Default)]
struct Due {
    timers: VecDeque<DueTimer>,
    place: FiringPosition,
}

impl<K, T, R, W, G, A, F> WindowOperator<K, T, R, W, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    W: WindowAssigner,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    /// An operator of these parts.
    pub fn new(spec: WindowSpec<K, T, W, G, A, F>) -> Self {
        Self::of(AlignedWindows {
            spec,
            panes: Panes::new(1, false),
            watermark: MIN_TIME,
            restored_watermarks: RestoredWatermarks::default(),
            due: Due::default(),
            owned: 0..1,
            cold: None,
            assigned: Vec::new(),
            of: std::marker::PhantomData,
        })
    }
}

impl<K, T, R, W, G, A, F> AlignedWindows<K, T, R, W, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    W: WindowAssigner,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    fn add_to(
        &mut self,
        window: Window,
        record: &T,
        (hash, key): (u64, &K),
        mut timers: TriggerContext,
        out: &mut Rows<R>,
    ) {
        let pane = self.panes.open(window);
        let entry = pane.cell::<T, A>(hash, key, &self.spec.aggregate);
        self.spec.add(&window, entry.kept(), record, &mut timers, out);
        add_time(&mut pane.timers.event, timers.event);
        add_time(&mut pane.timers.processing, timers.processing);
    }

    fn collect_due(&mut self, kind: TimerKind, upto: Time) {
        let due = match kind {
            TimerKind::EventTime => self.panes.take_due(upto, |timers| &mut timers.event),
            TimerKind::ProcessingTime => self.panes.take_due(upto, |timers| &mut timers.processing),
        };
        self.due.timers.extend(due.into_iter().map(|(time, window)| DueTimer { kind, time, window }));
    }

    // The next keys of one window.
    fn fire_keys(&mut self, due: &DueTimer, most: usize, out: &mut Rows<R>) -> Result<Option<usize>> {
        let Self { spec, panes, restored_watermarks, due: Due { place, .. }, cold, .. } = self;
        let groups = panes.groups();
        let Some(pane) = panes.get(&due.window) else { return Ok(None) };
        let mut fire = |entry: &mut WindowEntry<K, A::Acc, StateOf<G>>| {
            let floor = restored_watermarks.of(entry.hash, groups);
            spec.fire(due, floor, entry.kept(), out)
        };
        // A window that never left memory fires from there; nothing leaves it before it is done.
        match cold.as_mut().filter(|_| pane.table.is_behind()) {
            Some(cache) => cold::fire_next(cache, pane, &mut place.key, most, &mut fire),
            None => Ok(pane.fire_next(&mut place.slot, most, fire)),
        }
    }

    fn restore(&mut self, restored: &RestoredKeyed) -> Result<()> {
        restored.read(&Self::tables(), &mut |group, table, entry| {
            match table {
                0 => self.restored_watermarks.restore(group, entry)?,
                1 => drop(self.panes.restore(from_bytes(entry)?)),
                _ => self.restore_entry(from_bytes(entry)?),
            }
            Ok(())
        })
    }

    fn restore_entry(&mut self, (window, key, acc, trigger): StoredEntry<K, A::Acc, StateOf<G>>) {
        let pane = self.panes.open(window);
        pane.table.load(key.key_hash(), key, Cell { acc, trigger });
    }
}

impl<K, T, R, W, G, A, F> WindowStore for AlignedWindows<K, T, R, W, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    W: WindowAssigner,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    type Key = K;
    type In = T;
    type Out = R;

    fn tables() -> Vec<TableSchema> {
        frozen::tables::<K, A::Acc, StateOf<G>>()
    }

    fn keys(&self, records: &[T], keys: &mut Vec<K>) {
        self.spec.key.keys(records, keys);
    }

    fn late(&self) -> &SideTag<T> {
        &self.spec.late
    }

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.spec.assigner.validate()?;
        self.owned = cx.owned.clone();
        let restored = cx.restored.take_keyed(name);
        let opened = Cache::open(name, &Self::tables(), &restored, cx)?;
        self.panes = Panes::new(cx.key_groups, opened.is_some());
        let Some((mut cache, done)) = opened else { return self.restore(&restored) };
        cold::restore(
            &mut cache,
            &mut self.panes,
            &mut self.restored_watermarks,
            (!done).then_some(&restored),
        )?;
        self.cold = Some(cache);
        Ok(())
    }

    fn load(&mut self, now: Time, rows: &Rows<T>, hashes: &[u64], keys: &[K]) -> Result<()> {
        let Some(cache) = &mut self.cold else { return Ok(()) };
        let event_time = self.spec.assigner.is_event_time();
        let mut missing = Vec::new();
        for ((ts, hash), key) in rows.ts.iter().zip(hashes).zip(keys) {
            self.assigned.clear();
            self.spec.assigner.assign_next(if event_time { *ts } else { now }, &mut self.assigned);
            for window in &self.assigned {
                let Some(pane) = self.panes.get(window).filter(|pane| pane.table.is_behind()) else {
                    continue;
                };
                if pane.table.find(*hash, key).is_none() {
                    missing.push(pane.cold_key(*hash, key));
                }
            }
        }
        cold::load(cache, &mut self.panes, missing)
    }

    fn warm(&self, hashes: &[u64]) {
        self.panes.warm(hashes);
    }

    fn add(
        &mut self,
        now: Time,
        (record, ts): (&T, Time),
        key: (u64, &K),
        out: &mut Rows<R>,
    ) -> Result<bool> {
        let event_time = self.spec.assigner.is_event_time();
        let time = if event_time { require_time(ts)? } else { now };
        self.assigned.clear();
        self.spec.assigner.assign_next(time, &mut self.assigned);
        let watermark = self.watermark.max(self.restored_watermarks.of(key.0, self.panes.groups()));
        let mut late = !self.assigned.is_empty();
        for index in 0..self.assigned.len() {
            let window = self.assigned[index];
            if event_time && allowed_lateness::is_window_late(&window, self.spec.allowed_lateness, watermark)
            {
                continue;
            }
            late = false;
            self.add_to(window, record, key, TriggerContext::new(watermark, now), out);
        }
        Ok(!late)
    }

    fn advance(&mut self, watermark: Time) {
        self.watermark = self.watermark.max(watermark);
        self.collect_due(TimerKind::EventTime, watermark);
    }

    fn tick(&mut self, now: Time) {
        self.collect_due(TimerKind::ProcessingTime, now);
    }

    fn fire_next(&mut self, _: Time, most: usize, out: &mut Rows<R>) -> Result<Option<usize>> {
        let Some(due) = self.due.timers.front().copied() else { return Ok(None) };
        let fired = self.fire_keys(&due, most, out)?;
        if fired.is_none() {
            self.due.timers.pop_front();
            self.due.place = FiringPosition::default();
        }
        Ok(Some(fired.unwrap_or_default()))
    }

    fn all_fired(&mut self, now: Time) {
        let cold = &mut self.cold;
        let dropped = |pane: &_| {
            if let Some(cache) = cold {
                cold::forget(cache, pane);
            }
        };
        if self.spec.assigner.is_event_time() {
            self.panes.expire(self.spec.allowed_lateness, self.watermark, dropped);
            self.restored_watermarks.caught_up(self.watermark);
        } else {
            self.panes.expire(0, now, dropped);
        }
    }

    // The timers that are due have left their windows.
    fn is_half_fired(&self) -> bool {
        !self.due.timers.is_empty()
    }

    fn wake_at(&self) -> Option<Time> {
        self.panes.next_processing_timer()
    }

    fn measure(&mut self, metrics: &StateMetrics) {
        let tables = self.panes.all().iter().map(|pane| &pane.table);
        Meter::measure(metrics, tables, self.cold.as_ref(), |entry| entry.value.acc.heap_size());
    }

    fn settle(&mut self) -> Result<()> {
        // Of a window that has fired in part from memory nothing may leave: what left would be fired once
        // more, from the store.
        let settled = self.cold.as_mut().filter(|_| self.due.place.slot == 0);
        settled.map_or(Ok(()), |cache| cache.settle(self.panes.all()))
    }

    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenState>> {
        let watermarks = GroupWatermarks::new(&self.owned, self.watermark, &self.restored_watermarks);
        match &mut self.cold {
            None => Ok(Box::new(FrozenWindows::new(watermarks, &mut self.panes))),
            Some(cache) => cold::freeze(cache, &mut self.panes, &watermarks, id),
        }
    }

    fn close(&mut self) {
        self.panes = Panes::new(1, false);
        self.cold = None;
    }
}
