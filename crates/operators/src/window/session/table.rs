//! The sessions of all keys: in memory, in a snapshot, above a cold store.

use millstream_record::key_group::key_group;
use millstream_record::record::Names;
use millstream_record::schema::write;
use millstream_record::schema::write::SchemaOf;
use millstream_record::{Key, Record, Result};
use millstream_stage::snapshot::{Emit, FrozenState, TableSchema};
use millstream_stage::time::{MAX_TIME, Time};

use crate::cold::{ColdTable, pair, prefix};
use crate::group_watermarks::GroupWatermarks;
use crate::table::{FrozenEntries, KeyedTable, Slot};
use crate::window::Window;
use crate::window::spec::Kept;

pub(in crate::window) type Sessions<A, S> = Vec<Open<A, S>>;

/// One open session of a key.
#[derive(Clone)]
pub(in crate::window) struct Open<A, S> {
    pub(in crate::window) window: Window,
    pub(in crate::window) acc: A,
    pub(in crate::window) trigger: S,
    /// The times that its trigger has asked for.
    pub(in crate::window) asked: (Option<Time>, Option<Time>),
}

impl<A, S> Open<A, S> {
    /// For the rules of [`WindowSpec`](crate::window::WindowSpec).
    pub(super) fn kept<'a, K>(&'a mut self, key: &'a K) -> Kept<'a, K, A, S> {
        Kept { key, acc: &mut self.acc, trigger: &mut self.trigger }
    }
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

/// The table that all sessions are in.
pub(super) struct Table<K, A, S> {
    pub(super) keys: KeyedTable<K, Sessions<A, S>>,
    pub(super) groups: u16,
}

// Its number among the tables of a snapshot.
const SESSIONS: u8 = 1;

impl<K: Key, A: Record, S: Record> ColdTable for Table<K, A, S> {
    type Key = K;
    type Value = Sessions<A, S>;

    fn keyed(&self) -> &KeyedTable<K, Sessions<A, S>> {
        &self.keys
    }

    fn keyed_mut(&mut self) -> &mut KeyedTable<K, Sessions<A, S>> {
        &mut self.keys
    }

    fn cold_key(&self, hash: u64, key: &K) -> Vec<u8> {
        let mut cold = prefix(key_group(hash, self.groups), SESSIONS);
        key.encode(&mut cold);
        cold
    }

    fn pair(&self, slot: Slot) -> Option<(Vec<u8>, Vec<u8>)> {
        let entry = self.keys.entry(slot)?;
        let (key, mut value) = pair(self.cold_key(entry.hash, &entry.key), MAX_TIME);
        entry.key.encode(&mut value);
        entry.value.encode(&mut value);
        Some((key, value))
    }

    fn elsewhere(&self, slot: Slot) -> usize {
        self.keys.entry(slot).map_or(0, |entry| entry.key.heap_size() + entry.value.heap_size())
    }
}

/// An entry of a snapshot.
pub(super) type KeyEntry<K, A, S> = (K, Sessions<A, S>);

/// All sessions as they were at a barrier.
pub(super) struct FrozenSessions<K, A, S> {
    pub(super) watermarks: GroupWatermarks,
    pub(super) groups: u16,
    pub(super) keys: FrozenEntries<K, Sessions<A, S>>,
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
            emit(key_group(entry.hash, self.groups), u16::from(SESSIONS), &bytes)
        })
    }
}

/// The tables of a session operator.
pub(super) fn tables<K: Key, A: Record, S: Record>() -> Vec<TableSchema> {
    vec![
        GroupWatermarks::table(),
        TableSchema::of_fields(
            "sessions",
            "OpenSessions",
            &[("key", K::schema), ("sessions", Sessions::<A, S>::schema)],
        ),
    ]
}
