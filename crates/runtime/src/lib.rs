//! The thread driver: runs a [`Plan`](millstream_stage::plan::Plan) on one machine, in one process.
//!
//! Every subtask has a thread of its own and an inbox whose channels are bounded in bytes; a full channel
//! makes its sender wait, an empty inbox makes its subtask park. One coordinator thread per job asks the
//! enumerators, collects checkpoints and sees to the end. Futures run on a small Tokio runtime beside them.
//!
//! Start reading at [`job`](start) (what a user calls), then `subtask.rs` (the loop), `inbox.rs` (the
//! channels), and `subtask.rs` of the crate `millstream-protocol` (what a subtask does next).

mod ask;
mod attempt_context;
mod check;
mod checkpoint_storage;
mod clock;
mod control;
mod coordinator;
mod dry_run;
pub mod epoch;
mod halt;
mod inbox;
mod io;
mod job;
mod job_state;
mod meter;
mod options;
mod outputs;
mod panics;
mod patiently;
mod report;
mod setup;
mod signals;
mod sinks;
mod status;
mod subtask;
mod supervisor;
mod worker;

pub use ask::{CheckpointDone, Pending};
pub use check::{CheckedStorage, check_storages};
pub use clock::SystemClock;
pub use control::JobControl;
pub use dry_run::{DryRun, dry_run};
pub use io::TokioIo;
pub use job::{JobHandle, Launch, run, start, start_from};
pub use millstream_checkpoint::store::ReadOptions;
pub use millstream_protocol::job_snapshot::{JobSnapshot, StagePart};
pub use millstream_storage::StorageOptions;
pub use options::RuntimeOptions;
pub use panics::catch as catch_panic;
pub use report::{JobReport, OperatorReport, UnwrittenRows, UnwrittenState};
pub use sinks::SinkStatus;
pub use status::{JobFailure, JobStatus};

use millstream_protocol::{job_snapshot as snapshot, layout};
