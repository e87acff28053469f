//! The manifest: what a checkpoint or savepoint consists of. It is written last; what has none is no
//! checkpoint.
//!
//! JSON: `{"format": "millstream", "version": 1, "xxh3": "<16 digits>", "manifest": {…}}`, where the checksum
//! is that of the inner object as it stands there, with the version as its seed. Paths are relative to the
//! **base**: the job's folder for a checkpoint (`chk-7-2/…` are its own files, `shared/…` those that several
//! checkpoints may refer to), the savepoint's own folder for a savepoint. So a savepoint can be moved, and so
//! can a job's whole folder.

mod encoded;
mod envelope;

use std::ops::Range;

use millstream_protocol::checkpoint_stats::CheckpointKind;
use millstream_protocol::job_id::JobId;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::{CheckpointId, Redistribute, TableSchema};
use millstream_stage::time::Time;
use serde::{Deserialize, Serialize};

pub use encoded::Encoded;

/// The name of a checkpoint's manifest in its folder.
pub const CHECKPOINT_MANIFEST: &str = "manifest";

/// The name of a savepoint's manifest in its folder, as in Flink.
pub const SAVEPOINT_MANIFEST: &str = "_metadata";

/// All of a checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The job's name.
    pub job: String,
    /// The job's id.
    pub job_id: JobId,
    /// Its number.
    pub checkpoint: CheckpointId,
    /// The attempt that took it.
    pub epoch: u64,
    /// What it is for.
    pub kind: CheckpointKind,
    /// When it was written, in epoch milliseconds.
    pub time: Time,
    /// Key groups of the job.
    pub key_groups: u16,
    /// Bytes of all its files, those that it shares and the manifest included.
    pub bytes: u64,
    /// Stage by stage.
    pub stages: Vec<StageManifest>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageManifest {
    /// Its name.
    pub name: String,
    /// Its operators, upstream first.
    pub operators: Vec<String>,
    /// How many subtasks it ran as.
    pub parallelism: u16,
    /// Where it starts with a source: the enumerator's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enumerator: Option<Encoded>,
    /// Subtask by subtask.
    pub subtasks: Vec<SubtaskManifest>,
}

/// What one subtask froze.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubtaskManifest {
    /// Its number among the stage's subtasks.
    pub subtask: u16,
    /// Its state file, with the sections that the rest names; none where nothing is that large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileManifest>,
    /// Keyed state as entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyed: Vec<KeyedManifest>,
    /// Keyed state as files of a cold store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub native: Vec<NativeManifest>,
    /// State that is not keyed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListManifest>,
    /// What sinks must commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<CommitManifest>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileManifest {
    /// Relative to the base.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// XXH3 of its bytes, 16 digits; of a state file without its footer.
    #[serde(with = "encoded::digits")]
    pub xxh3: u64,
}

/// One operator's keyed state as entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyedManifest {
    /// The operator.
    pub operator: String,
    /// Its tables, each with the Avro schema of its entries.
    pub tables: Vec<TableManifest>,
    /// From the first key group with an entry to the last one.
    pub groups: Range<KeyGroup>,
    /// How many.
    pub entries: u64,
    /// The section of the subtask's file.
    pub section: u16,
}

/// One operator's keyed state as files of a cold store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeManifest {
    /// The operator.
    pub operator: String,
    /// Its tables, each with the Avro schema of its entries.
    pub tables: Vec<TableManifest>,
    /// Whose files they are, such as `rocksdb`.
    pub format: String,
    /// The key groups that they may hold.
    pub groups: Range<KeyGroup>,
    /// All files.
    pub files: Vec<NativeFileManifest>,
}

/// One file of a cold store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeFileManifest {
    /// What has the same id has the same bytes.
    pub id: String,
    /// Its name within the store's folder.
    pub name: String,
    /// Whether later checkpoints may refer to it.
    pub shared: bool,
    /// Where it is.
    pub file: FileManifest,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableManifest {
    /// Its name.
    pub name: String,
    /// The Avro schema of one entry.
    pub schema: String,
}

/// State of an operator that is not keyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListManifest {
    /// The operator.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// What becomes of the items at another parallelism.
    pub redistribute: ListMode,
    /// The items.
    pub items: Items,
}

/// What a sink must commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitManifest {
    /// The sink.
    pub operator: String,
    /// The subtask that they came from first.
    pub subtask: u16,
    /// The handles, in their order.
    pub handles: Items,
}

/// How a list is shared out, see [`Redistribute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListMode {
    /// Each item to one subtask.
    Split,
    /// All items to each.
    Union,
}

/// Items: here if they are few, else in the subtask's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Items {
    /// These.
    Here(Vec<Encoded>),
    /// Those of this section.
    Section(u16),
}

impl Manifest {
    /// Every file that it refers to.
    pub fn files(&self) -> impl Iterator<Item = &FileManifest> {
        self.subtasks().flat_map(|subtask| {
            let native = subtask.native.iter().flat_map(|native| &native.files);
            subtask.file.iter().chain(native.map(|native| &native.file))
        })
    }

    /// Every file of a cold store that later checkpoints may refer to as well.
    pub fn shared(&self) -> impl Iterator<Item = &NativeFileManifest> {
        let native = self.subtasks().flat_map(|subtask| &subtask.native);
        native.flat_map(|native| &native.files).filter(|file| file.shared)
    }

    fn subtasks(&self) -> impl Iterator<Item = &SubtaskManifest> {
        self.stages.iter().flat_map(|stage| &stage.subtasks)
    }
}

impl From<TableSchema> for TableManifest {
    fn from(TableSchema { name, schema }: TableSchema) -> Self {
        Self { name, schema }
    }
}

impl From<TableManifest> for TableSchema {
    fn from(TableManifest { name, schema }: TableManifest) -> Self {
        Self { name, schema }
    }
}

impl From<Redistribute> for ListMode {
    fn from(redistribute: Redistribute) -> Self {
        match redistribute {
            Redistribute::Split => Self::Split,
            Redistribute::Union => Self::Union,
        }
    }
}

impl From<ListMode> for Redistribute {
    fn from(mode: ListMode) -> Self {
        match mode {
            ListMode::Split => Self::Split,
            ListMode::Union => Self::Union,
        }
    }
}
