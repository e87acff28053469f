//! One operator's state of one subtask: one database.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::CheckpointId;
use millstream_stage::state_backend::{Change, ColdSizes, ColdStore, FrozenCold, Pairs};
use millstream_stage::time::Time;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, DB, DEFAULT_COLUMN_FAMILY_NAME, ReadOptions, WriteBatch, WriteOptions, properties,
};

use super::backend::BackendResources;
use super::expiry::Expiry;
use super::files::{Folder, Ids};
use super::frozen::FrozenRocks;
use super::{errors, rocksdb_options};

// A batch's bytes are in memory twice until it is written.
const BATCH_BYTES: usize = 1 << 20;

/// A running database. No other thread uses it, apart from RocksDB's own.
pub(crate) struct RocksStore {
    // Dropped in this order: the database is closed before its folder goes.
    db: DB,
    folder: Folder,
    shared: Arc<BackendResources>,
    groups: Range<KeyGroup>,
    ids: Ids,
    expiry: Arc<Expiry>,
    writing: WriteOptions,
}

impl RocksStore {
    /// `expiry` is what the database's filter looks at.
    pub(crate) fn new(
        db: DB,
        folder: Folder,
        shared: Arc<BackendResources>,
        groups: Range<KeyGroup>,
        ids: Ids,
        expiry: Arc<Expiry>,
    ) -> Self {
        Self { db, folder, shared, groups, ids, expiry, writing: rocksdb_options::writing() }
    }

    fn failed(&self, doing: &str, error: rocksdb::Error) -> Error {
        errors::running(doing, self.folder.path(), error)
    }

    fn send(&self, batch: &mut WriteBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(batch);
        self.db.write_opt(batch, &self.writing).map_err(|error| self.failed("write", error))
    }

    fn all(&self) -> &ColumnFamily {
        let family = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME);
        family.expect("every database is opened with its default column family")
    }

    fn frozen_folder(&self, id: CheckpointId) -> PathBuf {
        self.folder.path().with_extension(format!("frozen-{id}"))
    }

    fn metric(&self, property: &rocksdb::properties::PropName) -> u64 {
        self.db.property_int_value(property).ok().flatten().unwrap_or(0)
    }
}

impl ColdStore for RocksStore {
    fn multi_get(&mut self, keys: &[&[u8]], values: &mut Vec<Option<Vec<u8>>>) -> Result<()> {
        values.reserve(keys.len());
        for value in self.db.batched_multi_get_cf(self.all(), keys.iter().copied(), keys.is_sorted()) {
            let value = value.map_err(|error| self.failed("read", error))?;
            values.push(value.map(|value| value.to_vec()));
        }
        Ok(())
    }

    fn write(&mut self, changes: &mut Vec<Change>) -> Result<()> {
        sort(changes);
        let mut batch = WriteBatch::default();
        for change in changes.drain(..) {
            match change {
                Change::Put(key, value) => batch.put(key, value),
                Change::Delete(key) => batch.delete(key),
                Change::DeleteRange(from, to) => batch.delete_range(from, to),
            }
            if batch.size_in_bytes() >= BATCH_BYTES {
                self.send(&mut batch)?;
            }
        }
        self.send(&mut batch)
    }

    fn scan(&mut self, range: Range<&[u8]>, limit: usize, pairs: &mut Pairs) -> Result<()> {
        let mut reading = ReadOptions::default();
        reading.set_iterate_lower_bound(range.start);
        reading.set_iterate_upper_bound(range.end);
        let mut found = self.db.raw_iterator_opt(reading);
        found.seek_to_first();
        let wanted = pairs.len().saturating_add(limit);
        while let Some((key, value)) = found.item().filter(|_| pairs.len() < wanted) {
            pairs.push((key.to_vec(), value.to_vec()));
            found.next();
        }
        found.status().map_err(|error| self.failed("scan", error))
    }

    fn expire(&mut self, table: u8, now: Time) {
        self.expiry.advance(table, now);
    }

    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenCold>> {
        let path = self.frozen_folder(id);
        // Flushes first: there is no write-ahead log to link.
        let made = Checkpoint::new(&self.db).and_then(|maker| maker.create_checkpoint(&path));
        let folder = Folder::adopt(path);
        made.map_err(|error| self.failed("freeze", error))?;
        let files = self.ids.list(folder.path(), id);
        let files = files.map_err(|error| errors::local("list frozen files", folder.path(), error))?;
        Ok(Box::new(FrozenRocks { shared: self.shared.clone(), groups: self.groups.clone(), files, folder }))
    }

    fn sizes(&self) -> ColdSizes {
        ColdSizes {
            keys: self.metric(properties::ESTIMATE_NUM_KEYS),
            bytes: self.metric(properties::LIVE_SST_FILES_SIZE),
        }
    }
}

// Neighbours are cheaper to insert than keys from all over. What is said of one key stays in its order; a
// range stands between the keys before and behind it.
fn sort(changes: &mut [Change]) {
    for changes in changes.split_mut(|change| matches!(change, Change::DeleteRange(..))) {
        changes.sort_by(|a, b| key_of(a).cmp(key_of(b)));
    }
}

fn key_of(change: &Change) -> &[u8] {
    match change {
        Change::Put(key, _) | Change::Delete(key) | Change::DeleteRange(key, _) => key,
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        // The folder goes next: a compaction that is under way would be for nothing.
        self.db.cancel_all_background_work(true);
    }
}

#[cfg(test)]
mod tests {
    use millstream_stage::state_backend::Scope;

    use super::*;
    use crate::{RocksBackend, RocksOptions};

    #[test]
    fn a_compaction_drops_what_is_expired_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let options = RocksOptions { localdir: Some(dir.path().to_owned()), memory: 16 << 20 };
        let (job, operator) = ("job".to_owned(), "count".to_owned());
        let scope = Scope { job, operator, subtask: 0, epoch: 1, key_groups: 128, owned: 0..128 };
        let mut store = RocksBackend::new(&options).unwrap().open(&scope, &[]).unwrap();
        let put = |table: u8, name: u8, expiry: Time| {
            Change::Put(vec![0, 7, table, name], expiry.to_be_bytes().to_vec())
        };
        let pairs = [(1, b'o', 1000), (1, b'n', 1001), (1, b's', Time::MAX), (0, b'o', 1000)];
        let mut left = |now| {
            store.expire(1, now);
            store.write(&mut pairs.map(|(table, name, expiry)| put(table, name, expiry)).to_vec()).unwrap();
            store.db.compact_range(None::<&[u8]>, None::<&[u8]>);
            let mut pairs = Vec::new();
            store.scan(&[]..&[0xff], 10, &mut pairs).unwrap();
            pairs.into_iter().map(|(key, _)| (key[2], key[3])).collect::<Vec<_>>()
        };
        assert_eq!(left(999), [(0, b'o'), (1, b'n'), (1, b'o'), (1, b's')]);
        assert_eq!(left(1000), [(0, b'o'), (1, b'n'), (1, b's')]);
        assert_eq!(left(Time::MAX), [(0, b'o'), (1, b's')]);
    }
}
