//! A cold store in memory: the reference that others are compared with, and what tests of the tables above
//! use.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream_record::key::hash_bytes;
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{CheckpointId, KeyedPart, NativeFile, NativeState};
use millstream_stage::state_backend::{
    Change, ColdSizes, ColdStore, FrozenCold, OpenedCold, Pairs, Scope, StateBackend, TakePair,
};
use millstream_stage::time::Time;
use tempfile::TempDir;

const FORMAT: &str = "memory";

/// Keeps pairs in memory, and writes one file per key group at each checkpoint; a group that did not change
/// keeps its file's id.
///
/// It is as harsh as the contract allows: an expired value is gone at once.
#[derive(Debug, Default)]
pub struct MemoryCold {
    cache_bytes: usize,
    opened: AtomicU64,
}

impl MemoryCold {
    /// One whose tables may keep so many bytes above it: few, for tests that want them to spill.
    pub fn new(cache_bytes: usize) -> Self {
        Self { cache_bytes, opened: AtomicU64::new(0) }
    }
}

impl StateBackend for MemoryCold {
    fn cold(&self, scope: &Scope, restored: &[Arc<dyn KeyedPart>]) -> Result<Option<OpenedCold>> {
        let operator = hash_bytes(scope.operator.as_bytes());
        let number = self.opened.fetch_add(1, Relaxed);
        let prefix = format!("{}-{operator:016x}-{}-{number}", scope.epoch, scope.subtask);
        let mut store = Store { prefix, owned: scope.owned.clone(), ..Store::default() };
        let parts: Vec<_> = restored.iter().filter_map(|part| part.native()).collect();
        let ours = parts.len() == restored.len() && parts.iter().all(|part| part.format == FORMAT);
        if ours {
            parts.iter().flat_map(|part| part.files).try_for_each(|file| store.restore(file))?;
        }
        Ok(Some(OpenedCold { store: Box::new(store), restored: ours, cache_bytes: self.cache_bytes }))
    }
}

#[derive(Default)]
struct Store {
    prefix: String,
    owned: Range<KeyGroup>,
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    // Of the groups that have not changed since a checkpoint had them.
    ids: BTreeMap<KeyGroup, String>,
    written: u64,
}

impl Store {
    fn restore(&mut self, file: &NativeFile) -> Result<()> {
        let group = file.name.parse().map_err(|_| Error::data(format!("{} is no key group", file.name)))?;
        if !self.owned.contains(&group) {
            return Ok(());
        }
        let bytes = fs::read(&file.path).map_err(|error| at(&file.path, error))?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value) = (take(&mut rest, &file.path)?, take(&mut rest, &file.path)?);
            self.pairs.insert(key, value);
        }
        self.ids.insert(group, file.id.clone());
        Ok(())
    }

    fn forget(&mut self, range: &Range<Vec<u8>>) {
        if range.start >= range.end {
            return;
        }
        let keys: Vec<_> = self.pairs.range(range.clone()).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.ids.remove(&group_of(&key));
            self.pairs.remove(&key);
        }
    }

    fn files(&mut self, folder: &Path) -> Result<Vec<NativeFile>> {
        let mut groups = BTreeMap::<KeyGroup, Vec<u8>>::new();
        for (key, value) in &self.pairs {
            let out = groups.entry(group_of(key)).or_default();
            for part in [key, value] {
                out.extend((part.len() as u32).to_be_bytes());
                out.extend(part);
            }
        }
        groups.into_iter().map(|(group, bytes)| self.file(folder, group, &bytes)).collect()
    }

    fn file(&mut self, folder: &Path, group: KeyGroup, bytes: &[u8]) -> Result<NativeFile> {
        let Self { ids, written, prefix, .. } = self;
        let id = ids.entry(group).or_insert_with(|| {
            *written += 1;
            format!("{prefix}-{group}-{written}")
        });
        let path = folder.join(group.to_string());
        fs::write(&path, bytes).map_err(|error| at(&path, error))?;
        let name = group.to_string();
        Ok(NativeFile { id: id.clone(), name, path, bytes: bytes.len() as u64, shared: true })
    }
}

impl ColdStore for Store {
    fn multi_get(&mut self, keys: &[&[u8]], values: &mut Vec<Option<Vec<u8>>>) -> Result<()> {
        values.extend(keys.iter().map(|key| self.pairs.get(*key).cloned()));
        Ok(())
    }

    fn write(&mut self, changes: &mut Vec<Change>) -> Result<()> {
        for change in changes.drain(..) {
            match change {
                Change::Put(key, value) => {
                    self.ids.remove(&group_of(&key));
                    self.pairs.insert(key, value);
                }
                Change::Delete(key) => {
                    self.ids.remove(&group_of(&key));
                    self.pairs.remove(&key);
                }
                Change::DeleteRange(from, to) => self.forget(&(from..to)),
            }
        }
        Ok(())
    }

    fn scan(&mut self, range: Range<&[u8]>, limit: usize, pairs: &mut Pairs) -> Result<()> {
        if range.start < range.end {
            let found = self.pairs.range(range.start.to_vec()..range.end.to_vec()).take(limit);
            pairs.extend(found.map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(())
    }

    fn expire(&mut self, table: u8, now: Time) {
        let Self { pairs, ids, .. } = self;
        pairs.retain(|key, value| {
            let expiry = value.first_chunk().map_or(Time::MAX, |bytes| Time::from_be_bytes(*bytes));
            let stays = key.get(2) != Some(&table) || expiry == Time::MAX || expiry > now;
            if !stays {
                ids.remove(&group_of(key));
            }
            stays
        });
    }

    fn freeze(&mut self, _: CheckpointId) -> Result<Box<dyn FrozenCold>> {
        let folder = TempDir::new().map_err(|error| at(Path::new("the temporary folder"), error))?;
        let files = self.files(folder.path())?;
        let (pairs, owned) = (self.pairs.clone(), self.owned.clone());
        Ok(Box::new(FrozenPairs { pairs, owned, files, _folder: folder }))
    }

    fn sizes(&self) -> ColdSizes {
        let bytes = self.pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        ColdSizes { keys: self.pairs.len() as u64, bytes }
    }
}

struct FrozenPairs {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    owned: Range<KeyGroup>,
    files: Vec<NativeFile>,
    _folder: TempDir,
}

impl FrozenCold for FrozenPairs {
    fn scan(&self, take: &mut TakePair<'_>) -> Result<()> {
        self.pairs.iter().try_for_each(|(key, value)| take(key, value))
    }

    fn native(&self) -> NativeState<'_> {
        NativeState { format: FORMAT, groups: &self.owned, files: &self.files }
    }
}

fn group_of(key: &[u8]) -> KeyGroup {
    key.first_chunk().map_or(0, |group| KeyGroup::from_be_bytes(*group))
}

fn take(rest: &mut &[u8], path: &Path) -> Result<Vec<u8>> {
    let cut = || Error::data(format!("{} ends in the middle of a pair", path.display()));
    let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
    let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut)?;
    *rest = after;
    Ok(part.to_vec())
}

fn at(path: &Path, error: std::io::Error) -> Error {
    Error::restart(format!("{} cannot be used", path.display())).caused_by(error)
}
