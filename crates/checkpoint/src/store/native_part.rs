//! One subtask's cold store of one operator: its files, brought to this machine.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, KeyedPart, NativeFile, NativeReader, NativeState, TableSchema};
use millstream_storage::Storage;

use super::local::LocalFolder;
use super::native::checksum;
use super::read::ReadOptions;

/// How many files of one cold store travel at a time.
const PARALLEL: usize = 4;

/// Files of a cold store on this machine, until it is dropped.
pub(crate) struct NativePart {
    tables: Vec<TableSchema>,
    format: String,
    groups: Range<KeyGroup>,
    files: Vec<NativeFile>,
    reader: Option<Arc<dyn NativeReader>>,
    // Held for its drop.
    _folder: Option<LocalFolder>,
}

impl NativePart {
    /// Of files that are on this machine already, and stay when it is dropped.
    pub(crate) fn here(
        tables: Vec<TableSchema>,
        format: String,
        groups: Range<KeyGroup>,
        files: Vec<NativeFile>,
        reader: Option<Arc<dyn NativeReader>>,
    ) -> Self {
        Self { tables, format, groups, files, reader, _folder: None }
    }

    /// Brings all files, if there is a folder to bring them to.
    pub(crate) async fn bring(self, files: Vec<NativePartFile>, options: &ReadOptions) -> Result<Self> {
        let (Some(dir), Some(first)) = (&options.local, files.first()) else { return Ok(self) };
        let folder = LocalFolder::create(dir, first.storage.chance())?;
        let local = |number: usize| folder.path().join(format!("{number:06}"));
        let files = files.into_iter().enumerate();
        let files: Vec<_> = files.map(|(number, file)| file.bring(local(number))).collect();
        let files = stream::iter(files).buffered(PARALLEL).try_collect().await?;
        Ok(Self { files, _folder: Some(folder), ..self })
    }
}

/// A file that is to be brought to this machine.
pub(crate) struct NativePartFile {
    pub(crate) storage: Storage,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) shared: bool,
    pub(crate) bytes: u64,
    /// XXH3, where it was written down.
    pub(crate) xxh3: Option<u64>,
}

impl NativePartFile {
    async fn bring(self, path: PathBuf) -> Result<NativeFile> {
        let mut bytes = self.storage.download(&self.path, &path).await?;
        if let Some(expected) = self.xxh3 {
            let actual;
            (bytes, actual) = checksum(&path).await?;
            if actual != expected {
                return Err(self.damaged(&format!("checksum {expected:016x} expected, {actual:016x} found")));
            }
        }
        if bytes != self.bytes {
            return Err(self.damaged(&format!("{} bytes expected, {bytes} found", self.bytes)));
        }
        let Self { id, name, shared, .. } = self;
        Ok(NativeFile { id, name, path, bytes, shared })
    }

    fn damaged(&self, how: &str) -> Error {
        Error::data(format!("{}/{} is damaged: {how}", self.storage.url(), self.path))
    }
}

impl KeyedPart for NativePart {
    fn tables(&self) -> &[TableSchema] {
        &self.tables
    }

    fn groups(&self) -> Range<KeyGroup> {
        self.groups.clone()
    }

    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        let reader = self.reader.as_ref().filter(|_| !self.files.is_empty()).ok_or_else(|| {
            Error::configuration(format!(
                "the checkpoint holds files of {0}: restore it with state.backend.type: {0}, or take a savepoint, which any backend restores",
                self.format
            ))
        })?;
        let native = NativeState { format: &self.format, groups: &self.groups, files: &self.files };
        reader.entries(&native, &self.tables, wanted, emit)
    }

    fn native(&self) -> Option<NativeState<'_>> {
        let native = NativeState { format: &self.format, groups: &self.groups, files: &self.files };
        (!self.files.is_empty()).then_some(native)
    }
}
