//! The state backend that a job's settings name.

#[cfg(feature = "rocksdb")]
use std::sync::Arc;

use millstream_protocol::job_settings::{BackendKind, BackendOptions};
use millstream_record::{Error, Result};
use millstream_runtime::Launch;
#[cfg(feature = "rocksdb")]
use millstream_runtime::ReadOptions;
use millstream_stage::plan::Plan;

#[cfg(feature = "rocksdb")]
use crate::{RocksBackend, RocksOptions, RocksReader};

/// Refuses a backend that this program was built without.
///
/// # Errors
/// [`ErrorKind::Configuration`](millstream_record::ErrorKind::Configuration).
pub fn is_built_in(options: &BackendOptions) -> Result<()> {
    if options.kind == BackendKind::RocksDb && cfg!(not(feature = "rocksdb")) {
        return Err(Error::configuration(
            "state.backend.type is rocksdb, but this program was built without it: build it with the feature `rocksdb`",
        ));
    }
    Ok(())
}

/// Gives a job its state backend.
///
/// # Errors
/// A backend that this program was built without, or whose folder cannot be used.
pub fn with_backend(launch: Launch, plan: &Plan, options: &BackendOptions) -> Result<Launch> {
    is_built_in(options)?;
    match options.kind {
        BackendKind::Heap => Ok(reading_rocksdb(launch, options)),
        BackendKind::RocksDb => rocksdb(launch, plan, options),
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(launch: Launch, plan: &Plan, options: &BackendOptions) -> Result<Launch> {
    let operators = plan.stages.iter().flat_map(|stage| &stage.operators);
    let keyed = operators.filter(|operator| !operator.tables.is_empty()).count();
    let backend = RocksBackend::new(&rocks(options))?.with_operators(keyed.max(1));
    let backend = Arc::new(backend);
    let read = ReadOptions { local: Some(backend.folder_for_restores()), natives: Some(backend.clone()) };
    Ok(launch.with_backend(backend).with_native_files(read))
}

// The last run may have kept its state in RocksDB.
#[cfg(feature = "rocksdb")]
fn reading_rocksdb(launch: Launch, options: &BackendOptions) -> Launch {
    let rocks = rocks(options);
    let local = rocks.folder().join("millstream-restored");
    launch.with_native_files(ReadOptions {
        local: Some(local),
        natives: Some(Arc::new(RocksReader::new(rocks))),
    })
}

#[cfg(feature = "rocksdb")]
fn rocks(options: &BackendOptions) -> RocksOptions {
    RocksOptions { localdir: options.localdir.clone(), memory: options.memory }
}

#[cfg(not(feature = "rocksdb"))]
fn reading_rocksdb(launch: Launch, _: &BackendOptions) -> Launch {
    launch
}

#[cfg(not(feature = "rocksdb"))]
fn rocksdb(launch: Launch, _: &Plan, _: &BackendOptions) -> Result<Launch> {
    Ok(launch)
}
