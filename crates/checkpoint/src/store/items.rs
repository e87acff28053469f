//! Lists and committables: small ones go into the manifest, large ones into the subtask's file.

use millstream_stage::snapshot::{Committable, OperatorList};

use super::state_file::Source;
use crate::manifest::{CommitManifest, Encoded, Items, ListManifest};

/// A subtask whose lists and committables are larger writes them to its file.
const SMALL_BYTES: usize = 16 << 10;

/// A subtask's lists and committables on their way into a manifest.
pub(super) struct Outgoing {
    pub(super) lists: Vec<ListManifest>,
    pub(super) commits: Vec<CommitManifest>,
    /// Bytes of those that go into the manifest.
    pub(super) here: u64,
}

impl Outgoing {
    /// Adds what is too large for the manifest to `sources`.
    pub(super) fn new(
        lists: Vec<OperatorList>,
        commits: Vec<Committable>,
        sources: &mut Vec<Source>,
    ) -> Self {
        let items =
            lists.iter().flat_map(|list| &list.items).chain(commits.iter().map(|commit| &commit.handle));
        let bytes = items.map(Vec::len).sum::<usize>();
        let mut place = |items: Vec<Vec<u8>>| {
            if bytes <= SMALL_BYTES {
                return Items::Here(items.into_iter().map(Encoded).collect());
            }
            sources.push(Source::Items(items));
            Items::Section(sources.len() as u16 - 1)
        };
        let list = |list: OperatorList| (list.operator, list.state, list.redistribute, list.items);
        let lists = lists.into_iter().map(list).map(|(operator, state, redistribute, items)| ListManifest {
            operator,
            state,
            redistribute: redistribute.into(),
            items: place(items),
        });
        let lists = lists.collect();
        let commits = by_subtask(commits).into_iter();
        let commits = commits.map(|((operator, subtask), handles)| CommitManifest {
            operator,
            subtask,
            handles: place(handles),
        });
        let here = if bytes <= SMALL_BYTES { bytes as u64 } else { 0 };
        Self { lists, commits: commits.collect(), here }
    }
}

type OperatorSubtask = (String, u16);

fn by_subtask(commits: Vec<Committable>) -> Vec<(OperatorSubtask, Vec<Vec<u8>>)> {
    let mut all: Vec<(OperatorSubtask, Vec<Vec<u8>>)> = Vec::new();
    for Committable { operator, subtask, handle } in commits {
        let subtask = (operator, subtask);
        match all.iter_mut().find(|(known, _)| *known == subtask) {
            Some((_, handles)) => handles.push(handle),
            None => all.push((subtask, vec![handle])),
        }
    }
    all
}
