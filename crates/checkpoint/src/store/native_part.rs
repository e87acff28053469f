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
use crate::manifest::{NativeFileManifest, NativeManifest};

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

    /// Brings all files, and compares their checksums.
    pub(super) async fn bring(
        base: &Storage,
        stored: &NativeManifest,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut part = Self {
            tables: stored.tables.iter().cloned().map(Into::into).collect(),
            format: stored.format.clone(),
            groups: stored.groups.clone(),
            files: Vec::new(),
            reader: options.natives.clone(),
            _folder: None,
        };
        if let Some(dir) = &options.local {
            let folder = LocalFolder::create(dir, base.chance())?;
            let local = |number: usize| folder.path().join(format!("{number:06}"));
            let files = stored.files.iter().enumerate();
            let files: Vec<_> = files.map(|(number, file)| download(base, file, local(number))).collect();
            part.files = stream::iter(files).buffered(PARALLEL).try_collect().await?;
            part._folder = Some(folder);
        }
        Ok(part)
    }
}

async fn download(base: &Storage, stored: &NativeFileManifest, path: PathBuf) -> Result<NativeFile> {
    let file = &stored.file;
    base.download(&file.path, &path).await?;
    let (bytes, actual) = checksum(&path).await?;
    if (bytes, actual) != (file.bytes, file.xxh3) {
        let (url, expected, length) = (base.url(), file.xxh3, file.bytes);
        return Err(Error::data(format!(
            "{url}/{} is damaged: {length} bytes with checksum {expected:016x} expected, {bytes} with {actual:016x} found",
            file.path
        )));
    }
    let NativeFileManifest { id, name, shared, .. } = stored.clone();
    Ok(NativeFile { id, name, path, bytes, shared })
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
