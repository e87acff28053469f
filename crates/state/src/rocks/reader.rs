//! Reads RocksDB's files of a checkpoint entry by entry: for another backend, or because an entry's form has
//! changed.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, NativeReader, NativeState, TableSchema};
use parking_lot::Mutex;

use super::backend::RocksBackend;
use super::frozen::scan;
use super::options::RocksOptions;
use super::{FORMAT, restore};

impl NativeReader for RocksBackend {
    fn entries(
        &self,
        native: &NativeState<'_>,
        tables: &[TableSchema],
        wanted: &Range<KeyGroup>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        if native.format != FORMAT {
            return Err(Error::configuration(format!(
                "the checkpoint keeps state in the form of {:?}, which this program cannot read; a savepoint can always be read",
                native.format
            )));
        }
        let groups = restore::common(native.groups, wanted);
        if groups.is_empty() {
            return Ok(());
        }
        let (db, _folder) = restore::look_into(native, self.folder("read"), self.memory())?;
        scan(&db, &groups.start.to_be_bytes(), Some(&groups.end.to_be_bytes()), &mut |key, value| {
            let (group, table, entry) = parts(key, value)?;
            // What lies behind the tables of the snapshot are the operator's own indexes, which follow from
            // the entries.
            if usize::from(table) < tables.len() { emit(group, table, entry) } else { Ok(()) }
        })
    }
}

/// Reads RocksDB's files for jobs that keep their state elsewhere. Uses nothing, no folder either, until it
/// is asked to.
pub struct RocksReader {
    options: RocksOptions,
    backend: Mutex<Option<Arc<RocksBackend>>>,
}

impl RocksReader {
    /// One that will work in the folder that the options name.
    pub fn new(options: RocksOptions) -> Self {
        Self { options, backend: Mutex::default() }
    }

    fn backend(&self) -> Result<Arc<RocksBackend>> {
        let mut backend = self.backend.lock();
        match &*backend {
            Some(backend) => Ok(Arc::clone(backend)),
            None => Ok(Arc::clone(backend.insert(Arc::new(RocksBackend::new(&self.options)?)))),
        }
    }
}

impl NativeReader for RocksReader {
    fn entries(
        &self,
        native: &NativeState<'_>,
        tables: &[TableSchema],
        wanted: &Range<KeyGroup>,
        emit: &mut Emit<'_>,
    ) -> Result<()> {
        self.backend()?.entries(native, tables, wanted, emit)
    }
}

fn parts<'a>(key: &[u8], value: &'a [u8]) -> Result<(KeyGroup, u16, &'a [u8])> {
    match (key, value.get(8..)) {
        ([high, low, table, ..], Some(entry)) => {
            Ok((KeyGroup::from_be_bytes([*high, *low]), u16::from(*table), entry))
        }
        _ => Err(Error::data("a pair of a RocksDB checkpoint has no key group, no table or no expiry")),
    }
}
