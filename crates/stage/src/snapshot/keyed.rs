//! Keyed state on its way out of a stage and back in: tables of entries, each entry in the Avro form of its
//! table's schema.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_record::record::Names;
use millstream_record::schema::write;
use millstream_record::schema::write::SchemaOf;

use super::resolved::ResolvedTables;

/// One table of an operator's keyed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name, unique within the operator: a restore finds the table by that.
    pub name: String,
    /// The Avro schema of one entry, as JSON.
    pub schema: String,
}

impl TableSchema {
    /// A table whose entries are records of this type.
    pub fn of<T: millstream_record::Record>(name: &str) -> Self {
        Self { name: name.to_owned(), schema: millstream_record::record::schema_of::<T>() }
    }

    /// A table whose entries are these fields one after the other, as a tuple of them is. Their names are
    /// what a user reads about them, and a field `key` is held to stay what it is
    /// ([`resolve_table`](super::resolve_table)).
    pub fn of_fields(name: &str, entry: &str, fields: &[(&str, SchemaOf)]) -> Self {
        let schema = write::fields(&mut Names::default(), entry, fields);
        Self { name: name.to_owned(), schema }
    }
}

/// Takes entries: the key group, the table's number, the entry's bytes.
pub type Emit<'a> = dyn FnMut(KeyGroup, u16, &[u8]) -> Result<()> + 'a;

/// An operator's keyed state as it was at the barrier; written out by another thread.
pub trait FrozenState: Send {
    /// Its tables; an entry names its table by the position in here.
    fn tables(&self) -> Vec<TableSchema>;
    /// Hands over every entry, in any order.
    ///
    /// # Errors
    /// Returns the errors of `emit`, and of reading the state.
    fn entries(&self, emit: &mut Emit<'_>) -> Result<()>;
    /// Where it lies in immutable files: a checkpoint may keep these instead of the entries.
    fn native(&self) -> Option<NativeState<'_>> {
        None
    }
}

/// What one subtask once froze of an operator's keyed state, to be read back.
pub trait KeyedPart: Send + Sync {
    /// Its tables, as they were written.
    fn tables(&self) -> &[TableSchema];
    /// The key groups that it may hold.
    fn groups(&self) -> Range<KeyGroup>;
    /// Hands over the entries of these groups, in any order.
    ///
    /// # Errors
    /// Returns the errors of `emit`; [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the
    /// file, when it is damaged.
    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()>;
    /// Where it was kept as files of a cold store: these, on local disk.
    fn native(&self) -> Option<NativeState<'_>> {
        None
    }
}

/// Keyed state as the immutable files of a cold store.
#[derive(Clone, Copy, Debug)]
pub struct NativeState<'a> {
    /// Whose files they are, such as `rocksdb`.
    pub format: &'a str,
    /// The key groups that they may hold.
    pub groups: &'a Range<KeyGroup>,
    /// All files; together they are the state.
    pub files: &'a [NativeFile],
}

/// One immutable file of a cold store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeFile {
    /// Unique for ever: what has the same id has the same bytes.
    pub id: String,
    /// Its name within the store's folder.
    pub name: String,
    /// Where it is on this machine.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether later checkpoints may refer to it as well; else it belongs to one checkpoint alone.
    pub shared: bool,
}

/// Reads a cold store's files entry by entry, where they cannot be taken over as they are: another backend,
/// another schema.
pub trait NativeReader: Send + Sync {
    /// Hands over the entries of these key groups, as a [`KeyedPart`] does; `tables` are those that were
    /// written.
    ///
    /// # Errors
    /// Returns the errors of `emit`; [`ErrorKind::Data`](millstream_record::ErrorKind::Data), naming the
    /// file, when one is damaged; [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration)
    /// for a format that it does not know.
    fn entries(
        &self,
        native: &NativeState<'_>,
        tables: &[TableSchema],
        wanted: &Range<KeyGroup>,
        emit: &mut Emit<'_>,
    ) -> Result<()>;
}

/// Keyed state in memory: entries that were encoded at the barrier, or a part that was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPart {
    tables: Vec<TableSchema>,
    entries: BTreeMap<KeyGroup, Vec<(u16, Vec<u8>)>>,
}

impl MemoryPart {
    /// Nothing yet, of these tables.
    pub fn new(tables: Vec<TableSchema>) -> Self {
        Self { tables, entries: BTreeMap::new() }
    }

    /// Everything of a frozen state.
    ///
    /// # Errors
    /// Returns the errors of reading it.
    pub fn of(frozen: &dyn FrozenState) -> Result<Self> {
        let mut part = Self::new(frozen.tables());
        frozen.entries(&mut |group, table, entry| {
            part.push(group, table, entry.to_vec());
            Ok(())
        })?;
        Ok(part)
    }

    /// Adds an entry.
    pub fn push(&mut self, group: KeyGroup, table: u16, entry: Vec<u8>) {
        self.entries.entry(group).or_default().push((table, entry));
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn emit(&self, wanted: Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        for (group, entries) in self.entries.range(wanted) {
            entries.iter().try_for_each(|(table, entry)| emit(*group, *table, entry))?;
        }
        Ok(())
    }
}

impl FrozenState for MemoryPart {
    fn tables(&self) -> Vec<TableSchema> {
        self.tables.clone()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.emit(0..KeyGroup::MAX, emit)
    }
}

impl KeyedPart for MemoryPart {
    fn tables(&self) -> &[TableSchema] {
        &self.tables
    }

    fn groups(&self) -> Range<KeyGroup> {
        let first = self.entries.first_key_value().map_or(0, |(group, _)| *group);
        first..self.entries.last_key_value().map_or(0, |(group, _)| group + 1)
    }

    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        self.emit(wanted.clone(), emit)
    }
}

/// What an operator gets back of its keyed state: the parts of all old subtasks that touch its key groups.
#[derive(Clone, Default)]
pub struct RestoredKeyed {
    /// The stored parts.
    pub parts: Vec<Arc<dyn KeyedPart>>,
    /// The key groups that the subtask owns now.
    pub owned: Range<KeyGroup>,
}

impl RestoredKeyed {
    /// Whether there is nothing to restore.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Hands over every entry of the owned groups, with the table's position in `tables` and in the form of
    /// that table's schema.
    ///
    /// # Errors
    /// Returns the errors of `take` and of the parts; [`ErrorKind::Data`](millstream_record::ErrorKind::Data)
    /// for an entry of a table that `tables` does not have, or whose schema does not fit
    /// ([`millstream_record::schema`]).
    pub fn read(&self, tables: &[TableSchema], take: &mut Emit<'_>) -> Result<()> {
        let mut spare = Vec::new();
        for part in &self.parts {
            let resolved = ResolvedTables::of(part.as_ref(), tables)?;
            part.entries(&self.owned, &mut |group, table, entry| {
                resolved.take((group, table, entry), &mut spare, take)
            })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for RestoredKeyed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestoredKeyed").field("parts", &self.parts.len()).field("owned", &self.owned).finish()
    }
}
