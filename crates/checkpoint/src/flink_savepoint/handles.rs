//! What Flink's metadata says about where state is.

use std::ops::Range;

use bytes::Bytes;
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};

use super::metadata::{damaged, foreign};
use crate::wire::WireReader;

const NONE: u8 = 0;
const INLINE: u8 = 1;
const FILE: u8 = 2;
const KEY_GROUPS: u8 = 3;
const LISTS: u8 = 4;
const RELATIVE_FILE: u8 = 6;
const CANONICAL: u8 = 7;
const INCREMENTAL: u8 = 11;
const KEY_GROUPS_V2: u8 = 12;
const CHANGELOG: [u8; 5] = [8, 9, 10, 13, 14];
const SEGMENTS: [u8; 3] = [15, 16, 17];

/// Bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Handle {
    /// These.
    Inline(Bytes),
    /// Those of a file beside the metadata.
    Relative { name: String, bytes: u64 },
    /// Those of a file, whose path is written as Flink does.
    File { path: String, bytes: u64 },
}

/// Operator state of one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListsHandle {
    pub(super) states: Vec<ListOffsets>,
    pub(super) file: Handle,
}

/// One list in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListOffsets {
    pub(super) name: String,
    /// Where in the file its items begin.
    pub(super) items: Vec<u64>,
}

/// Keyed state of one subtask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyedHandle {
    /// Entries in Flink's own format: by key group, where in the file its entries begin; 0 for none.
    Canonical { first: KeyGroup, offsets: Vec<u64>, file: Handle },
    /// Files as a stage has written them, by their names in the manifest.
    Native { manifest: Handle, files: Vec<(String, Handle)> },
}

/// Bytes, or none.
///
/// # Errors
/// An error for damaged metadata, and for bytes of a kind that is not read.
pub(super) fn optional(bytes: &mut WireReader<'_>, metadata: &Bytes) -> Result<Option<Handle>> {
    Ok(Some(match bytes.byte()? {
        NONE => return Ok(None),
        INLINE => {
            bytes.java_text()?;
            Handle::Inline(metadata.slice_ref(bytes.bytes()?))
        }
        FILE => {
            let length = length(bytes)?;
            Handle::File { path: bytes.java_text()?, bytes: length }
        }
        RELATIVE_FILE => Handle::Relative { name: bytes.java_text()?, bytes: length(bytes)? },
        other => return Err(unknown(other)),
    }))
}

fn required(bytes: &mut WireReader<'_>, metadata: &Bytes) -> Result<Handle> {
    optional(bytes, metadata)?.ok_or_else(|| damaged("it says of a file that there is none"))
}

fn length(bytes: &mut WireReader<'_>) -> Result<u64> {
    u64::try_from(bytes.long()?).map_err(|_| damaged("the length of a file is negative"))
}

/// Operator state.
///
/// # Errors
/// See [`optional`].
pub(super) fn lists(bytes: &mut WireReader<'_>, metadata: &Bytes) -> Result<Option<ListsHandle>> {
    match bytes.byte()? {
        NONE => return Ok(None),
        LISTS => {}
        other => return Err(unknown(other)),
    }
    let states = bytes.list(|bytes| {
        let name = bytes.java_text()?;
        bytes.byte()?; // How it is dealt out: its name says that as well.
        Ok(ListOffsets { name, items: bytes.list(length)? })
    })?;
    Ok(Some(ListsHandle { states, file: required(bytes, metadata)? }))
}

/// Keyed state.
///
/// # Errors
/// See [`optional`].
pub(super) fn keyed(bytes: &mut WireReader<'_>, metadata: &Bytes) -> Result<Option<KeyedHandle>> {
    match bytes.byte()? {
        NONE => Ok(None),
        CANONICAL => {
            let groups = groups(bytes)?;
            let offsets = groups.clone().map(|_| length(bytes)).collect::<Result<_>>()?;
            let file = required(bytes, metadata)?;
            Ok(Some(KeyedHandle::Canonical { first: groups.start, offsets, file }))
        }
        INCREMENTAL => incremental(bytes, metadata).map(Some),
        other => Err(unknown(other)),
    }
}

fn incremental(bytes: &mut WireReader<'_>, metadata: &Bytes) -> Result<KeyedHandle> {
    // The checkpoint, the backend, the key groups, which the manifest knows better, and the size.
    bytes.long()?;
    bytes.java_text()?;
    groups(bytes)?;
    bytes.long()?;
    let manifest = required(bytes, metadata)?;
    let named = |bytes: &mut WireReader<'_>| Ok((bytes.java_text()?, required(bytes, metadata)?));
    let mut files = bytes.list(named)?;
    files.extend(bytes.list(named)?);
    bytes.java_text()?;
    Ok(KeyedHandle::Native { manifest, files })
}

fn groups(bytes: &mut WireReader<'_>) -> Result<Range<KeyGroup>> {
    let (first, count): (KeyGroup, KeyGroup) = (bytes.number()?, bytes.number()?);
    let end = first.checked_add(count).ok_or_else(|| damaged("it has too many key groups"))?;
    Ok(first..end)
}

fn unknown(kind: u8) -> Error {
    match kind {
        KEY_GROUPS | KEY_GROUPS_V2 => foreign("keyed state of Flink's own backends"),
        kind if CHANGELOG.contains(&kind) => foreign("a changelog of Flink's"),
        kind if SEGMENTS.contains(&kind) => Error::configuration(
            "it is a checkpoint whose files are merged (execution.checkpointing.file-merging.enabled): take a savepoint instead",
        ),
        kind => damaged(&format!("there is no kind {kind} of state")),
    }
}
