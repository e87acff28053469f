//! Session windows, as Flink's `WindowOperator` with a `MergingWindowSet`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::assigner::{Session, require_time};
use super::emit::{WindowFunction, emit};
use super::operator::WindowSpec;
use super::{Aggregate, Fire, Timers, Trigger, Window, lateness};
use crate::figures::OperatorFigures;
use crate::key::{KeyGroup, key_group};
use crate::plan::{Kept, KeyedSpec, StateSpec};
use crate::record::{Names, from_bytes};
use crate::schema::write::{self, SchemaOf};
use crate::snapshot::{CheckpointId, Emit, Frozen, FrozenState, RestoredKeyed, TableSchema};
use crate::state::{Floors, GroupWatermarks};
use crate::table::{FrozenEntries, KeyedTable, Slot};
use crate::time::{MIN_TIME, Time};
use crate::{Budget, Context, Data, Key, Mark, OpenContext, Operator, Output, Record, Result, Rows, Step};

/// Windows that each key has for itself and that merge when they touch.
pub struct SessionOperator<K, T, R, KF, G, A, F>
where
    A: Aggregate<T>,
    G: Trigger,
{
    spec: WindowSpec<T, KF, Session, G, A, F>,
    name: String,
    keys: KeyedTable<K, Sessions<A::Acc, G::State>>,
    event_timers: BTreeSet<Timer<K>>,
    processing_timers: BTreeSet<Timer<K>>,
    mark: Option<Mark>,
    watermark: Time,
    floors: Floors,
    groups: (u16, std::ops::Range<KeyGroup>),
    figures: Arc<OperatorFigures>,
    of: std::marker::PhantomData<fn(T) -> R>,
}

type Sessions<A, S> = Vec<Open<A, S>>;

// One open session of a key.
#[derive(Clone)]
struct Open<A, S> {
    window: Window,
    acc: A,
    trigger: S,
    asked: (Option<Time>, Option<Time>),
}

impl<A: Record, S: Record> Record for Open<A, S> {
    fn schema(names: &mut Names) -> String {
        let (name, first) = names.of::<Self>("Session");
        if !first {
            return format!("\"{name}\"");
        }
        let asked = <(Option<Time>, Option<Time>)>::schema;
        let fields: &[(_, SchemaOf)] =
            &[("window", Window::schema), ("acc", A::schema), ("trigger", S::schema), ("asked", asked)];
        write::fields(names, &name, fields)
    }
    fn encode(&self, out: &mut Vec<u8>) {
        self.window.encode(out);
        self.acc.encode(out);
        self.trigger.encode(out);
        self.asked.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let (window, acc, trigger, asked) = Record::decode(bytes)?;
        Ok(Self { window, acc, trigger, asked })
    }
    fn heap_size(&self) -> usize {
        self.acc.heap_size() + self.trigger.heap_size()
    }
}

// At equal times a trigger is asked before the session is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Trigger,
    Cleanup,
}

// By time, then by key: every run fires them alike.
type Timer<K> = (Time, Due, K, Window);

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
            keys: KeyedTable::default(),
            event_timers: BTreeSet::new(),
            processing_timers: BTreeSet::new(),
            mark: None,
            watermark: MIN_TIME,
            floors: Floors::default(),
            groups: (1, 0..1),
            figures: OperatorFigures::new(""),
            of: std::marker::PhantomData,
        }
    }

    // Whether the record was taken: it was late only if its window, merged with what it touches, is late.
    fn element(&mut self, now: Time, record: &T, ts: Time, hash: u64, out: &mut Rows<R>) -> Result<bool> {
        let event_time = self.spec.assigner.is_event_time();
        let time = if event_time { require_time(ts)? } else { now };
        let single = self.spec.assigner.window(time);
        let slot = self.keys.resolve(hash, (self.spec.key)(record), Vec::new);
        let watermark = self.watermark.max(self.floors.of(hash, self.groups.0));
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
        let sessions = self.keys.entry(slot).map_or(&[][..], |entry| &entry.value);
        let touched = sessions.iter().filter(|session| session.window.intersects(&single));
        touched.fold(single, |all, session| all.cover(&session.window))
    }

    // Makes one session of all that the window covers and answers its place among the key's sessions.
    fn merge(&mut self, slot: Slot, window: Window) -> usize {
        let WindowSpec { aggregate, trigger, .. } = &self.spec;
        let sessions = &mut self.keys.entry_mut(slot).expect("the slot was just resolved").value;
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
        let entry = self.keys.entry_mut(slot).expect("the slot was just resolved");
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
        self.event_timers.extend(asked.0.map(|time| (time, Due::Trigger, key.clone(), window)));
        self.processing_timers.extend(asked.1.map(|time| (time, Due::Trigger, key.clone(), window)));
        if self.spec.assigner.is_event_time() {
            let cleanup = lateness::cleanup_time(&window, self.spec.allowed_lateness);
            self.event_timers.insert((cleanup, Due::Cleanup, key, window));
        } else {
            self.processing_timers.insert((window.max_timestamp(), Due::Cleanup, key, window));
        }
    }

    fn forget_empty(&mut self, slot: Slot) {
        if self.keys.entry(slot).is_some_and(|entry| entry.value.is_empty()) {
            self.keys.remove(slot);
        }
    }

    // Works off the timers that are due; `More` while something is left.
    fn fire(&mut self, now: Time, budget: Budget, out: &mut Output<R>) -> Step {
        for _ in 0..budget.records {
            if let Some(timer) = pop_due(&mut self.event_timers, self.watermark) {
                self.on_timer(timer, true, &mut out.rows);
            } else if let Some(timer) = pop_due(&mut self.processing_timers, now) {
                self.on_timer(timer, false, &mut out.rows);
            } else {
                self.floors.caught_up(self.watermark);
                out.marks.extend(self.mark.take());
                return Step { wake_at: self.processing_timers.first().map(|timer| timer.0), ..Step::DONE };
            }
        }
        Step::MORE
    }

    // A timer of a session that has merged into another since finds nothing and does nothing.
    fn on_timer(&mut self, (time, due, key, window): Timer<K>, event: bool, out: &mut Rows<R>) {
        let WindowSpec { aggregate, trigger, function, .. } = &self.spec;
        let Some(slot) = self.keys.find(key.key_hash(), &key) else { return };
        let Some(entry) = self.keys.entry_mut(slot) else { return };
        let Some(place) = entry.value.iter().position(|session| session.window == window) else { return };
        if due == Due::Cleanup {
            entry.value.swap_remove(place);
            return self.forget_empty(slot);
        }
        let session = &mut entry.value[place];
        let fired_before = event && lateness::has_fired(&window, self.floors.of(entry.hash, self.groups.0));
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
        restored.read(&Self::tables(), &mut |group, table, entry| {
            match table {
                0 => self.floors.restore(group, entry)?,
                _ => self.restore_key(from_bytes(entry)?),
            }
            Ok(())
        })
    }

    fn restore_key(&mut self, (key, sessions): KeyEntry<K, A::Acc, G::State>) {
        for session in &sessions {
            self.register(key.clone(), session.window, session.asked);
        }
        self.keys.resolve(key.key_hash(), key, || sessions);
    }

    fn freeze(&mut self) -> FrozenSessions<K, A::Acc, G::State> {
        let watermarks = GroupWatermarks::new(&self.groups.1, self.watermark, &self.floors);
        FrozenSessions { watermarks, groups: self.groups.0, keys: self.keys.freeze() }
    }
}

