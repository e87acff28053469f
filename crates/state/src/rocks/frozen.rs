//! A database as it was at a barrier.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::{NativeFile, NativeState};
use millstream_stage::state_backend::{FrozenCold, TakePair};
use rocksdb::DB;

use super::backend::BackendResources;
use super::files::Folder;
use super::{FORMAT, errors, rocksdb_options};

/// Hard links to the table files of the moment, in a folder that goes with it.
pub(crate) struct FrozenRocks {
    pub(crate) shared: Arc<BackendResources>,
    pub(crate) groups: Range<KeyGroup>,
    pub(crate) files: Vec<NativeFile>,
    pub(crate) folder: Folder,
}

impl FrozenCold for FrozenRocks {
    fn scan(&self, take: &mut TakePair<'_>) -> Result<()> {
        let path = self.folder.path();
        let db = DB::open_for_read_only(&rocksdb_options::reading(&self.shared.memory), path, false)
            .map_err(|error| errors::running("open a frozen database", path, error))?;
        scan(&db, &[], None, take)
    }

    fn native(&self) -> NativeState<'_> {
        NativeState { format: FORMAT, groups: &self.groups, files: &self.files }
    }
}

/// Hands over all pairs of a database from a key to another, in the order of their keys.
pub(crate) fn scan(db: &DB, from: &[u8], to: Option<&[u8]>, take: &mut TakePair<'_>) -> Result<()> {
    let mut pairs = db.raw_iterator_opt(rocksdb_options::once(from, to));
    pairs.seek_to_first();
    while let Some((key, value)) = pairs.item() {
        take(key, value)?;
        pairs.next();
    }
    pairs.status().map_err(|error| errors::restoring("read all pairs", db.path(), error))
}
