//! What every driver that runs a whole [`Plan`](crate::plan::Plan) must decide, as pure functions and state machines: which subtasks and
//! channels there are, what a subtask does next ([`subtask`]), what channels mean for inputs, when a barrier has come everywhere, who hears
//! of which splits ([`enumerators`]), what a snapshot of all is; when checkpoints begin, stand and are given up ([`checkpointing`]), who may run the job and what it goes on from ([`log`]), what follows a failure ([`restart`]),
//! and which files may go ([`cleanup`]). The thread driver and the simulation put them to work.

pub mod alignment;
pub mod broken;
pub mod checkpoint_options;
pub mod checkpoint_stats;
pub mod checkpointing;
pub mod cleanup;
pub mod enumerators;
pub mod inputs;
pub mod job_id;
pub mod job_settings;
pub mod job_snapshot;
pub mod layout;
pub mod log;
pub mod restart;
pub mod restore_check;
pub mod subtask;
