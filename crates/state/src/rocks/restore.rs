//! Databases out of a checkpoint's files.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::NativeState;
use rocksdb::{DB, IngestExternalFileOptions, SstFileWriter, WriteBatch};

use super::files::{Folder, adopt};
use super::frozen::scan;
use super::memory::Memory;
use super::{errors, rocksdb_options};

// As large as RocksDB makes them itself.
const TABLE_BYTES: u64 = 64 << 20;

/// Takes over all files of a part. Gives the ids of the table files by name.
pub(crate) fn take_over(part: &NativeState<'_>, folder: &Folder) -> Result<HashMap<String, String>> {
    let taken = adopt(part.files, folder.path());
    taken.map_err(|error| errors::local("take over restored files", folder.path(), error))
}

/// Deletes what a database that was taken over holds of groups that are not owned.
pub(crate) fn forget_foreign(db: &DB, groups: &Range<KeyGroup>, owned: &Range<KeyGroup>) -> Result<()> {
    let failed = |error| errors::running("delete key groups", db.path(), error);
    for foreign in [groups.start..groups.end.min(owned.start), groups.start.max(owned.end)..groups.end] {
        if foreign.is_empty() {
            continue;
        }
        let (from, to) = (foreign.start.to_be_bytes(), foreign.end.to_be_bytes());
        // Whole files are deleted at once; the rest is covered by a range tombstone that compactions apply.
        db.delete_file_in_range(from, to).map_err(failed)?;
        let mut batch = WriteBatch::default();
        batch.delete_range(from, to);
        db.write_opt(batch, &rocksdb_options::writing()).map_err(failed)?;
    }
    Ok(())
}

/// Copies what a part holds of the owned groups into a database: sorted, so that it goes past the memtables.
pub(crate) fn copy_into(
    db: &DB,
    part: &NativeState<'_>,
    owned: &Range<KeyGroup>,
    memory: &Memory,
) -> Result<()> {
    if common(part.groups, owned).is_empty() {
        return Ok(());
    }
    let (from, _old) = look_into(part, db.path().with_extension("old"), memory)?;
    let settings = rocksdb_options::reading(memory);
    let tables = Folder::create(db.path().with_extension("tables"))?;
    let mut copy = Copy { settings: &settings, tables: &tables, writer: None, made: Vec::new() };
    let (first, end) = (owned.start.to_be_bytes(), owned.end.to_be_bytes());
    scan(&from, &first, Some(&end), &mut |key, value| copy.put(key, value))?;
    copy.ingest(db)
}

/// Opens a part for reading, in a folder of its own: even a reader leaves files there.
pub(crate) fn look_into(part: &NativeState<'_>, folder: PathBuf, memory: &Memory) -> Result<(DB, Folder)> {
    let folder = Folder::create(folder)?;
    take_over(part, &folder)?;
    let db = DB::open_for_read_only(&rocksdb_options::reading(memory), folder.path(), false);
    let db = db.map_err(|error| errors::restoring("open restored files", folder.path(), error))?;
    Ok((db, folder))
}

/// The key groups that are in both.
pub(crate) fn common(a: &Range<KeyGroup>, b: &Range<KeyGroup>) -> Range<KeyGroup> {
    a.start.max(b.start)..a.end.min(b.end)
}

/// Table files that are being written.
struct Copy<'a> {
    settings: &'a rocksdb::Options,
    tables: &'a Folder,
    writer: Option<SstFileWriter<'a>>,
    made: Vec<PathBuf>,
}

impl<'a> Copy<'a> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.next()?,
        };
        writer.put(key, value).map_err(|error| self.failed(error))?;
        if writer.file_size() >= TABLE_BYTES {
            return writer.finish().map_err(|error| self.failed(error));
        }
        self.writer = Some(writer);
        Ok(())
    }

    fn next(&mut self) -> Result<SstFileWriter<'a>> {
        let path = self.tables.path().join(format!("{}.sst", self.made.len()));
        let writer = SstFileWriter::create(self.settings);
        writer.open(&path).map_err(|error| self.failed(error))?;
        self.made.push(path);
        Ok(writer)
    }

    fn ingest(mut self, db: &DB) -> Result<()> {
        if let Some(mut writer) = self.writer.take() {
            writer.finish().map_err(|error| self.failed(error))?;
        }
        if self.made.is_empty() {
            return Ok(());
        }
        let mut how = IngestExternalFileOptions::default();
        how.set_move_files(true);
        let ingested = db.ingest_external_file_opts(&how, std::mem::take(&mut self.made));
        ingested.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rocksdb::Error) -> millstream_record::Error {
        errors::running("copy restored pairs", self.tables.path(), error)
    }
}
