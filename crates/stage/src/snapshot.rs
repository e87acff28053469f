//! What a stage hands out at a checkpoint and gets back at a restore.

mod keyed;
mod resolved;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use millstream_record::key_group::KeyGroup;
use millstream_record::{Error, Result};

pub use keyed::{
    Emit, FrozenState, KeyedPart, MemoryPart, NativeFile, NativeReader, NativeState, RestoredKeyed,
    TableSchema,
};
pub use resolved::resolve_table;

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
///
/// Whoever restores it may have to fence the writer that it came from, and no other may do so as well. So at
/// a restore all committables of one subtask go, in their order, to the same one: at parallelism `n` to
/// subtask `subtask % n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committable {
    /// The sink's name.
    pub operator: String,
    /// The subtask that it came from first; it stays so when another subtask hands it on in a later snapshot.
    pub subtask: u16,
    /// What the sink needs to commit or abort it.
    pub handle: Vec<u8>,
}

/// What one subtask gets back: its key groups' state and its share of the lists.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// By operator.
    pub keyed: BTreeMap<String, RestoredKeyed>,
    /// By operator and state: the items.
    pub lists: BTreeMap<(String, String), Vec<Vec<u8>>>,
    /// By sink: what was not yet known to be committed.
    pub commits: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Restored {
    /// Takes an operator's keyed state.
    pub fn take_keyed(&mut self, operator: &str) -> RestoredKeyed {
        self.keyed.remove(operator).unwrap_or_default()
    }

    /// Takes an operator's list.
    pub fn take_list(&mut self, operator: &str, state: &str) -> Vec<Vec<u8>> {
        self.lists.remove(&(operator.to_owned(), state.to_owned())).unwrap_or_default()
    }

    /// Takes a sink's committables: those of each subtask in their order.
    pub fn take_commits(&mut self, operator: &str) -> Vec<Vec<u8>> {
        self.commits.remove(operator).unwrap_or_default()
    }
}

impl Restored {
    /// After all operators of a stage have opened: refuses what was restored of one of these, but was not
    /// taken back.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration), naming the operator and its
    /// state.
    pub fn refuse_untaken<'a>(&self, operators: impl IntoIterator<Item = &'a str>) -> Result<()> {
        for operator in operators {
            let keyed = self.keyed.get(operator).filter(|keyed| !keyed.is_empty());
            let list = self.lists.iter().find(|((owner, _), items)| owner == operator && !items.is_empty());
            let what = match (keyed, list) {
                (Some(_), _) => "keyed state".to_owned(),
                (None, Some(((_, state), _))) => format!("state `{state}`"),
                (None, None) => continue,
            };
            return Err(Error::configuration(format!(
                "the snapshot has {what} of operator `{operator}`, which takes none back: give the state's operator its old name, or allow \
                 that it is lost (--allow-non-restored-state)"
            )));
        }
        Ok(())
    }
}

/// A stage's whole snapshot, all subtasks together: what a restore at any parallelism starts from.
#[derive(Clone, Default)]
pub struct StageSnapshot {
    /// By operator: what each subtask froze.
    pub keyed: BTreeMap<String, Vec<Arc<dyn KeyedPart>>>,
    /// The lists of all subtasks.
    pub lists: Vec<OperatorList>,
    /// The committables of all subtasks.
    pub commits: Vec<Committable>,
}

impl StageSnapshot {
    /// Adds one subtask's part, in memory.
    ///
    /// # Errors
    /// Returns the errors of reading the frozen state.
    pub fn add(&mut self, frozen: Frozen) -> Result<()> {
        for (operator, state) in frozen.keyed {
            let part = MemoryPart::of(state.as_ref())?;
            self.keyed.entry(operator).or_default().push(Arc::new(part));
        }
        self.lists.extend(frozen.lists);
        self.commits.extend(frozen.commits);
        Ok(())
    }

    /// The operators that have any state in it.
    pub fn operators(&self) -> std::collections::BTreeSet<&str> {
        let keyed = self.keyed.iter().filter(|(_, parts)| parts.iter().any(|part| !part.groups().is_empty()));
        let keyed = keyed.map(|(name, _)| name);
        let lists = self.lists.iter().filter(|list| !list.items.is_empty()).map(|list| &list.operator);
        let commits = self.commits.iter().map(|commit| &commit.operator);
        keyed.chain(lists).chain(commits).map(String::as_str).collect()
    }

    /// The share of subtask `index` of `parallelism`, which owns the groups `owned`.
    pub fn share(&self, index: u16, parallelism: u16, owned: &Range<KeyGroup>) -> Restored {
        let mut restored = Restored::default();
        for (operator, parts) in &self.keyed {
            let mine = parts.iter().filter(|part| touch(&part.groups(), owned)).cloned().collect();
            restored.keyed.insert(operator.clone(), RestoredKeyed { parts: mine, owned: owned.clone() });
        }
        self.share_lists(index, parallelism, &mut restored);
        for commit in &self.commits {
            if commit.subtask % parallelism == index {
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

fn touch(a: &Range<KeyGroup>, b: &Range<KeyGroup>) -> bool {
    a.start < b.end && b.start < a.end
}

impl std::fmt::Debug for StageSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keyed: Vec<_> = self.keyed.iter().map(|(operator, parts)| (operator, parts.len())).collect();
        let mut shown = f.debug_struct("StageSnapshot");
        shown.field("keyed", &keyed).field("lists", &self.lists).field("commits", &self.commits).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committables_of_one_subtask_stay_together_and_in_order() {
        let mut snapshot = StageSnapshot::default();
        let commit =
            |subtask, handle| Committable { operator: "sink".to_owned(), subtask, handle: vec![handle] };
        for commits in [vec![commit(0, 1), commit(2, 2), commit(0, 3)], vec![commit(1, 4)]] {
            snapshot.add(Frozen { commits, ..Frozen::default() }).unwrap();
        }
        let share = |index, parallelism| snapshot.share(index, parallelism, &(0..0)).take_commits("sink");
        assert_eq!(share(0, 2), [[1], [2], [3]]);
        assert_eq!(share(1, 2), [[4]]);
        assert_eq!(share(2, 3), [[2]]);
        assert_eq!(share(3, 4), Vec::<Vec<u8>>::new());
    }
}
