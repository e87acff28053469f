//! Keyed state that is larger than memory: cold stores below the typed tables of `millstream-operators`.
//!
//! With the feature `rocksdb`: [`RocksBackend`], one RocksDB for each keyed operator and subtask, all within one memory budget. The
//! databases are only a working copy: what counts is the checkpoint, so they have no write-ahead log and their folder is emptied at
//! every start. Without the feature the crate is empty.

#[cfg(feature = "rocksdb")]
mod rocks;

#[cfg(feature = "rocksdb")]
pub use rocks::{FORMAT, RocksBackend, RocksOptions, RocksReader};
