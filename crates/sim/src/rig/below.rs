//! What lies below the tables of a stage in a rig: nothing, a cold store, or one and the other in turn.

use std::ops::Range;
use std::sync::Arc;

use millstream_record::Result;
use millstream_record::key_group::KeyGroup;
use millstream_stage::snapshot::{
    Emit, Frozen, FrozenState, KeyedPart, MemoryPart, NativeFile, NativeState, StageSnapshot, TableSchema,
};
use millstream_stage::state_backend::{Heap, StateBackend};
use parking_lot::Mutex;

use crate::MemoryCold;

/// Bytes that tables may keep in memory, in turn: none; a few keys.
const CACHES: [usize; 2] = [0, 500];

/// Where keyed state lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    Nothing,
    /// A cold store, which restores from its own files.
    Cold,
    /// A cold store and the heap take turns at each restore, by way of entries.
    InTurn,
}

impl Below {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Cold, Self::InTurn];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Cold => ", above a cold store",
            Self::InTurn => ", cold store and heap in turn",
        }
    }

    /// The backend after so many restores.
    pub(super) fn backend(self, restores: usize) -> Arc<dyn StateBackend> {
        let cold = || Arc::new(MemoryCold::new(CACHES[restores % CACHES.len()]));
        match self {
            Self::Nothing => Arc::new(Heap),
            Self::Cold => cold(),
            Self::InTurn if restores.is_multiple_of(2) => cold(),
            Self::InTurn => Arc::new(Heap),
        }
    }

    /// What storage makes of frozen stages.
    pub(super) fn stored(self, frozen: Vec<Frozen>) -> Result<StageSnapshot> {
        let mut snapshot = StageSnapshot::default();
        for mut stage in frozen {
            if self == Self::Cold {
                for (operator, state) in std::mem::take(&mut stage.keyed) {
                    let part = Files::of(state)?;
                    snapshot.keyed.entry(operator).or_default().push(Arc::new(part));
                }
            }
            snapshot.add(stage)?;
        }
        Ok(snapshot)
    }
}

// The files of a frozen store where they are; it keeps them for as long.
struct Files {
    entries: MemoryPart,
    groups: Range<KeyGroup>,
    native: Option<(String, Vec<NativeFile>)>,
    _store: Mutex<Box<dyn FrozenState>>,
}

impl Files {
    fn of(state: Box<dyn FrozenState>) -> Result<Self> {
        let entries = MemoryPart::of(state.as_ref())?;
        let native = state.native().map(|native| (native.format.to_owned(), native.files.to_vec()));
        let groups = state.native().map_or_else(|| entries.groups(), |native| native.groups.clone());
        Ok(Self { entries, groups, native, _store: Mutex::new(state) })
    }
}

impl KeyedPart for Files {
    fn tables(&self) -> &[TableSchema] {
        KeyedPart::tables(&self.entries)
    }

    fn groups(&self) -> Range<KeyGroup> {
        self.groups.clone()
    }

    fn entries(&self, wanted: &Range<KeyGroup>, emit: &mut Emit<'_>) -> Result<()> {
        KeyedPart::entries(&self.entries, wanted, emit)
    }

    fn native(&self) -> Option<NativeState<'_>> {
        let (format, files) = self.native.as_ref()?;
        Some(NativeState { format, groups: &self.groups, files })
    }
}
