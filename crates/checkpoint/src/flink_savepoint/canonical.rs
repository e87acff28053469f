//! Keyed state in Flink's canonical format: entries one key group after the other, behind a description.
//!
//! ```text
//! description: version, whether groups are compressed, serializer of keys, states
//! key group:   number of the state, then keys and values; the first bit of the last key is set,
//!              and 0xffff comes behind its value
//! ```
//!
//! See `FullSnapshotAsyncWriter` in Flink, and `CanonicalForm` in the harness.

mod decoder;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{Stream, StreamExt, stream};
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::{Emit, KeyedPart, TableSchema};
use tokio::runtime::Handle;

use self::decoder::EntryDecoder;
use super::StoredFile;
use super::metadata::{damaged, foreign};
use crate::flink_form::{KEYED, OperatorTables, read_tables};
use crate::keyed_files::KeyedOperator;
use crate::store::pieces::{Pieces, take_all};
use crate::wire::WireReader;

/// The version of `KeyedBackendSerializationProxy` since Flink 1.7.
const VERSION: i32 = 6;

/// The serializer of the keys of a stage's operator in Flink; nothing comes behind its version.
const KEY_SERIALIZER: &str = "org.apache.flink.api.common.typeutils.base.IntSerializer$IntSerializerSnapshot";

/// The options of the state that hold the description of the tables, in pieces.
const TABLES: &str = "tables-";

/// Bytes of one request.
const CHUNK_BYTES: usize = 1 << 20;

/// How many requests are under way.
const READ_AHEAD: usize = 2;

/// The file of one subtask.
struct CanonicalFile {
    file: StoredFile,
    /// Where groups with entries lie, in their order.
    groups: Vec<(KeyGroup, Range<u64>)>,
}

/// Reads the description of a subtask's keyed state: by operator a part, whose entries are read when they are
/// asked for. Call it within a runtime, which reads the entries.
///
/// # Errors
/// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for a damaged file,
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for one of another program.
pub(super) async fn open(first: KeyGroup, offsets: &[u64], file: StoredFile) -> Result<Vec<KeyedOperator>> {
    let groups = ranges(first, offsets, file.bytes)?;
    let end = groups.first().map_or(file.bytes, |(_, range)| range.start);
    let description = file.storage.get_range(&file.name, 0..end).await?.ok_or_else(|| file.missing())?;
    let tables = describe(&description)?;
    let file = Arc::new(CanonicalFile { file, groups });
    let parts = tables.into_iter().map(|tables| {
        let operator = tables.operator.clone();
        let part = CanonicalPart { tables, file: Arc::clone(&file), runtime: Handle::current() };
        (operator, Arc::new(part) as Arc<dyn KeyedPart>)
    });
    Ok(parts.collect())
}

/// A group ends where the next one with entries begins.
fn ranges(first: KeyGroup, offsets: &[u64], bytes: u64) -> Result<Vec<(KeyGroup, Range<u64>)>> {
    let groups = (first..).zip(offsets).filter(|(_, offset)| **offset != 0);
    let starts: Vec<_> = groups.map(|(group, offset)| (group, *offset)).collect();
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([bytes]);
    let ranges: Vec<_> = starts.iter().zip(ends).map(|((group, start), end)| (*group, *start..end)).collect();
    if ranges.iter().any(|(_, range)| range.is_empty()) {
        return Err(damaged("the key groups of a file are not in their order within it"));
    }
    Ok(ranges)
}

/// The tables of the stage.
fn describe(description: &[u8]) -> Result<Vec<OperatorTables>> {
    let mut bytes = WireReader(description);
    let version = bytes.int()?;
    if version != VERSION {
        return Err(damaged(&format!("the description of keyed state has version {version}")));
    }
    let compressed = bytes.bool()?;
    bytes.int()?; // The version of the form of serializers.
    if bytes.java_text()? != KEY_SERIALIZER {
        return Err(foreign("keyed state of another type of key"));
    }
    bytes.int()?;
    let states = u16::from_be_bytes([bytes.byte()?, bytes.byte()?]);
    if states != 1 || bytes.java_text()? != KEYED {
        return Err(foreign("keyed states of its own"));
    }
    if compressed {
        return Err(Error::configuration(
            "its keyed state is compressed: set execution.checkpointing.snapshot-compression: false in Flink, and take it again",
        ));
    }
    bytes.int()?; // The kind of state.
    let options = bytes.list(|bytes| Ok((bytes.java_text()?, bytes.java_text()?)))?;
    let options: HashMap<_, _> = options.into_iter().collect();
    let pieces = (0..).map_while(|number| options.get(&format!("{TABLES}{number}")));
    let text: String = pieces.map(String::as_str).collect();
    let tables = STANDARD.decode(text);
    let tables = tables
        .map_err(|error| damaged("the description of keyed state cannot be decoded").caused_by(error))?;
    read_tables(&tables)
}

impl CanonicalFile {
    /// The bytes of groups that follow each other in the file.
    fn chunks(self: Arc<Self>, range: Range<u64>) -> impl Stream<Item = Result<bytes::Bytes>> + Unpin {
        let starts = range.clone().step_by(CHUNK_BYTES);
        let chunks = starts.map(move |start| start..range.end.min(start + CHUNK_BYTES as u64));
        let read = move |chunk| {
            let file = Arc::clone(&self);
            async move {
                let StoredFile { storage, name, .. } = &file.file;
                storage.get_range(name, chunk).await?.ok_or_else(|| file.file.missing())
            }
        };
        Box::pin(stream::iter(chunks).map(read).buffered(READ_AHEAD))
    }
}

/// The keyed state of one operator.
struct CanonicalPart {
    tables: OperatorTables,
    file: Arc<CanonicalFile>,
    runtime: Handle,
}

impl KeyedPart for CanonicalPart {
    fn tables(&self) -> &[TableSchema] {
        &self.tables.tables
    }

    fn groups(&self) -> Range<KeyGroup> {
        let groups = &self.file.groups;
        let first = groups.first().map_or(0, |(group, _)| *group);
        first..groups.last().map_or(0, |(group, _)| group + 1)
    }

    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        let groups = self.file.groups.iter().filter(|(group, _)| wanted.contains(group));
        let groups: BTreeMap<_, _> = groups.cloned().collect();
        let (Some((_, first)), Some((_, last))) = (groups.first_key_value(), groups.last_key_value()) else {
            return Ok(());
        };
        let range = first.start..last.end;
        let bring = |pieces: Pieces<bytes::Bytes>| pieces.send(Arc::clone(&self.file).chunks(range.clone()));
        let mut own = |group, table: usize, entry: &[u8]| match self.tables.own(table) {
            Some(table) => emit(group, table, entry),
            None => Ok(()),
        };
        let mut decoder = EntryDecoder::new(groups);
        let read = take_all(&self.runtime, bring, &mut |chunk| decoder.push(&chunk, &mut own));
        let read = read.and_then(|()| decoder.finish());
        let StoredFile { storage, name, .. } = &self.file.file;
        read.map_err(|error| error.in_context(format_args!("keyed state in {}/{name}", storage.url())))
    }
}

#[cfg(test)]
mod tests;
