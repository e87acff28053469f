//! Session windows, as Flink's `WindowOperator` with a `MergingWindowSet`.

mod table;

use std::sync::Arc;

use self::table::{FrozenSessions, KeyEntry, Open, Table, tables};
use super::assigner::{Session, require_time};
use super::emit::{WindowFunction, emit};
use super::operator::WindowSpec;
use super::{Aggregate, Fire, Timers, Trigger, Window, lateness};
use crate::cold::{Cache, ColdTable, FIRST_INDEX, pair};
use crate::figures::OperatorFigures;
use crate::key::KeyGroup;
use crate::plan::{Kept, KeyedSpec, StateSpec};
use crate::record::from_bytes;
use crate::snapshot::{CheckpointId, Frozen, FrozenState, RestoredKeyed, TableSchema};
use crate::state::{Floors, GroupWatermarks, Meter, OfKey, TimerIndex};
use crate::table::{KeyedTable, Slot};
use crate::time::{MAX_TIME, MIN_TIME, Time};
use crate::{Budget, Context, Data, Key, Mark, OpenContext, Operator, Output, Record, Result, Rows, Step};

/// Windows that each key has for itself and that merge when they touch.
pub struct SessionOperator<K, T, R, KF, G, A, F>
where
    A: Aggregate<T>,
    G: Trigger,
{
    spec: WindowSpec<T, KF, Session, G, A, F>,
    name: String,
    table: Table<K, A::Acc, G::State>,
    event_timers: TimerIndex<Timer<K>>,
    processing_timers: TimerIndex<Timer<K>>,
    cold: Option<Cache>,
    mark: Option<Mark>,
    watermark: Time,
    floors: Floors,
    owned: std::ops::Range<KeyGroup>,
    figures: Arc<OperatorFigures>,
    meter: Meter,
    of: std::marker::PhantomData<fn(T) -> R>,
}

// At equal times a trigger is asked before the session is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
enum Due {
    Trigger,
    Cleanup,
}

type Timer<K> = (Due, K, Window);

impl<K: Key> OfKey for Timer<K> {
    fn hash(&self) -> u64 {
        self.1.key_hash()
    }
}

