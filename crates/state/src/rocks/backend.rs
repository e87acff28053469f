//! Opens the databases of a job.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use millstream_record::Result;
use millstream_record::key::hash_bytes;
use millstream_stage::snapshot::{KeyedPart, NativeState};
use millstream_stage::state_backend::{OpenedCold, Scope, StateBackend};
use rocksdb::{ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME};

use super::expiry::Expiry;
use super::files::{Folder, Ids};
use super::local_dir::LocalDir;
use super::memory::Memory;
use super::options::RocksOptions;
use super::store::RocksStore;
use super::{FORMAT, errors, restore, rocksdb_options};

/// Keeps keyed state in RocksDB (`state.backend.type: rocksdb`): one database for each keyed operator and
/// subtask.
///
/// All of them share one memory budget: an eighth for the write-back caches of the tables, three for blocks,
/// indexes, filters and memtables, half for what RocksDB does not count. The databases lie in a folder that
/// this process locks, and whose former content it removes; they are lost with the process, since the
/// checkpoints hold the state.
pub struct RocksBackend {
    shared: Arc<BackendResources>,
    operators: u64,
    opened: AtomicU64,
}

/// What all databases of the process have in common.
pub(crate) struct BackendResources {
    pub(crate) memory: Memory,
    dir: LocalDir,
}

impl RocksBackend {
    /// Claims a folder below the local directory.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) when no folder can be made
    /// there.
    pub fn new(options: &RocksOptions) -> Result<Self> {
        let dir = LocalDir::claim(&options.folder())?;
        let shared = BackendResources { memory: Memory::new(options.memory), dir };
        Ok(Self { shared: Arc::new(shared), operators: 1, opened: AtomicU64::new(0) })
    }

    /// How many keyed operators share the memory; one unless this says more.
    #[must_use]
    pub fn with_operators(mut self, operators: usize) -> Self {
        self.operators = operators as u64;
        self
    }

    /// Where files of a checkpoint are best brought to before they are restored: from here they are linked,
    /// not copied. What is there is removed with all else at the next start.
    pub fn folder_for_restores(&self) -> PathBuf {
        self.shared.dir.path().join("restored")
    }

    // The part that has most of the groups is taken over file by file, so that its files need not be stored
    // again by the next checkpoint; of the others, what is owned is copied.
    pub(crate) fn open(&self, scope: &Scope, parts: &[NativeState<'_>]) -> Result<RocksStore> {
        let name = self.name(scope);
        let folder = Folder::create(self.shared.dir.path().join(&name))?;
        let most =
            (0..parts.len()).max_by_key(|part| restore::common(parts[*part].groups, &scope.owned).len());
        let kept = most.map_or(Ok(HashMap::new()), |most| restore::take_over(&parts[most], &folder))?;
        let expiry = Arc::new(Expiry::default());
        let db = self.open_db(&folder, &expiry)?;
        for (number, part) in parts.iter().enumerate() {
            if Some(number) == most {
                restore::forget_foreign(&db, part.groups, &scope.owned)?;
            } else {
                restore::copy_into(&db, part, &scope.owned, &self.shared.memory)?;
            }
        }
        let ids = Ids::new(name, kept);
        Ok(RocksStore::new(db, folder, self.shared.clone(), scope.owned.clone(), ids, expiry))
    }

    fn open_db(&self, folder: &Folder, expiry: &Arc<Expiry>) -> Result<DB> {
        let settings = rocksdb_options::running(&self.shared.memory, expiry.clone());
        // By its descriptor, since only a named family can be read by many keys at once.
        let family = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, settings.clone());
        DB::open_cf_descriptors(&settings, folder.path(), [family])
            .map_err(|error| errors::restoring("open a database", folder.path(), error))
    }

    /// Where a database that is opened in passing goes.
    pub(crate) fn folder(&self, what: &str) -> PathBuf {
        self.shared.dir.path().join(format!("{what}-{}", self.opened.fetch_add(1, Relaxed)))
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    // The epoch is unique to the attempt, the number to the opening within the process. Begins with the
    // epoch, by which files that no checkpoint refers to are cleaned up.
    fn name(&self, scope: &Scope) -> String {
        let operator = hash_bytes(scope.operator.as_bytes());
        let number = self.opened.fetch_add(1, Relaxed);
        format!("{}-{operator:016x}-{}-{number}", scope.epoch, scope.subtask)
    }
}

impl StateBackend for RocksBackend {
    fn cold(&self, scope: &Scope, restored: &[Arc<dyn KeyedPart>]) -> Result<Option<OpenedCold>> {
        let mut parts: Vec<_> = restored.iter().filter_map(|part| part.native()).collect();
        // One part that is not ours, and all are read by their entries.
        let ours = parts.len() == restored.len() && parts.iter().all(|part| part.format == FORMAT);
        if !ours {
            parts.clear();
        }
        Ok(Some(OpenedCold {
            store: Box::new(self.open(scope, &parts)?),
            restored: ours,
            cache_bytes: self.shared.memory.tables_of(scope, self.operators),
        }))
    }
}
