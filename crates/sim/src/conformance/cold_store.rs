//! What a cold store's test supplies, and a store beside the model of what it must hold.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::KeyedPart;
use millstream_stage::state_backend::{Change, ColdStore, Pairs, Scope, StateBackend};
use millstream_stage::time::Time;

use super::cold_shelf::{Shelf, Stored};
use crate::driven_writer::wrong;

/// How backends with cold stores are made.
pub trait ColdFixture {
    /// A backend as another process would make it: it shares nothing with those before.
    fn backend(&self) -> Result<Box<dyn StateBackend>>;
}

/// A scope of the group range, of the attempt `epoch`.
pub(super) fn scope(epoch: u64, owned: Range<KeyGroup>) -> Scope {
    Scope {
        job: "conformance".to_owned(),
        operator: "count".to_owned(),
        subtask: owned.start,
        epoch,
        key_groups: owned.end.max(128),
        owned,
    }
}

/// A key of a table.
pub(super) fn key(group: KeyGroup, table: u8, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&group.to_be_bytes(), [table].as_slice(), rest.as_ref()].concat()
}

/// A value that expires at some time.
pub(super) fn until(expiry: Time, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&expiry.to_be_bytes(), rest.as_ref()].concat()
}

/// A value that never expires.
pub(super) fn value(rest: impl AsRef<[u8]>) -> Vec<u8> {
    until(Time::MAX, rest)
}

/// A store beside what it must hold.
pub(super) struct Beside {
    pub(super) store: Box<dyn ColdStore>,
    pub(super) model: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Beside {
    /// An empty store.
    pub(super) fn new(backend: &dyn StateBackend, epoch: u64, owned: Range<KeyGroup>) -> Result<Self> {
        Self::restore(backend, epoch, owned, &[])
    }

    /// A store with what the parts hold of its groups, and nothing else.
    pub(super) fn restore(
        backend: &dyn StateBackend,
        epoch: u64,
        owned: Range<KeyGroup>,
        parts: &[Arc<Stored>],
    ) -> Result<Self> {
        let native: Vec<_> = parts.iter().map(|part| part.clone() as Arc<dyn KeyedPart>).collect();
        let opened = backend.cold(&scope(epoch, owned.clone()), &native)?;
        let opened = opened.ok_or_else(|| wrong("the backend has no cold store"))?;
        let pairs = parts.iter().flat_map(|part| &part.pairs).cloned();
        let mine = owned.start.to_be_bytes().to_vec()..owned.end.to_be_bytes().to_vec();
        let model: BTreeMap<_, _> = pairs.filter(|(key, _)| mine.contains(key)).collect();
        let mut beside = Self { store: opened.store, model };
        if !opened.restored {
            let puts = beside.model.iter().map(|(key, value)| Change::Put(key.clone(), value.clone()));
            beside.store.write(&mut puts.collect())?;
        }
        beside.check()?;
        Ok(beside)
    }

    /// Makes changes in both.
    pub(super) fn write(&mut self, mut changes: Vec<Change>) -> Result<()> {
        for change in &changes {
            match change.clone() {
                Change::Put(key, value) => drop(self.model.insert(key, value)),
                Change::Delete(key) => drop(self.model.remove(&key)),
                Change::DeleteRange(from, to) => {
                    let range = from..to;
                    self.model.retain(|key, _| !range.contains(key));
                }
            }
        }
        self.store.write(&mut changes)?;
        if changes.is_empty() { Ok(()) } else { Err(wrong("write leaves changes in the list")) }
    }

    /// Sets values that never expire.
    pub(super) fn put(&mut self, pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<()> {
        self.write(pairs.into_iter().map(|(key, value)| Change::Put(key, value)).collect())
    }

    /// Freezes the store onto a shelf; what lies there must be what the store held.
    pub(super) fn freeze(&mut self, id: u64, shelf: &Shelf) -> Result<Arc<Stored>> {
        let stored = shelf.store(&*self.store.freeze(id)?)?;
        if stored.pairs == self.all() {
            Ok(stored)
        } else {
            Err(wrong(format!("{} pairs were frozen, {} expected", stored.pairs.len(), self.model.len())))
        }
    }

    /// All pairs of the model.
    pub(super) fn all(&self) -> Pairs {
        self.model.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Compares everything: by scan and by look-ups.
    pub(super) fn check(&mut self) -> Result<()> {
        self.check_scan(&[]..&[0xff; 8], usize::MAX)?;
        let keys: Vec<_> = self.model.keys().cloned().collect();
        keys.chunks(100).try_for_each(|keys| self.check_get(keys))
    }

    /// Compares look-ups.
    pub(super) fn check_get(&mut self, keys: &[Vec<u8>]) -> Result<()> {
        let asked: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        // What is in the list already stays.
        let mut found = vec![None];
        self.store.multi_get(&asked, &mut found)?;
        let expected: Vec<_> =
            [None].into_iter().chain(keys.iter().map(|key| self.model.get(key).cloned())).collect();
        if found == expected { Ok(()) } else { Err(wrong(format!("look-up of {keys:x?} gives {found:x?}"))) }
    }

    /// Compares a scan.
    pub(super) fn check_scan(&mut self, range: Range<&[u8]>, limit: usize) -> Result<()> {
        let mut found = Vec::new();
        self.store.scan(range.clone(), limit, &mut found)?;
        let inside = self.model.iter().filter(|(key, _)| range.contains(&key.as_slice()));
        let expected: Pairs = inside.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect();
        if found == expected {
            return Ok(());
        }
        let (found, expected) = (found.len(), expected.len());
        Err(wrong(format!(
            "a scan of {range:x?} up to {limit}: {found} pairs, {expected} expected, or others"
        )))
    }
}
