//! RocksDB as a cold store.

mod backend;
mod errors;
mod expiry;
mod files;
mod frozen;
mod local_dir;
mod memory;
mod options;
mod reader;
mod restore;
mod rocksdb_options;
mod store;

pub use backend::RocksBackend;
pub use options::RocksOptions;
pub use reader::RocksReader;

/// What its native files are called in a checkpoint.
pub const FORMAT: &str = "rocksdb";
