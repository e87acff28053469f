//! What a subtask has frozen, in the forms in which Flink keeps it, and back.

use std::path::{Path, PathBuf};

use millstream_checkpoint::flink_form::{commit_item, list_item, read_commit_item, read_list_item, tables};
use millstream_checkpoint::keyed_files::{self, KeyedFiles};
use millstream_checkpoint::wire::WireWriter;
use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::{Committable, Frozen, FrozenState, OperatorList, Redistribute, Restored};

use crate::canonical::EntriesByGroup;

/// A frozen snapshot on its way to Flink's storage.
pub(crate) struct FrozenStage {
    keyed: Vec<(String, Box<dyn FrozenState>)>,
    lists: Vec<OperatorList>,
    commits: Vec<Committable>,
    /// A folder of its own, which is made when it is needed and goes with this.
    folder: PathBuf,
    /// For a canonical savepoint.
    entries: Option<EntriesByGroup>,
}

impl Drop for FrozenStage {
    fn drop(&mut self) {
        if self.entries.take().is_some() {
            // What is left behind goes with the subtask's folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

impl FrozenStage {
    pub(crate) fn new(Frozen { keyed, lists, commits }: Frozen, folder: PathBuf) -> Self {
        Self { keyed, lists, commits, folder, entries: None }
    }

    /// What the numbers of tables mean in [`entries`](Self::entries).
    pub(crate) fn tables(&self) -> Vec<u8> {
        tables(&self.keyed)
    }

    /// All entries of a key group.
    pub(crate) fn entries(&mut self, group: KeyGroup) -> Result<Vec<u8>> {
        if self.entries.is_none() {
            self.entries = Some(EntriesByGroup::write(&self.keyed, &self.folder)?);
        }
        self.entries.as_ref().map_or_else(|| Ok(Vec::new()), |entries| entries.of(group))
    }

    /// The items of all lists that are dealt out, of all that each subtask gets whole, and of all
    /// committables. Each item names its operator.
    pub(crate) fn lists(&self) -> Vec<u8> {
        let mut out = WireWriter::default();
        for redistribute in [Redistribute::Split, Redistribute::Union] {
            let lists = self.lists.iter().filter(|list| list.redistribute == redistribute);
            let items = lists.flat_map(|list| list.items.iter().map(move |item| list_item(list, item)));
            out.list(items.collect::<Vec<_>>(), |out, item| out.bytes(&item));
        }
        out.list(self.commits.iter().map(commit_item), |out, item| out.bytes(&item));
        out.0
    }

    /// Writes keyed state to a folder; the files of cold stores stay where they are until this is dropped.
    pub(crate) fn write(&self, folder: &Path) -> Result<Vec<u8>> {
        let KeyedFiles { manifest, files } = keyed_files::write(&self.keyed, true, folder)?;
        let mut out = WireWriter::default();
        out.bytes(&manifest);
        out.list(&files, |out, file| {
            out.text(&file.name);
            out.text(&file.id);
            out.text(&file.path.display().to_string());
            out.long(file.bytes as i64);
            out.bool(file.shared);
        });
        Ok(out.0)
    }
}

/// The lists of a restored subtask. Flink has dealt out the first kind.
pub(crate) fn restored_lists(split: &[Vec<u8>], union: &[Vec<u8>]) -> Result<Restored> {
    let mut restored = Restored::default();
    for item in split.iter().chain(union) {
        let (name, item) = read_list_item(item)?;
        restored.lists.entry(name).or_default().push(item);
    }
    Ok(restored)
}

/// Of all committables those that this subtask has to see to.
pub(crate) fn restore_commits(
    restored: &mut Restored,
    commits: &[Vec<u8>],
    subtask: u16,
    parallelism: u16,
) -> Result<()> {
    for item in commits {
        let commit = read_commit_item(item)?;
        if commit.subtask % parallelism == subtask {
            restored.commits.entry(commit.operator).or_default().push(commit.handle);
        }
    }
    Ok(())
}
