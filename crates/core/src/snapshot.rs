//! What a stage hands out at a checkpoint and gets back at a restore.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Result;
use crate::key::KeyGroup;

/// Counts the checkpoints of a job; a later one has a higher id.
pub type CheckpointId = u64;

/// A stage's snapshot: bounded work, no I/O. Written out by another thread.
#[derive(Default)]
pub struct Frozen {
    /// Keyed state, one entry per operator that has any.
    pub keyed: Vec<(String, Box<dyn FrozenState>)>,
    /// State that is not keyed.
    pub lists: Vec<OperatorList>,
    /// What a transactional sink must do once the checkpoint is complete.
    pub commits: Vec<Committable>,
}

/// Keyed state as it was at the barrier.
pub trait FrozenState: Send {
    /// The groups it has anything for.
    fn groups(&self) -> Vec<KeyGroup>;
    /// Appends all state of one group, self-delimiting.
    fn write_group(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<()>;
    /// The Avro schema of each named state.
    fn schemas(&self) -> Vec<(String, String)>;
    /// Immutable files that are part of it (cold stores; none on the heap).
    fn files(&self) -> &[FileRef] {
        &[]
    }
}

/// Keyed state that was encoded at the barrier.
#[derive(Debug, Default)]
pub struct FrozenBytes {
    groups: BTreeMap<KeyGroup, Vec<u8>>,
    schemas: Vec<(String, String)>,
}

impl FrozenBytes {
    /// State with these schemas, by name.
    pub fn new(schemas: Vec<(String, String)>) -> Self {
        Self { groups: BTreeMap::new(), schemas }
    }

    /// Where a group's bytes go.
    pub fn group(&mut self, group: KeyGroup) -> &mut Vec<u8> {
        self.groups.entry(group).or_default()
    }
}

impl FrozenState for FrozenBytes {
    fn groups(&self) -> Vec<KeyGroup> {
        self.groups.keys().copied().collect()
    }

    fn write_group(&self, group: KeyGroup, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(self.groups.get(&group).map_or(&[], Vec::as_slice));
        Ok(())
    }

    fn schemas(&self) -> Vec<(String, String)> {
        self.schemas.clone()
    }
}

/// An immutable file of a cold store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Where it is.
    pub path: String,
    /// The key groups that it may hold.
    pub groups: Range<KeyGroup>,
}

/// How a list is shared out when the parallelism changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redistribute {
    /// Each item goes to one subtask (`ListState` in Flink).
    Split,
    /// Each subtask gets all items and keeps what it needs (`UnionListState`).
    Union,
}

/// State of an operator that belongs to the subtask and not to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorList {
    /// The operator's name.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// Encoded items.
    pub items: Vec<Vec<u8>>,
    /// What becomes of them at another parallelism.
    pub redistribute: Redistribute,
}

/// A write that becomes visible only after the checkpoint is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committable {
    /// The sink's name.
    pub operator: String,
    /// What the sink needs to commit or abort it.
    pub handle: Vec<u8>,
}

/// What one subtask gets back: its key groups' state and its share of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// By operator: each group's bytes as [`FrozenState::write_group`] wrote them.
    pub keyed: BTreeMap<String, Vec<(KeyGroup, Vec<u8>)>>,
    /// By operator and state: the items.
    pub lists: BTreeMap<(String, String), Vec<Vec<u8>>>,
    /// By sink: what was not yet known to be committed.
    pub commits: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Restored {
    /// Takes an operator's keyed state.
    pub fn take_keyed(&mut self, operator: &str) -> Vec<(KeyGroup, Vec<u8>)> {
        self.keyed.remove(operator).unwrap_or_default()
    }

    /// Takes an operator's list.
    pub fn take_list(&mut self, operator: &str, state: &str) -> Vec<Vec<u8>> {
        self.lists.remove(&(operator.to_owned(), state.to_owned())).unwrap_or_default()
    }
}

/// A stage's whole snapshot in bytes, all subtasks together: what a restore at any parallelism starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageSnapshot {
    keyed: BTreeMap<String, BTreeMap<KeyGroup, Vec<u8>>>,
    lists: Vec<OperatorList>,
    commits: Vec<Committable>,
}

impl StageSnapshot {
    /// Adds one subtask's part.
    ///
    /// # Errors
    /// Whatever writing a key group gives.
    pub fn add(&mut self, frozen: Frozen) -> Result<()> {
        for (operator, state) in frozen.keyed {
            let groups = self.keyed.entry(operator).or_default();
            for group in state.groups() {
                state.write_group(group, groups.entry(group).or_default())?;
            }
        }
        self.lists.extend(frozen.lists);
        self.commits.extend(frozen.commits);
        Ok(())
    }

    /// The operators that have any state in it.
    pub fn operators(&self) -> std::collections::BTreeSet<&str> {
        let keyed = self.keyed.iter().filter(|(_, groups)| !groups.is_empty()).map(|(name, _)| name);
        let lists = self.lists.iter().filter(|list| !list.items.is_empty()).map(|list| &list.operator);
        let commits = self.commits.iter().map(|commit| &commit.operator);
        keyed.chain(lists).chain(commits).map(String::as_str).collect()
    }

    /// The share of subtask `index` of `parallelism`, which owns the groups `owned`.
    pub fn share(&self, index: u16, parallelism: u16, owned: &Range<KeyGroup>) -> Restored {
        let mut restored = Restored::default();
        for (operator, groups) in &self.keyed {
            let mine = groups.range(owned.clone()).map(|(group, bytes)| (*group, bytes.clone()));
            restored.keyed.insert(operator.clone(), mine.collect());
        }
        self.share_lists(index, parallelism, &mut restored);
        for (number, commit) in self.commits.iter().enumerate() {
            if number % usize::from(parallelism) == usize::from(index) {
                restored.commits.entry(commit.operator.clone()).or_default().push(commit.handle.clone());
            }
        }
        restored
    }

    fn share_lists(&self, index: u16, parallelism: u16, restored: &mut Restored) {
        let mut dealt: BTreeMap<(String, String), usize> = BTreeMap::new();
        for list in &self.lists {
            let name = (list.operator.clone(), list.state.clone());
            let mine = restored.lists.entry(name.clone()).or_default();
            let number = dealt.entry(name).or_default();
            for item in &list.items {
                let owner = *number % usize::from(parallelism);
                *number += 1;
                if list.redistribute == Redistribute::Union || owner == usize::from(index) {
                    mine.push(item.clone());
                }
            }
        }
    }
}
