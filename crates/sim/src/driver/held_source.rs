//! The auditor of held sources: between the barrier of a savepoint that the job may stop with and the news of
//! how that ended, a source reads nothing; and once it has heard that the savepoint was given up, it does not
//! stand still.

use millstream_protocol::subtask::SubtaskCommand;
use millstream_record::Result;
use millstream_stage::context::Emitted;
use millstream_stage::snapshot::CheckpointId;

use crate::driven_writer::wrong;

/// What is known from outside of one source; nothing here asks the protocol.
#[derive(Debug, Default)]
pub(super) struct HeldSource {
    held: Option<CheckpointId>,
    passed: bool,
}

impl HeldSource {
    /// Sees a command; gives whether it lets a held source go that must not stand still now.
    pub(super) fn command(&mut self, command: &SubtaskCommand) -> bool {
        let before = self.held;
        match command {
            SubtaskCommand::Trigger { id, hold } => *self = Self { held: hold.then_some(*id), passed: false },
            SubtaskCommand::Aborted(id) if before.is_some_and(|held| held <= *id) => *self = Self::default(),
            SubtaskCommand::Stop(_) => *self = Self::default(),
            SubtaskCommand::Assign(_) | SubtaskCommand::Aborted(_) | SubtaskCommand::Completed { .. } => {}
        }
        matches!(command, SubtaskCommand::Aborted(_)) && before.is_some() && self.held.is_none()
    }

    /// Sees a barrier passed on.
    pub(super) fn passed(&mut self, id: CheckpointId) {
        self.passed |= self.held == Some(id);
    }

    /// Sees what a source emits.
    pub(super) fn emitted(&self, emitted: &[Emitted]) -> Result<()> {
        let reads =
            emitted.iter().any(|element| matches!(element, Emitted::Batch(batch) if batch.records > 0));
        match self.held.filter(|_| self.passed && reads) {
            Some(id) => Err(wrong(format!(
                "the source reads on behind the barrier of savepoint {id}, which holds it"
            ))),
            None => Ok(()),
        }
    }
}