impl<K, T, R, KF, G, A, F> SessionOperator<K, T, R, KF, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    KF: Fn(&T) -> K,
    G: Trigger,
    A: Aggregate<T>,
    F: WindowFunction<K, A::Out, R>,
{
    /// An operator of these parts.
    pub fn new(spec: WindowSpec<T, KF, Session, G, A, F>) -> Self {
        Self {
            spec,
            name: String::new(),
            table: Table { keys: KeyedTable::default(), groups: 1 },
            event_timers: TimerIndex::default(),
            processing_timers: TimerIndex::default(),
            cold: None,
            mark: None,
            watermark: MIN_TIME,
            floors: Floors::default(),
            owned: 0..1,
            figures: OperatorFigures::new(""),
            meter: Meter::default(),
            of: std::marker::PhantomData,
        }
    }

    // Whether the record was taken: it was late only if its window, merged with what it touches, is late.
    fn element(&mut self, now: Time, record: &T, ts: Time, hash: u64, out: &mut Rows<R>) -> Result<bool> {
        let event_time = self.spec.assigner.is_event_time();
        let time = if event_time { require_time(ts)? } else { now };
        let single = self.spec.assigner.window(time);
        let slot = self.table.keys.resolve(hash, (self.spec.key)(record), Vec::new);
        let watermark = self.watermark.max(self.floors.of(hash, self.table.groups));
        let merged = self.merged_window(slot, single);
        if event_time && lateness::is_window_late(&merged, self.spec.allowed_lateness, watermark) {
            self.forget_empty(slot);
            return Ok(false);
        }
        let place = self.merge(slot, merged);
        self.add(slot, place, record, Timers::new(watermark, now), out);
        Ok(true)
    }

    fn merged_window(&self, slot: Slot, single: Window) -> Window {
        let sessions = self.table.keys.entry(slot).map_or(&[][..], |entry| &entry.value);
        let touched = sessions.iter().filter(|session| session.window.intersects(&single));
        touched.fold(single, |all, session| all.cover(&session.window))
    }

    // Makes one session of all that the window covers and answers its place among the key's sessions.
    fn merge(&mut self, slot: Slot, window: Window) -> usize {
        let WindowSpec { aggregate, trigger, .. } = &self.spec;
        let sessions = &mut self.table.keys.entry_mut(slot).expect("the slot was just resolved").value;
        let mut whole =
            Open { window, acc: aggregate.create(), trigger: G::State::default(), asked: (None, None) };
        let mut place = 0;
        while place < sessions.len() {
            if sessions[place].window.intersects(&window) {
                let part = sessions.swap_remove(place);
                aggregate.merge(&mut whole.acc, part.acc);
                trigger.on_merge(&mut whole.trigger, part.trigger);
                whole.asked = if part.window == window { part.asked } else { whole.asked };
            } else {
                place += 1;
            }
        }
        sessions.push(whole);
        sessions.len() - 1
    }

    fn add(&mut self, slot: Slot, place: usize, record: &T, mut timers: Timers, out: &mut Rows<R>) {
        let WindowSpec { aggregate, trigger, function, .. } = &self.spec;
        let entry = self.table.keys.entry_mut(slot).expect("the slot was just resolved");
        let session = &mut entry.value[place];
        aggregate.add(&mut session.acc, record);
        let fire = trigger.on_element(&session.window, &mut session.trigger, &mut timers);
        session.asked = (timers.event.or(session.asked.0), timers.processing.or(session.asked.1));
        let (window, asked) = (session.window, session.asked);
        let key = entry.key.clone();
        if fire.fire {
            emit(function.as_ref(), &entry.key, &window, aggregate.result(&session.acc), out);
        }
        if fire.purge {
            session.acc = aggregate.create();
        }
        self.register(key, window, asked);
    }

    fn register(&mut self, key: K, window: Window, asked: (Option<Time>, Option<Time>)) {
        if let Some(time) = asked.0 {
            self.event_timers.add(time, (Due::Trigger, key.clone(), window));
        }
        if let Some(time) = asked.1 {
            self.processing_timers.add(time, (Due::Trigger, key.clone(), window));
        }
        if self.spec.assigner.is_event_time() {
            let cleanup = lateness::cleanup_time(&window, self.spec.allowed_lateness);
            self.event_timers.add(cleanup, (Due::Cleanup, key, window));
        } else {
            self.processing_timers.add(window.max_timestamp(), (Due::Cleanup, key, window));
        }
    }

    fn forget_empty(&mut self, slot: Slot) {
        if self.table.keys.entry(slot).is_some_and(|entry| entry.value.is_empty()) {
            self.table.keys.remove(slot);
        }
    }

    // Works off the timers that are due; `More` while something is left.
    fn fire(&mut self, now: Time, budget: Budget, out: &mut Output<R>) -> Result<Step> {
        self.load_due(now, budget.records)?;
        for _ in 0..budget.records {
            let (keys, cold) = (&self.table.keys, self.cold.is_some());
            let here = |timer: &Timer<K>| !cold || keys.find(timer.hash(), &timer.1).is_some();
            let event = self.event_timers.is_due(self.watermark);
            let due = match event {
                true => self.event_timers.pop_due(self.watermark, here),
                false => self.processing_timers.pop_due(now, here),
            };
            let Some(due) = due else { break };
            self.on_timer(due, event, &mut out.rows);
        }
        self.settle(now)?;
        if self.load_due(now, 1)? {
            return Ok(Step::MORE);
        }
        self.floors.caught_up(self.watermark);
        out.marks.extend(self.mark.take());
        Ok(Step { wake_at: self.processing_timers.next(), ..Step::DONE })
    }

    // Whether a timer is due; brings the keys of the first so many into memory.
    fn load_due(&mut self, now: Time, most: usize) -> Result<bool> {
        let Some(cache) = &mut self.cold else {
            return Ok(self.event_timers.is_due(self.watermark) || self.processing_timers.is_due(now));
        };
        let due = self.event_timers.due(self.watermark, most, cache)?;
        let due = if due.is_empty() { self.processing_timers.due(now, most, cache)? } else { due };
        let keys: Vec<_> = due.into_iter().map(|timer| (timer.hash(), timer.1.clone())).collect();
        self.load(keys.iter().cloned())?;
        // Also of a key whose sessions have gone: its timers must not be waited for in vain.
        let any = !keys.is_empty();
        for (hash, key) in keys {
            self.table.keys.resolve(hash, key, Vec::new);
        }
        Ok(any)
    }

    fn load(&mut self, keys: impl Iterator<Item = (u64, K)>) -> Result<()> {
        let (Some(cache), table) = (&mut self.cold, &mut self.table) else { return Ok(()) };
        let missing = keys.filter(|(hash, key)| table.keys.find(*hash, key).is_none());
        let missing = missing.map(|(hash, key)| table.cold_key(hash, &key)).collect();
        cache.write_gone(table);
        cache.fetch(missing, &mut |entry| {
            let (key, sessions): KeyEntry<K, A::Acc, G::State> = from_bytes(entry)?;
            table.keys.load(key.key_hash(), key, sessions);
            Ok(())
        })
    }

    // Between two batches: measures; above a cold store writes back what changed, and makes room.
    fn settle(&mut self, now: Time) -> Result<()> {
        if self.meter.is_due(now) {
            let tables = std::iter::once(&self.table.keys);
            let figures = self.figures.state("sessions");
            Meter::measure(&figures, tables, self.cold.as_ref(), |entry| entry.value.heap_size());
        }
        let Some(cache) = &mut self.cold else { return Ok(()) };
        self.event_timers.write_back(cache);
        self.processing_timers.write_back(cache);
        cache.settle(std::slice::from_mut(&mut self.table))
    }

    // A timer of a session that has merged into another since finds nothing and does nothing.
    fn on_timer(&mut self, (time, (due, key, window)): (Time, Timer<K>), event: bool, out: &mut Rows<R>) {
        let WindowSpec { aggregate, trigger, function, .. } = &self.spec;
        let Some(slot) = self.table.keys.find(key.key_hash(), &key) else { return };
        let Some(entry) = self.table.keys.entry_mut(slot) else { return };
        let Some(place) = entry.value.iter().position(|session| session.window == window) else {
            return self.forget_empty(slot);
        };
        if due == Due::Cleanup {
            entry.value.swap_remove(place);
            return self.forget_empty(slot);
        }
        let session = &mut entry.value[place];
        let fired_before =
            event && lateness::has_fired(&window, self.floors.of(entry.hash, self.table.groups));
        let Fire { fire, purge } = match event {
            _ if fired_before => Fire::CONTINUE,
            true => trigger.on_event_time(time, &window, &mut session.trigger),
            false => trigger.on_processing_time(time, &window, &mut session.trigger),
        };
        if fire {
            emit(function.as_ref(), &entry.key, &window, aggregate.result(&session.acc), out);
        }
        if purge {
            session.acc = aggregate.create();
        }
    }

    /// What its snapshots consist of.
    pub fn tables() -> Vec<TableSchema> {
        tables::<K, A::Acc, G::State>()
    }

    fn restore(&mut self, restored: &RestoredKeyed) -> Result<()> {
        restored.read(&Self::tables(), &mut |group, table, entry| match table {
            0 => self.floors.restore(group, entry),
            _ => self.restore_key(from_bytes(entry)?),
        })
    }

    fn restore_key(&mut self, (key, sessions): KeyEntry<K, A::Acc, G::State>) -> Result<()> {
        for session in &sessions {
            self.register(key.clone(), session.window, session.asked);
        }
        self.table.keys.resolve(key.key_hash(), key, || sessions);
        Ok(())
    }

    fn open_cold(&mut self, mut cache: Cache, unread: Option<&RestoredKeyed>) -> Result<()> {
        self.table.keys = KeyedTable::tracked();
        self.event_timers = TimerIndex::above(FIRST_INDEX, &cache);
        self.processing_timers = TimerIndex::above(FIRST_INDEX + 1, &cache);
        match unread {
            None => cache.each(0, &mut |group, entry| self.floors.restore(group, entry))?,
            Some(restored) => restored.read(&Self::tables(), &mut |group, table, entry| match table {
                0 => self.floors.restore(group, entry),
                _ => self.store(&mut cache, entry),
            })?,
        }
        self.cold = Some(cache);
        Ok(())
    }

    fn store(&mut self, cache: &mut Cache, entry: &[u8]) -> Result<()> {
        let (key, sessions): KeyEntry<K, A::Acc, G::State> = from_bytes(entry)?;
        let (cold, mut value) = pair(self.table.cold_key(key.key_hash(), &key), MAX_TIME);
        value.extend_from_slice(entry);
        cache.put((cold, value));
        for session in &sessions {
            self.register(key.clone(), session.window, session.asked);
        }
        self.event_timers.write_back(cache);
        self.processing_timers.write_back(cache);
        cache.write_if_many()
    }

    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenState>> {
        let watermarks = GroupWatermarks::new(&self.owned, self.watermark, &self.floors);
        let Some(cache) = &mut self.cold else {
            let (groups, keys) = (self.table.groups, self.table.keys.freeze());
            return Ok(Box::new(FrozenSessions { watermarks, groups, keys }));
        };
        self.event_timers.write_back(cache);
        self.processing_timers.write_back(cache);
        cache.freeze(id, std::slice::from_mut(&mut self.table), &watermarks, Self::tables())
    }
}

