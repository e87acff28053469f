//! Where keyed state lives that is larger than memory: ordered bytes below the typed tables.
//!
//! A cold store holds one operator's state of one subtask. Its keys begin with the key group (2 bytes, big
//! endian) and the table's number (1 byte); what follows is the table's own and ordered as the table wants
//! it. Its values begin with 8 bytes, big endian: the time in epoch milliseconds at which the value expires,
//! `i64::MAX` for never.
//!
//! Tables below [`FIRST_INDEX`] are those of the operator's snapshots, in the order of
//! [`FrozenState::tables`](crate::snapshot::FrozenState): what follows the expiry is an entry as snapshots
//! have it. Tables from there on are indexes of the operator's own, such as its timers by time: they follow
//! from the entries, and whoever reads entries out of a store's files leaves them out.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;

use crate::snapshot::{CheckpointId, KeyedPart, NativeState};
use crate::time::Time;

/// The first table that holds no entries of a snapshot but an index of the operator's own.
pub const FIRST_INDEX: u8 = 128;

/// Whose state it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The job's name.
    pub job: String,
    /// The operator's name.
    pub operator: String,
    /// Which subtask of its stage.
    pub subtask: u16,
    /// The attempt.
    pub epoch: u64,
    /// Key groups of the job.
    pub key_groups: u16,
    /// The key groups that the subtask owns.
    pub owned: Range<KeyGroup>,
}

/// Decides where the keyed state of a job lives.
pub trait StateBackend: Send + Sync {
    /// The cold store below an operator's tables; none where all state is in memory.
    ///
    /// # Errors
    /// A store that cannot be made or whose restored files are damaged.
    fn cold(&self, scope: &Scope, restored: &[Arc<dyn KeyedPart>]) -> Result<Option<OpenedCold>>;
}

/// All state in memory: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

impl StateBackend for Heap {
    fn cold(&self, _: &Scope, _: &[Arc<dyn KeyedPart>]) -> Result<Option<OpenedCold>> {
        Ok(None)
    }
}

/// A cold store that was opened.
pub struct OpenedCold {
    /// The store.
    pub store: Box<dyn ColdStore>,
    /// Whether the restored state is in it already; else its entries are to be written to it.
    pub restored: bool,
    /// Bytes that the tables above it may keep in memory.
    pub cache_bytes: usize,
}

/// One change of a cold store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets a value.
    Put(Vec<u8>, Vec<u8>),
    /// Forgets a key.
    Delete(Vec<u8>),
    /// Forgets all keys from the first to the second, which stays.
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// Keys with their values, in the order of the keys.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Ordered bytes. Its calls may read local files: bounded work, no network.
pub trait ColdStore: Send {
    /// Appends the value of each key, in the order of the keys.
    ///
    /// # Errors
    /// [`ErrorKind::Restart`](millstream_record::ErrorKind::Restart) when the local files cannot be read; so
    /// for all calls.
    fn multi_get(&mut self, keys: &[&[u8]], values: &mut Vec<Option<Vec<u8>>>) -> Result<()>;
    /// Makes changes in their order and empties the list.
    ///
    /// # Errors
    /// See [`multi_get`](Self::multi_get).
    fn write(&mut self, changes: &mut Vec<Change>) -> Result<()>;
    /// Appends at most `limit` pairs whose keys are in the range.
    ///
    /// # Errors
    /// See [`multi_get`](Self::multi_get).
    fn scan(&mut self, range: Range<&[u8]>, limit: usize, pairs: &mut Pairs) -> Result<()>;
    /// Time of a table has come this far: values of it whose expiry is not later may vanish at any moment
    /// from now on. Time that goes back changes nothing.
    fn expire(&mut self, table: u8, now: Time);
    /// The store as it is now; later writes do not change what was frozen. Bounded work.
    ///
    /// # Errors
    /// See [`multi_get`](Self::multi_get).
    fn freeze(&mut self, id: CheckpointId) -> Result<Box<dyn FrozenCold>>;
    /// How much it holds.
    fn sizes(&self) -> ColdSizes;
}

/// How much a cold store holds, as far as it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdSizes {
    /// Keys; an estimate.
    pub keys: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Takes a key and its value.
pub type TakePair<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// A cold store as it was at a barrier. Its files go when it is dropped.
pub trait FrozenCold: Send {
    /// Hands over all pairs in the order of their keys.
    ///
    /// # Errors
    /// Returns the errors of `take` and of reading the files.
    fn scan(&self, take: &mut TakePair<'_>) -> Result<()>;
    /// Its files.
    fn native(&self) -> NativeState<'_>;
}
