//! A checkpoint while its parts come in: pure bookkeeping, events in, parts out.

use millstream_core::Result;
use millstream_core::snapshot::{CheckpointId, Frozen};

use crate::shared::Shared;
use crate::snapshot::JobSnapshot;

/// The frozen parts of all subtasks, and the enumerators' snapshots by stage.
pub(crate) struct Parts {
    pub(crate) id: CheckpointId,
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) enumerators: Vec<Option<Vec<u8>>>,
}

/// A checkpoint whose parts come in.
pub(crate) struct Collecting {
    id: CheckpointId,
    parts: Vec<Option<Frozen>>,
    enumerators: Vec<Option<Vec<u8>>>,
}

impl Collecting {
    /// Of so many subtasks.
    pub(crate) fn new(id: CheckpointId, subtasks: usize, enumerators: Vec<Option<Vec<u8>>>) -> Self {
        Self { id, parts: (0..subtasks).map(|_| None).collect(), enumerators }
    }

    /// Takes a subtask's part; whether all are there now.
    pub(crate) fn add(&mut self, index: usize, id: CheckpointId, frozen: Frozen) -> bool {
        if id == self.id {
            self.parts[index] = Some(frozen);
        }
        self.parts.iter().all(Option::is_some)
    }

    /// Everything that came.
    pub(crate) fn finish(self) -> Parts {
        let frozen = self.parts.into_iter().flatten().collect();
        Parts { id: self.id, frozen, enumerators: self.enumerators }
    }
}

impl Parts {
    /// Writes the parts out: the caller's thread does it, not the subtasks'.
    ///
    /// # Errors
    /// Whatever writing a key group gives, naming the stage.
    pub(crate) fn write(self, shared: &Shared) -> Result<JobSnapshot> {
        let frozen = shared.places.iter().copied().zip(self.frozen);
        JobSnapshot::assemble(&shared.plan, self.id, shared.epoch, frozen, self.enumerators)
    }
}
