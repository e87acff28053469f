//! Keyed state that is larger than memory: cold stores below the typed tables of `millstream-operators`.
//!
//! With the feature `rocksdb`: [`RocksBackend`], one RocksDB for each keyed operator and subtask, all within
//! one memory budget. The databases are only a working copy: what counts is the checkpoint, so they have no
//! write-ahead log and their folder is emptied at every start. [`configured_backend`] gives a job the backend
//! that its settings name, with and without the feature.

mod configured;
#[cfg(feature = "rocksdb")]
mod rocks;

pub use configured::{ConfiguredBackend, configured_backend, is_built_in};
#[cfg(feature = "rocksdb")]
pub use rocks::{FORMAT, RocksBackend, RocksOptions, RocksReader};
