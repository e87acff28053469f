//! Keyed state entry by entry, for Flink's canonical savepoints: any backend can take it back.
//!
//! Flink keeps one state of keys and values per operator of its own. A key is the number of a table, over all
//! operators of the stage, and a number that makes the key unique; a value is an entry as snapshots have it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_checkpoint::flink_form::{OperatorTables, read_tables};
use millstream_checkpoint::keyed_files;
use millstream_checkpoint::wire::WireWriter;
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, FrozenState, KeyedPart, TableSchema};
use tokio::runtime::Runtime;

use crate::savepoint;

/// What the harness calls the file of the tables, and that of the entries.
const TABLES: &str = "tables";
const ENTRIES: &str = "entries";

/// Frozen entries that can be read one key group after the other, on the disk.
pub(crate) struct EntriesByGroup {
    /// By operator: the number of its first table, and its entries.
    parts: Vec<(i32, Arc<dyn KeyedPart>)>,
    // Reads the file.
    runtime: Runtime,
}

impl EntriesByGroup {
    /// Writes all entries to a folder, which is made.
    pub(crate) fn write(keyed: &[(String, Box<dyn FrozenState>)], folder: &Path) -> Result<Self> {
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| {
            Error::restart(format!("{} cannot be made", folder.display())).caused_by(error)
        })?;
        let files = keyed_files::write(keyed, false, folder)?;
        let runtime = savepoint::runtime()?;
        let parts = runtime.block_on(keyed_files::read(&files.manifest, folder, None))?;
        let mut first = 0;
        let parts = parts.into_iter().map(|(_, part)| {
            let own = first;
            first += part.tables().len() as i32;
            (own, part)
        });
        Ok(Self { parts: parts.collect(), runtime })
    }

    /// The entries of a key group.
    pub(crate) fn of(&self, group: KeyGroup) -> Result<Vec<u8>> {
        let (mut out, mut count) = (WireWriter::default(), 0_i32);
        out.int(0);
        let _entered = self.runtime.enter();
        for (first, part) in &self.parts {
            part.entries(&(group..group + 1), &mut |_, table, entry| {
                out.int(first + i32::from(table));
                out.bytes(&count.to_be_bytes());
                out.bytes(entry);
                count += 1;
                Ok(())
            })?;
        }
        out.0[..4].copy_from_slice(&count.to_be_bytes());
        Ok(out.0)
    }
}

/// The keyed state of one operator in a canonical savepoint, whose entries are in a file of the harness.
struct CanonicalPart {
    tables: OperatorTables,
    file: PathBuf,
}

/// The operators of a restored canonical savepoint.
pub(crate) fn read(folder: &Path) -> Result<Vec<(String, Arc<dyn KeyedPart>)>> {
    let path = folder.join(TABLES);
    let described = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
    let parts = read_tables(&described)?.into_iter().map(|tables| {
        let operator = tables.operator.clone();
        let part = CanonicalPart { tables, file: folder.join(ENTRIES) };
        (operator, Arc::new(part) as Arc<dyn KeyedPart>)
    });
    Ok(parts.collect())
}

impl KeyedPart for CanonicalPart {
    fn tables(&self) -> &[TableSchema] {
        &self.tables.tables
    }

    // The harness hands over nothing but what the subtask owns.
    fn groups(&self) -> Range<KeyGroup> {
        0..KeyGroup::MAX
    }

    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        let file = File::open(&self.file).map_err(|error| unreadable(&self.file, error))?;
        let length = file.metadata().map_err(|error| unreadable(&self.file, error))?.len();
        let mut file = Counted { inner: BufReader::with_capacity(1 << 16, file), read: 0 };
        let (mut key, mut entry) = (Vec::new(), Vec::new());
        while file.read < length {
            let read = file.entry(&mut key, &mut entry);
            let (group, table) = read.map_err(|error| unreadable(&self.file, error))?;
            let table = usize::try_from(table).ok().and_then(|table| self.tables.own(table));
            if let (Ok(group), Some(table)) = (KeyGroup::try_from(group), table)
                && wanted.contains(&group)
            {
                emit(group, table, &entry)?;
            }
        }
        Ok(())
    }
}

struct Counted {
    inner: BufReader<File>,
    read: u64,
}

impl Counted {
    fn entry(&mut self, key: &mut Vec<u8>, entry: &mut Vec<u8>) -> std::io::Result<(i32, i32)> {
        let (group, table) = (self.int()?, self.int()?);
        self.bytes(key)?;
        self.bytes(entry)?;
        Ok((group, table))
    }

    fn int(&mut self) -> std::io::Result<i32> {
        let mut bytes = [0; 4];
        self.inner.read_exact(&mut bytes)?;
        self.read += 4;
        Ok(i32::from_be_bytes(bytes))
    }

    fn bytes(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        bytes.resize(self.int()?.max(0) as usize, 0);
        self.inner.read_exact(bytes)?;
        self.read += bytes.len() as u64;
        Ok(())
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::data(format!("{} cannot be read", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use millstream_checkpoint::flink_form::tables;
    use millstream_checkpoint::wire::WireReader;
    use millstream_stage::snapshot::MemoryPart;

    use super::*;

    fn table(name: &str) -> TableSchema {
        TableSchema { name: name.to_owned(), schema: "\"string\"".to_owned() }
    }

    #[test]
    fn entries_come_back_under_their_operator_and_table() {
        let (mut first, mut second) =
            (MemoryPart::new(vec![table("a"), table("b")]), MemoryPart::new(vec![table("c")]));
        first.push(3, 1, b"three".to_vec());
        first.push(5, 0, b"five".to_vec());
        second.push(3, 0, b"other".to_vec());
        let keyed: Vec<(String, Box<dyn FrozenState>)> =
            vec![("first".to_owned(), Box::new(first)), ("second".to_owned(), Box::new(second))];
        let dir = tempfile::tempdir().unwrap();
        let written = EntriesByGroup::write(&keyed, &dir.path().join("frozen")).unwrap();
        // What the harness makes of it at a restore.
        let mut file = WireWriter::default();
        for group in 0..8 {
            let entries = written.of(group).unwrap();
            let mut entries = WireReader(&entries);
            for _ in 0..entries.int().unwrap() {
                file.int(group);
                file.int(entries.int().unwrap());
                file.bytes(entries.bytes().unwrap());
                file.bytes(entries.bytes().unwrap());
            }
        }
        std::fs::write(dir.path().join(ENTRIES), file.0).unwrap();
        std::fs::write(dir.path().join(TABLES), tables(&keyed)).unwrap();
        let parts = read(dir.path()).unwrap();
        let all = |part: &dyn KeyedPart, wanted| {
            let mut all = Vec::new();
            part.entries(&wanted, &mut |group, table, entry| {
                all.push((group, table, String::from_utf8(entry.to_vec()).unwrap()));
                Ok(())
            })
            .unwrap();
            all
        };
        assert_eq!(parts[0].0, "first");
        assert_eq!(all(parts[0].1.as_ref(), 0..8), [(3, 1, "three".to_owned()), (5, 0, "five".to_owned())]);
        assert_eq!(all(parts[0].1.as_ref(), 4..8), [(5, 0, "five".to_owned())]);
        assert_eq!(all(parts[1].1.as_ref(), 0..8), [(3, 0, "other".to_owned())]);
    }
}
