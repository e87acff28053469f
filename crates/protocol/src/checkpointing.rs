//! When checkpoints and savepoints begin, when they are complete, when they are given up, and how a job comes
//! to its end: a pure state machine. Whoever runs the job tells it what happened and does what it decides, in
//! the order of the decisions.
//!
//! One snapshot is under way at a time: trigger, all parts frozen, files written, logged, complete. The
//! rules:
//!
//! - **Periodic checkpoints** come at a fixed rate; one that would come too early after the last waits for
//!   the pause. Requests come first.
//! - **Failures are counted as Flink's `CheckpointFailureManager` does**: checkpoints that expired, were
//!   declined, or could not be written count; savepoints do not, nor what is given up because the job fails.
//!   A complete snapshot sets the count back.
//! - **A log entry in doubt is neither complete nor given up.** Sinks that were told *aborted* would throw
//!   away what a restore is to commit. It is tried again until it is known; a restart finds the truth in the
//!   log.
//! - **A savepoint commits nothing**: its operators hear *aborted*, and what they froze belongs to the next
//!   checkpoint.
//! - **When all subtasks have ended**, a final checkpoint lets sinks commit the rest. Where the input was
//!   read to its end, the log then says so, and the job begins anew at its next start.
//! - **Stop with savepoint** holds the sources behind the barrier until the savepoint stands; it commits, and
//!   the sources stop. If it fails, they go on. With *drain* the sources end first (all windows fire), and
//!   the savepoint comes last; if it fails, the job restarts from its latest checkpoint, for the windows
//!   cannot be unfired.
//! - **A stop waits for no sink that does not write**, where snapshots outlive the process ([`StopOptions`]):
//!   a checkpoint takes along what is not written, and the job ends.

mod coordinator;
mod in_flight;
mod messages;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use coordinator::{CheckpointCoordinator, StopOptions};
pub use messages::{AbortReason, CoordinatorDecision, CoordinatorEvent, Logged, Request, Wanted};
