//! Open windows as they were at a barrier.

use millstream_record::key_group::key_group;
use millstream_record::record::to_bytes;
use millstream_record::{Key, Record, Result};
use millstream_stage::snapshot::{Emit, FrozenState, TableSchema};

use super::Window;
use super::pane::{Cell, Pane, PaneTimers, Panes, WindowEntry};
use crate::group_watermarks::GroupWatermarks;
use crate::table::FrozenEntries;

/// An entry of the table of windows in a snapshot.
pub(super) type StoredEntry<K, A, S> = (Window, K, A, S);

/// The tables of a window operator.
pub(super) fn tables<K: Key, A: Record, S: Record>() -> Vec<TableSchema> {
    vec![
        GroupWatermarks::table(),
        TableSchema::of_fields(
            "panes",
            "Pane",
            &[("window", <Window as Record>::schema), ("timers", <PaneTimers as Record>::schema)],
        ),
        TableSchema::of_fields(
            "windows",
            "OpenWindow",
            &[
                ("window", <Window as Record>::schema),
                ("key", K::schema),
                ("acc", A::schema),
                ("trigger", S::schema),
            ],
        ),
    ]
}

/// Appends a [`StoredEntry`].
pub(super) fn encode_entry<K: Key, A: Record, S: Record>(
    window: &Window,
    entry: &WindowEntry<K, A, S>,
    out: &mut Vec<u8>,
) {
    window.encode(out);
    entry.key.encode(out);
    entry.value.acc.encode(out);
    entry.value.trigger.encode(out);
}

pub(super) struct FrozenWindows<K, A, S> {
    watermarks: GroupWatermarks,
    groups: u16,
    panes: Vec<FrozenPane<K, A, S>>,
}

struct FrozenPane<K, A, S> {
    window: Window,
    timers: PaneTimers,
    entries: FrozenEntries<K, Cell<A, S>>,
}

impl<K: Key, A: Record, S: Record> FrozenWindows<K, A, S> {
    pub(super) fn new(watermarks: GroupWatermarks, panes: &mut Panes<K, A, S>) -> Self {
        let freeze = |pane: &mut Pane<K, A, S>| FrozenPane {
            window: pane.window,
            timers: pane.timers.clone(),
            entries: pane.table.freeze(),
        };
        let groups = panes.groups();
        Self { watermarks, groups, panes: panes.all().iter_mut().map(freeze).collect() }
    }
}

impl<K: Key, A: Record, S: Record> FrozenState for FrozenWindows<K, A, S> {
    fn tables(&self) -> Vec<TableSchema> {
        tables::<K, A, S>()
    }

    fn entries(&self, emit: &mut Emit<'_>) -> Result<()> {
        self.watermarks.entries(emit)?;
        self.panes.iter().try_for_each(|pane| pane.entries(self.groups, emit))
    }
}

impl<K: Key, A: Record, S: Record> FrozenPane<K, A, S> {
    // The timers of a window are in each key group that has a key in it.
    fn entries(&self, groups: u16, emit: &mut Emit<'_>) -> Result<()> {
        let timers = to_bytes(&(self.window, self.timers.clone()));
        let (mut named, mut bytes) = (vec![false; usize::from(groups)], Vec::new());
        for entry in self.entries.iter().flatten() {
            let group = key_group(entry.hash, groups);
            if !std::mem::replace(&mut named[usize::from(group)], true) {
                emit(group, 1, &timers)?;
            }
            bytes.clear();
            encode_entry(&self.window, entry, &mut bytes);
            emit(group, 2, &bytes)?;
        }
        Ok(())
    }
}
