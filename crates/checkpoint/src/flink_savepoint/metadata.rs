//! The file `_metadata` of Flink: which operators a checkpoint or savepoint has, and where their state is.
//!
//! ```text
//! 0x4960672d, version
//! checkpoint id, master states, operators          see `MetadataV2V3SerializerBase` in Flink
//!   operator: name, uid (from version 5 on), id, parallelism, maximum parallelism, coordinator's state,
//!             subtasks
//!   subtask:  operator state, raw operator state, keyed state, raw keyed state, channels in, channels out
//! properties of the checkpoint (from version 4 on), serialized by Java: they are not read
//! ```

use bytes::Bytes;
use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};
use millstream_stage::snapshot::CheckpointId;

use super::handles::{self, Handle, KeyedHandle, ListsHandle};
use super::operator_id::OperatorId;
use crate::wire::WireReader;

/// What the file begins with.
pub(super) const MAGIC: [u8; 4] = 0x4960_672d_u32.to_be_bytes();

/// Flink 1.11 to 2.3 write these versions.
const VERSIONS: std::ops::RangeInclusive<i32> = 3..=6;
const WITH_PROPERTIES: i32 = 4;
const WITH_UIDS: i32 = 5;

/// What an object that Java serialized begins with.
const JAVA_MAGIC: [u8; 2] = [0xac, 0xed];

/// How many subtasks stand for all of them, which had finished.
const ALL_FINISHED: i32 = -1;

const MASTER_STATE_MAGIC: u32 = 0xc96b_1696;

/// What the file says.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) checkpoint: CheckpointId,
    pub(super) operators: Vec<OperatorState>,
}

/// One operator of Flink's graph.
#[derive(Debug)]
pub(super) struct OperatorState {
    pub(super) id: OperatorId,
    /// Flink 2 writes it.
    pub(super) uid: Option<String>,
    pub(super) key_groups: KeyGroup,
    /// What its coordinator in the JobManager keeps.
    pub(super) coordinator: Option<Bytes>,
    /// Those that had not finished, or none if all had.
    pub(super) subtasks: Option<Vec<SubtaskState>>,
}

/// Where the state of one subtask is.
#[derive(Debug)]
pub(super) struct SubtaskState {
    pub(super) lists: Option<ListsHandle>,
    pub(super) keyed: Option<KeyedHandle>,
}

impl Metadata {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](millstream_record::ErrorKind::Data) for a damaged file,
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration) for state of another kind
    /// than a pipeline has.
    pub(super) fn read(file: &Bytes) -> Result<Self> {
        let mut bytes = WireReader(file);
        bytes.exactly(MAGIC.len())?;
        let version = bytes.int()?;
        if !VERSIONS.contains(&version) {
            let (first, last) = (VERSIONS.start(), VERSIONS.end());
            return Err(Error::configuration(format!(
                "its metadata has version {version}, and only the versions {first} to {last} of Flink 1.11 to 2.3 can be read: \
                 take the savepoint with such a Flink"
            )));
        }
        let checkpoint =
            u64::try_from(bytes.long()?).map_err(|_| damaged("its checkpoint has a negative id"))?;
        bytes.list(master_state)?;
        let operators = bytes.list(|bytes| operator(bytes, file, version))?;
        if version >= WITH_PROPERTIES && !bytes.0.starts_with(&JAVA_MAGIC) {
            return Err(damaged("the properties of the checkpoint are missing"));
        }
        Ok(Self { checkpoint, operators })
    }
}

/// State of hooks in the JobManager. A pipeline has none, and what others have means nothing to it.
fn master_state(bytes: &mut WireReader<'_>) -> Result<()> {
    if bytes.int()? as u32 != MASTER_STATE_MAGIC {
        return Err(damaged("a master state does not begin as one"));
    }
    bytes.bytes().map(drop)
}

fn operator(bytes: &mut WireReader<'_>, file: &Bytes, version: i32) -> Result<OperatorState> {
    let mut uid = None;
    if version >= WITH_UIDS {
        bytes.java_text()?;
        uid = Some(bytes.java_text()?).filter(|uid| !uid.is_empty());
    }
    let id = bytes.exactly(16)?.try_into().map_err(|_| damaged("an operator has no id"))?;
    bytes.int()?;
    let key_groups = bytes.number()?;
    let coordinator = match handles::optional(bytes, file)? {
        None => None,
        Some(Handle::Inline(state)) => Some(state),
        Some(_) => return Err(damaged("the state of a coordinator is not within the metadata")),
    };
    let count = bytes.int()?;
    let subtasks = match count {
        ALL_FINISHED => None,
        _ => Some(subtasks(bytes, file, count)?),
    };
    Ok(OperatorState { id: OperatorId(id), uid, key_groups, coordinator, subtasks })
}

fn subtasks(bytes: &mut WireReader<'_>, file: &Bytes, count: i32) -> Result<Vec<SubtaskState>> {
    let mut unfinished = Vec::new();
    for _ in 0..u32::try_from(count).map_err(|_| damaged("a number of subtasks is negative"))? {
        // The number of a subtask that had finished is negative, and nothing comes behind it.
        let number = bytes.int()?;
        if number >= 0 {
            unfinished.push((number, subtask(bytes, file)?));
        }
    }
    unfinished.sort_by_key(|(number, _)| *number);
    Ok(unfinished.into_iter().map(|(_, subtask)| subtask).collect())
}

fn subtask(bytes: &mut WireReader<'_>, file: &Bytes) -> Result<SubtaskState> {
    let lists = if bytes.int()? == 0 { None } else { handles::lists(bytes, file)? };
    let raw_lists = if bytes.int()? == 0 { None } else { handles::lists(bytes, file)? };
    let (keyed, raw_keyed) = (handles::keyed(bytes, file)?, handles::keyed(bytes, file)?);
    if raw_lists.is_some() || raw_keyed.is_some() {
        return Err(foreign("raw state"));
    }
    let (channels_in, channels_out) = (bytes.int()?, bytes.int()?);
    if channels_in != 0 || channels_out != 0 {
        return Err(Error::configuration(
            "it is an unaligned checkpoint with records on their way: take a savepoint, which has none",
        ));
    }
    Ok(SubtaskState { lists, keyed })
}

/// The file makes no sense.
pub(super) fn damaged(what: &str) -> Error {
    Error::data(format!("the metadata of Flink is damaged: {what}"))
}

/// Of another program.
pub(super) fn foreign(what: &str) -> Error {
    Error::configuration(format!(
        "it holds {what}, which no Millstream pipeline writes: only what the same pipeline wrote in Flink can be gone on from"
    ))
}
