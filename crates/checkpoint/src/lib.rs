//! Checkpoints and savepoints at the edge: where they are kept.
//!
//! The protocol itself is pure and lives in `millstream_core::drive`; this crate does its I/O.

pub mod storage;
