//! The pieces of a stage's state that go into Flink's own state as bytes. The Flink driver writes and reads
//! them, and one process reads them from a savepoint of Flink.

use millstream_record::Result;
use millstream_record::record::{from_bytes, to_bytes};
use millstream_stage::snapshot::{Committable, FrozenState, OperatorList, TableSchema};
use millstream_stage::source::{Assignment, Split};

use crate::wire::{WireReader, WireWriter};

/// Flink's state for the lists of which each item goes to one subtask.
pub const SPLIT_LISTS: &str = "split-lists";

/// Flink's state for the lists of which each subtask gets all items.
pub const UNION_LISTS: &str = "union-lists";

/// Flink's state for what sinks must commit.
pub const COMMITS: &str = "commits";

/// The only keyed state of a stage in a canonical savepoint.
pub const KEYED: &str = "millstream";

/// What is behind the uid of a source's stage in the uid of the operator in front, which brings its splits.
pub const SPLITS_SUFFIX: &str = "-splits";

/// An item of a list, with the names of operator and state.
pub fn list_item(list: &OperatorList, item: &[u8]) -> Vec<u8> {
    let mut out = WireWriter::default();
    out.text(&list.operator);
    out.text(&list.state);
    out.bytes(item);
    out.0
}

/// The operator, the state and the item.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for bytes that are none.
pub fn read_list_item(item: &[u8]) -> Result<((String, String), Vec<u8>)> {
    let mut item = WireReader(item);
    Ok(((item.text()?, item.text()?), item.bytes()?.to_vec()))
}

/// What a sink must commit.
pub fn commit_item(commit: &Committable) -> Vec<u8> {
    let mut out = WireWriter::default();
    out.text(&commit.operator);
    out.int(commit.subtask);
    out.bytes(&commit.handle);
    out.0
}

/// Reads what [`commit_item`] wrote.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for bytes that are none.
pub fn read_commit_item(item: &[u8]) -> Result<Committable> {
    let mut item = WireReader(item);
    Ok(Committable { operator: item.text()?, subtask: item.number()?, handle: item.bytes()?.to_vec() })
}

/// The keyed operators of a stage with their tables; tables are numbered one operator after the other.
pub fn tables(keyed: &[(String, Box<dyn FrozenState>)]) -> Vec<u8> {
    let mut out = WireWriter::default();
    out.list(keyed, |out, (operator, state)| {
        out.text(operator);
        out.list(state.tables(), |out, table| {
            out.text(&table.name);
            out.text(&table.schema);
        });
    });
    out.0
}

/// The tables of one operator among all of its stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorTables {
    /// The operator.
    pub operator: String,
    /// The number of its first table.
    pub first: usize,
    /// Its tables.
    pub tables: Vec<TableSchema>,
}

impl OperatorTables {
    /// The number within the operator of the table with this number within the stage, if it is the
    /// operator's.
    pub fn own(&self, table: usize) -> Option<u16> {
        let own = table.checked_sub(self.first).filter(|own| *own < self.tables.len())?;
        u16::try_from(own).ok()
    }
}

/// Reads what [`tables`] wrote.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for bytes that are none.
pub fn read_tables(described: &[u8]) -> Result<Vec<OperatorTables>> {
    let mut next = 0;
    WireReader(described).list(|bytes| {
        let operator = bytes.text()?;
        let tables = bytes.list(|bytes| Ok(TableSchema { name: bytes.text()?, schema: bytes.text()? }))?;
        let first = next;
        next += tables.len();
        Ok(OperatorTables { operator, first, tables })
    })
}

/// An assignment on its way from the JobManager to a reader.
pub fn encode_assignment(assignment: &Assignment) -> Vec<u8> {
    let mut out = WireWriter::default();
    out.int(assignment.subtask);
    out.bool(assignment.last);
    out.list(&assignment.splits, |out, split| out.bytes(&to_bytes(split)));
    out.0
}

/// Reads what [`encode_assignment`] wrote.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for bytes that are none.
pub fn decode_assignment(bytes: &[u8]) -> Result<Assignment> {
    let mut bytes = WireReader(bytes);
    Ok(Assignment {
        subtask: bytes.number()?,
        last: bytes.bool()?,
        splits: bytes.list(|bytes| from_bytes::<Split>(bytes.bytes()?))?,
    })
}
