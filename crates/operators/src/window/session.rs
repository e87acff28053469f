//! Session windows, which each key has for itself.

pub(super) mod table;

use millstream_record::key_group::KeyGroup;
use millstream_record::record::Names;
use millstream_record::record::from_bytes;
use millstream_record::{Data, Key, Record, Result};
use millstream_stage::metrics::StateMetrics;
use millstream_stage::operator::SideTag;
use millstream_stage::snapshot::{CheckpointId, FrozenState, RestoredKeyed, TableSchema};
use millstream_stage::time::{MAX_TIME, MIN_TIME, Time};
use millstream_stage::{OpenContext, Rows};

use self::table::{FrozenSessions, KeyEntry, Table, tables};
use super::assigner::{Session, require_time};
use super::emit::WindowFunction;
use super::operator::{SessionOperator, WindowStore};
use super::session_merge::{merge, merged_window};
use super::spec::{DueTimer, WindowSpec};
use super::{AggregateFunction, Trigger, TriggerContext, Window, allowed_lateness};
use crate::cold::{Cache, ColdTable, pair};
use crate::group_watermarks::{GroupWatermarks, RestoredWatermarks};
use crate::state::{ClockTimers, Meter, OfKey, TimerKind};
use crate::table::{KeyedTable, Slot};

/// Windows that each key has for itself and that merge when they touch.
pub struct SessionWindows<K, T, R, G, A, F>
where
    A: AggregateFunction<T>,
    G: Trigger,
{
    spec: WindowSpec<K, T, Session, G, A, F>,
    table: Table<K, A::Acc, G::State>,
    timers: ClockTimers<SessionTimer<K>>,
    cold: Option<Cache>,
    watermark: Time,
    restored_watermarks: RestoredWatermarks,
    owned: std::ops::Range<KeyGroup>,
    of: std::marker::PhantomData<fn(T) -> R>,
}

// At equal times a trigger is asked before the session is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
enum Due {
    Trigger,
    Cleanup,
}

/// A timer of one session; the order of the fields is the order in which timers of one time fire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SessionTimer<K> {
    due: Due,
    key: K,
    window: Window,
}

// By hand: the derive refuses type parameters.
impl<K: Key> Record for SessionTimer<K> {
    fn schema(names: &mut Names) -> String {
        <(Due, K, Window)>::schema(names)
    }
    fn encode(&self, out: &mut Vec<u8>) {
        self.due.encode(out);
        self.key.encode(out);
        self.window.encode(out);
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self> {
        let (due, key, window) = Record::decode(bytes)?;
        Ok(Self { due, key, window })
    }
}

impl<K: Key> OfKey for SessionTimer<K> {
    fn hash(&self) -> u64 {
        self.key.key_hash()
    }
}

impl<K, T, R, G, A, F> SessionOperator<K, T, R, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    /// An operator of these parts.
    pub fn new(spec: WindowSpec<K, T, Session, G, A, F>) -> Self {
        Self::of(SessionWindows {
            spec,
            table: Table { keys: KeyedTable::default(), groups: 1 },
            timers: ClockTimers::default(),
            cold: None,
            watermark: MIN_TIME,
            restored_watermarks: RestoredWatermarks::default(),
            owned: 0..1,
            of: std::marker::PhantomData,
        })
    }
}