impl<K, T, R, KF, G, A, F> Operator for SessionOperator<K, T, R, KF, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    KF: Fn(&T) -> K + Send + Sync + 'static,
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
        (self.table.groups, self.owned) = (cx.key_groups, cx.owned.clone());
        let restored = cx.restored.take_keyed(name);
        match Cache::open(name, &Self::tables(), &restored, cx)? {
            None => self.restore(&restored),
            Some((cache, done)) => self.open_cold(cache, (!done).then_some(&restored)),
        }
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<R>) -> Result<Step> {
        let now = cx.now();
        if self.cold.is_some() {
            let key = Arc::clone(&self.spec.key);
            let keys = rows.rec.iter().map(|record| key(record));
            self.load(rows.hash.iter().copied().zip(keys))?;
        }
        let (hashes, origins) = (std::mem::take(&mut rows.hash), std::mem::take(&mut rows.origins));
        for (index, ((record, ts), hash)) in rows.drain().zip(hashes).enumerate() {
            if !self.element(now, &record, ts, hash, &mut out.rows)? {
                self.figures.late.add(1);
                out.side(&self.spec.late).push_of(record, ts, &origins, index);
            }
        }
        self.settle(now)?;
        Ok(Step { wake_at: self.processing_timers.next(), ..Step::DONE })
    }

    fn mark(&mut self, cx: &mut Context<'_>, mark: Mark, out: &mut Output<R>) -> Result<Step> {
        if let Mark::Time(time) = mark {
            self.watermark = self.watermark.max(time);
        }
        self.mark = Some(mark);
        self.fire(cx.now(), cx.budget, out)
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, out: &mut Output<R>) -> Result<Step> {
        self.fire(cx.now(), budget, out)
    }

    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<R>) -> Result<Step> {
        Ok(if self.mark.is_none() { Step::DONE } else { Step::MORE })
    }

    fn snapshot(&mut self, id: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        frozen.keyed.push((self.name.clone(), self.freeze(id)?));
        Ok(())
    }

    fn close(&mut self) {
        self.table.keys = KeyedTable::default();
        self.cold = None;
    }
}
