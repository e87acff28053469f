//! Checkpoints and savepoints at the edge: where they are kept.
//!
//! The protocol itself is pure and lives in `millstream_protocol`; this crate does its I/O.

pub mod flink_form;
mod flink_savepoint;
pub mod format;
pub mod job_log;
pub mod keyed_files;
pub mod manifest;
pub mod store;
pub mod wire;
