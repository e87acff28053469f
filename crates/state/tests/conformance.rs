//! RocksDB passes the list of cold stores.
#![cfg(feature = "rocksdb")]

use millstream_record::Result;
use millstream_sim::conformance::{self, ColdFixture};
use millstream_stage::state_backend::StateBackend;
use millstream_state::{RocksBackend, RocksOptions};
use tempfile::TempDir;

struct Rocks {
    dir: TempDir,
    memory: u64,
}

impl ColdFixture for Rocks {
    fn backend(&self) -> Result<Box<dyn StateBackend>> {
        let localdir = Some(self.dir.path().to_owned());
        Ok(Box::new(RocksBackend::new(&RocksOptions { localdir, memory: self.memory })?))
    }
}

#[test]
fn rocksdb_passes() {
    conformance::cold_store(&Rocks { dir: TempDir::new().unwrap(), memory: 64 << 20 }).unwrap();
}
