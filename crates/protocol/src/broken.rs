//! Rules that the simulation breaks on purpose, to show that it would find a product that breaks them.

/// A rule of the shared protocol that is not kept. Only tests ever set one.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenRule {
    /// A subtask acknowledges a barrier before its sinks have flushed.
    AcknowledgeBeforeFlush,
    /// A subtask freezes at the first barrier and does not wait for the other channels.
    AlignmentSkipped,
    /// A reader to which an enumerator assigned nothing does not hear that.
    EmptyAssignmentDropped,
    /// A source that waits behind the barrier of a savepoint does not go on when the savepoint is given up.
    HeldSourceForgotten,
    /// A source reads on behind the barrier of a savepoint that the job stops with.
    HeldSourceReads,
    /// Splits that were assigned behind a barrier are taken before it, so that two snapshots hold them.
    AssignmentOvertakesBarrier,
    /// A subtask ends before its stage has emitted everything.
    EndBeforeFlush,
    /// A subtask says that the output of the last checkpoint is committed before it is.
    SettledBeforeCommit,
}
