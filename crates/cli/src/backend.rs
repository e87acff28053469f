//! The state backend that a configuration names.

use millstream_core::Result;
use millstream_core::drive::job_settings::{BackendKind, BackendOptions};
use millstream_core::plan::Plan;
use millstream_runtime::Launch;

/// Gives a job its state backend.
///
/// # Errors
/// A backend that this program was built without, or whose folder cannot be used.
pub(crate) fn add(launch: Launch, plan: &Plan, options: &BackendOptions) -> Result<Launch> {
    match options.kind {
        BackendKind::Heap => Ok(launch),
        BackendKind::RocksDb => rocksdb(launch, plan, options),
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(launch: Launch, plan: &Plan, options: &BackendOptions) -> Result<Launch> {
    use std::sync::Arc;

    use millstream_runtime::ReadOptions;
    use millstream_state::{RocksBackend, RocksOptions};

    let rocks = RocksOptions { localdir: options.localdir.clone(), memory: options.memory };
    let operators = plan.stages.iter().flat_map(|stage| &stage.operators);
    let keyed = operators.filter(|operator| !operator.tables.is_empty()).count();
    let backend = Arc::new(RocksBackend::new(&rocks)?.with_operators(keyed.max(1)));
    // Restored files are linked into the databases where both are on one file system.
    let local = options.localdir.clone().unwrap_or_else(std::env::temp_dir).join("millstream-restored");
    let read = ReadOptions { local: Some(local), natives: Some(backend.clone()) };
    Ok(launch.with_backend(backend).with_native_files(read))
}

#[cfg(not(feature = "rocksdb"))]
fn rocksdb(_: Launch, _: &Plan, _: &BackendOptions) -> Result<Launch> {
    Err(millstream_core::Error::configuration(
        "state.backend.type is rocksdb, but this program was built without it: build it with the feature `rocksdb`",
    ))
}
