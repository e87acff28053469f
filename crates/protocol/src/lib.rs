//! What every driver that runs a whole [`Plan`](millstream_stage::plan::Plan) must decide, as pure functions
//! and state machines.
//!
//! They decide which subtasks and channels there are ([`layout`]), what a subtask does next ([`subtask`]),
//! what channels mean for inputs ([`inputs`]), when a barrier has come on every channel
//! ([`barrier_alignment`]), which reader hears of which splits ([`enumerators`]); when checkpoints begin, are
//! complete and are given up ([`checkpointing`]), who may run the job and what it restores ([`log`]), what
//! follows a failure ([`restart_strategy`]), and which files may be deleted ([`checkpoint_retention`]). The
//! thread driver and the simulation carry the decisions out.

pub mod barrier_alignment;
pub mod broken;
pub mod checkpoint_options;
pub mod checkpoint_retention;
pub mod checkpoint_stats;
pub mod checkpointing;
pub mod enumerators;
pub mod inputs;
pub mod job_id;
pub mod job_settings;
pub mod job_snapshot;
pub mod layout;
pub mod log;
pub mod restart_strategy;
pub mod restore_check;
pub mod subtask;