type KeyEntry<K, A, S> = (K, Sessions<A, S>);

// All sessions as they were at a barrier.
struct FrozenSessions<K, A, S> {
    watermarks: GroupWatermarks,
    groups: u16,
    keys: FrozenEntries<K, Sessions<A, S>>,
}

impl<K: Key, A: Record, S: Record> FrozenState for FrozenSessions<K, A, S> {
    fn tables(&self) -> Vec<TableSchema> {
        tables::<K, A, S>()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.watermarks.entries(emit)?;
        let mut bytes = Vec::new();
        self.keys.iter().flatten().try_for_each(|entry| {
            bytes.clear();
            entry.key.encode(&mut bytes);
            entry.value.encode(&mut bytes);
            emit(key_group(entry.hash, self.groups), 1, &bytes)
        })
    }
}

fn tables<K: Key, A: Record, S: Record>() -> Vec<TableSchema> {
    vec![
        GroupWatermarks::table(),
        TableSchema::of_fields(
            "sessions",
            "OpenSessions",
            &[("key", K::schema), ("sessions", Sessions::<A, S>::schema)],
        ),
    ]
}

fn pop_due<K: Ord>(timers: &mut BTreeSet<Timer<K>>, upto: Time) -> Option<Timer<K>> {
    let due = timers.first().is_some_and(|timer| timer.0 <= upto);
    if due { timers.pop_first() } else { None }
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
        self.groups = (cx.key_groups, cx.owned.clone());
        let restored = cx.restored.take_keyed(name);
        self.restore(&restored)
    }

    fn rows(&mut self, cx: &mut Context<'_>, rows: &mut Rows<T>, out: &mut Output<R>) -> Result<Step> {
        let now = cx.now();
        let hashes = std::mem::take(&mut rows.hash);
        for ((record, ts), hash) in rows.drain().zip(hashes) {
            if !self.element(now, &record, ts, hash, &mut out.rows)? {
                self.figures.late.add(1);
                out.side(&self.spec.late).push(record, ts);
            }
        }
        Ok(Step { wake_at: self.processing_timers.first().map(|timer| timer.0), ..Step::DONE })
    }

    fn mark(&mut self, cx: &mut Context<'_>, mark: Mark, out: &mut Output<R>) -> Result<Step> {
        if let Mark::Time(time) = mark {
            self.watermark = self.watermark.max(time);
        }
        self.mark = Some(mark);
        Ok(self.fire(cx.now(), cx.budget, out))
    }

    fn resume(&mut self, cx: &mut Context<'_>, budget: Budget, out: &mut Output<R>) -> Result<Step> {
        Ok(self.fire(cx.now(), budget, out))
    }

    fn prepare(&mut self, _: &mut Context<'_>, _: CheckpointId, _: &mut Output<R>) -> Result<Step> {
        Ok(if self.mark.is_none() { Step::DONE } else { Step::MORE })
    }

    fn snapshot(&mut self, _: CheckpointId, frozen: &mut Frozen) -> Result<()> {
        let state = Box::new(self.freeze());
        frozen.keyed.push((self.name.clone(), state));
        Ok(())
    }

    fn close(&mut self) {
        self.keys = KeyedTable::default();
    }
}