impl<K, T, R, G, A, F> SessionWindows<K, T, R, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    fn add_to(
        &mut self,
        slot: Slot,
        place: usize,
        record: &T,
        mut timers: TriggerContext,
        out: &mut Rows<R>,
    ) {
        let entry = self.table.keys.entry_mut(slot).expect("the slot was just resolved");
        let (key, session) = (&entry.key, &mut entry.value[place]);
        let window = session.window;
        self.spec.add(&window, session.kept(key), record, &mut timers, out);
        session.asked = (timers.event.or(session.asked.0), timers.processing.or(session.asked.1));
        let (key, asked) = (key.clone(), session.asked);
        self.register(key, window, asked);
    }

    fn register(&mut self, key: K, window: Window, asked: (Option<Time>, Option<Time>)) {
        let asked = [(TimerKind::EventTime, asked.0), (TimerKind::ProcessingTime, asked.1)];
        for (kind, time) in asked {
            if let Some(time) = time {
                self.timers.of(kind).add(time, SessionTimer { due: Due::Trigger, key: key.clone(), window });
            }
        }
        let (kind, cleanup) = match self.spec.assigner.is_event_time() {
            true => {
                (TimerKind::EventTime, allowed_lateness::cleanup_time(&window, self.spec.allowed_lateness))
            }
            false => (TimerKind::ProcessingTime, window.max_timestamp()),
        };
        self.timers.of(kind).add(cleanup, SessionTimer { due: Due::Cleanup, key, window });
    }

    fn forget_empty(&mut self, slot: Slot) {
        if self.table.keys.entry(slot).is_some_and(|entry| entry.value.is_empty()) {
            self.table.keys.remove(slot);
        }
    }

    // Whether a timer is due; brings the keys of the first so many into memory.
    fn load_due(&mut self, now: Time, most: usize) -> Result<bool> {
        let Some(cache) = &mut self.cold else {
            return Ok(self.timers.is_due(self.watermark, now));
        };
        let due = self.timers.due((self.watermark, now), most, cache)?;
        let keys: Vec<_> = due.into_iter().map(|timer| (timer.hash(), timer.key.clone())).collect();
        self.load_keys(keys.iter().map(|(hash, key)| (*hash, key)))?;
        // Also of a key whose sessions have gone: its timers must not be waited for in vain.
        for (hash, key) in &keys {
            self.table.keys.resolve(*hash, key, Vec::new);
        }
        Ok(!keys.is_empty())
    }

    fn load_keys<'k>(&mut self, keys: impl Iterator<Item = (u64, &'k K)>) -> Result<()> {
        let (Some(cache), table) = (&mut self.cold, &mut self.table) else { return Ok(()) };
        let missing = keys.filter(|(hash, key)| table.keys.find(*hash, key).is_none());
        let missing = missing.map(|(hash, key)| table.cold_key(hash, key)).collect();
        cache.write_gone(table);
        cache.fetch(missing, &mut |entry| {
            let (key, sessions): KeyEntry<K, A::Acc, G::State> = from_bytes(entry)?;
            table.keys.load(key.key_hash(), key, sessions);
            Ok(())
        })
    }

    fn pop_due(&mut self, now: Time) -> Option<(TimerKind, Time, SessionTimer<K>)> {
        let (keys, cold) = (&self.table.keys, self.cold.is_some());
        let here = |timer: &SessionTimer<K>| !cold || keys.find(timer.hash(), &timer.key).is_some();
        self.timers.pop_due((self.watermark, now), here)
    }

    // A timer of a session that has merged into another since finds nothing and does nothing.
    fn on_timer(&mut self, kind: TimerKind, time: Time, timer: SessionTimer<K>, out: &mut Rows<R>) {
        let SessionTimer { due, key, window } = timer;
        let Some(slot) = self.table.keys.find(key.key_hash(), &key) else { return };
        let Some(entry) = self.table.keys.entry_mut(slot) else { return };
        let Some(place) = entry.value.iter().position(|session| session.window == window) else {
            return self.forget_empty(slot);
        };
        if due == Due::Cleanup {
            entry.value.swap_remove(place);
            return self.forget_empty(slot);
        }
        let floor = self.restored_watermarks.of(entry.hash, self.table.groups);
        let kept = entry.value[place].kept(&entry.key);
        self.spec.fire(&DueTimer { kind, time, window }, floor, kept, out);
    }

    fn restore(&mut self, restored: &RestoredKeyed) -> Result<()> {
        restored.read(&Self::tables(), &mut |group, table, entry| match table {
            0 => self.restored_watermarks.restore(group, entry),
            _ => self.restore_key(from_bytes(entry)?),
        })
    }

    fn restore_key(&mut self, (key, sessions): KeyEntry<K, A::Acc, G::State>) -> Result<()> {
        for session in &sessions {
            self.register(key.clone(), session.window, session.asked);
        }
        self.table.keys.load(key.key_hash(), key, sessions);
        Ok(())
    }

    fn open_cold(&mut self, mut cache: Cache, unread: Option<&RestoredKeyed>) -> Result<()> {
        self.table.keys = KeyedTable::tracked();
        self.timers = ClockTimers::above(&cache);
        match unread {
            None => cache.each(0, &mut |group, entry| self.restored_watermarks.restore(group, entry))?,
            Some(restored) => restored.read(&Self::tables(), &mut |group, table, entry| match table {
                0 => self.restored_watermarks.restore(group, entry),
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
        self.timers.write_back(cache);
        cache.write_if_many()
    }
}

impl<K, T, R, G, A, F> WindowStore for SessionWindows<K, T, R, G, A, F>
where
    K: Key,
    T: Data,
    R: Data,
    G: Trigger,
    A: AggregateFunction<T>,
    F: WindowFunction<K, A::Out, R>,
{
    type Key = K;
    type In = T;
    type Out = R;

    fn tables() -> Vec<TableSchema> {
        tables::<K, A::Acc, G::State>()
    }

    fn keys(&self, records: &[T], keys: &mut Vec<K>) {
        self.spec.key.keys(records, keys);
    }

    fn late(&self) -> &SideTag<T> {
        &self.spec.late
    }

    fn open(&mut self, name: &str, cx: &mut OpenContext) -> Result<()> {
        self.spec.assigner.validate()?;
        (self.table.groups, self.owned) = (cx.key_groups, cx.owned.clone());
        let restored = cx.restored.take_keyed(name);
        match Cache::open(name, &Self::tables(), &restored, cx)? {
            None => self.restore(&restored),
            Some((cache, done)) => self.open_cold(cache, (!done).then_some(&restored)),
        }
    }

    fn load(&mut self, _: Time, _: &Rows<T>, hashes: &[u64], keys: &[K]) -> Result<()> {
        self.load_keys(hashes.iter().copied().zip(keys))
    }

    // A record is late only if its window, merged with what it touches, is late.
    fn add(
        &mut self,
        now: Time,
        (record, ts): (&T, Time),
        (hash, key): (u64, &K),
        out: &mut Rows<R>,
    ) -> Result<bool> {
        let event_time = self.spec.assigner.is_event_time();
        let time = if event_time { require_time(ts)? } else { now };
        let slot = self.table.keys.resolve(hash, key, Vec::new);
        let watermark = self.watermark.max(self.restored_watermarks.of(hash, self.table.groups));
        let sessions = &mut self.table.keys.entry_mut(slot).expect("the slot was just resolved").value;
        let merged = merged_window(sessions, self.spec.assigner.window(time));
        if event_time && allowed_lateness::is_window_late(&merged, self.spec.allowed_lateness, watermark) {
            self.forget_empty(slot);
            return Ok(false);
        }
        let place = merge(sessions, merged, &self.spec.aggregate, &self.spec.trigger);
        self.add_to(slot, place, record, TriggerContext::new(watermark, now), out);
        Ok(true)
    }

    fn advance(&mut self, watermark: Time) {
        self.watermark = self.watermark.max(watermark);
    }

    fn fire_next(&mut self, now: Time, most: usize, out: &mut Rows<R>) -> Result<Option<usize>> {
        if !self.load_due(now, most)? {
            return Ok(None);
        }
        for fired in 0..most {
            let Some((kind, time, timer)) = self.pop_due(now) else { return Ok(Some(fired)) };
            self.on_timer(kind, time, timer, out);
        }
        Ok(Some(most))
    }

    fn all_fired(&mut self, _: Time) {
        self.restored_watermarks.caught_up(self.watermark);
    }

    fn wake_at(&self) -> Option<Time> {
        self.timers.wake_at()
    }

    fn measure(&mut self, metrics: &StateMetrics) {
        let tables = std::iter::once(&self.table.keys);
        Meter::measure(metrics, tables, self.cold.as_ref(), |entry| entry.value.heap_size());
    }

    fn settle(&mut self) -> Result<()> {
        let Some(cache) = &mut self.cold else { return Ok(()) };
        self.timers.write_back(cache);
        cache.settle(std::slice::from_mut(&mut self.table))
    }

    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenState>> {
        let watermarks = GroupWatermarks::new(&self.owned, self.watermark, &self.restored_watermarks);
        let Some(cache) = &mut self.cold else {
            let (groups, keys) = (self.table.groups, self.table.keys.freeze());
            return Ok(Box::new(FrozenSessions { watermarks, groups, keys }));
        };
        self.timers.write_back(cache);
        cache.freeze(id, std::slice::from_mut(&mut self.table), &watermarks, Self::tables())
    }

    fn close(&mut self) {
        self.table.keys = KeyedTable::default();
        self.cold = None;
    }
}
