//! A checkpoint while its parts come in: pure bookkeeping, events in, parts out.

use millstream_core::snapshot::{CheckpointId, Frozen, StageSnapshot};
use millstream_core::{Error, Result};

use crate::shared::Shared;
use crate::snapshot::{JobSnapshot, StagePart};

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
        let mut stages: Vec<_> = shared.plan.stages.iter().zip(self.enumerators).map(part).collect();
        for (place, frozen) in shared.places.iter().zip(self.frozen) {
            let part = &mut stages[place.stage as usize];
            part.state
                .add(frozen)
                .map_err(|error: Error| error.in_context(format_args!("stage `{}`", part.name)))?;
        }
        Ok(JobSnapshot {
            job: shared.plan.name.clone(),
            checkpoint: self.id,
            epoch: shared.epoch,
            key_groups: shared.plan.key_groups,
            stages,
        })
    }
}

fn part((stage, enumerator): (&millstream_core::plan::StageSpec, Option<Vec<u8>>)) -> StagePart {
    let operators = stage.operators.iter().map(|operator| operator.name.clone()).collect();
    StagePart { name: stage.name.clone(), operators, state: StageSnapshot::default(), enumerator }
}
