//! The state backend that a job's settings name.

use std::path::PathBuf;
use std::sync::Arc;

use millstream_protocol::job_settings::{BackendKind, BackendOptions};
use millstream_record::{Error, Result};
use millstream_stage::plan::Plan;
use millstream_stage::snapshot::NativeReader;
use millstream_stage::state_backend::{Heap, StateBackend};

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

/// A state backend, and how the files of cold stores in checkpoints are read.
pub struct ConfiguredBackend {
    /// Where keyed state lives.
    pub backend: Arc<dyn StateBackend>,
    /// The local folder to which files of a checkpoint are brought.
    pub local: Option<PathBuf>,
    /// Reads files of cold stores entry by entry: the last run may have kept its state in RocksDB.
    pub natives: Option<Arc<dyn NativeReader>>,
}

/// The state backend that a job's settings name.
///
/// # Errors
/// A backend that this program was built without, or whose folder cannot be used.
pub fn configured_backend(plan: &Plan, options: &BackendOptions) -> Result<ConfiguredBackend> {
    is_built_in(options)?;
    match options.kind {
        BackendKind::Heap => Ok(heap(options)),
        BackendKind::RocksDb => rocksdb(plan, options),
    }
}

#[cfg(feature = "rocksdb")]
fn rocksdb(plan: &Plan, options: &BackendOptions) -> Result<ConfiguredBackend> {
    let operators = plan.stages.iter().flat_map(|stage| &stage.operators);
    let keyed = operators.filter(|operator| !operator.tables.is_empty()).count();
    let backend = Arc::new(RocksBackend::new(&rocks(options))?.with_operators(keyed.max(1)));
    let local = Some(backend.folder_for_restores());
    Ok(ConfiguredBackend { local, natives: Some(backend.clone()), backend })
}

#[cfg(feature = "rocksdb")]
fn heap(options: &BackendOptions) -> ConfiguredBackend {
    let rocks = rocks(options);
    let local = Some(rocks.folder().join("millstream-restored"));
    ConfiguredBackend { backend: Arc::new(Heap), local, natives: Some(Arc::new(RocksReader::new(rocks))) }
}

#[cfg(feature = "rocksdb")]
fn rocks(options: &BackendOptions) -> RocksOptions {
    RocksOptions { localdir: options.localdir.clone(), memory: options.memory }
}

#[cfg(not(feature = "rocksdb"))]
fn heap(_: &BackendOptions) -> ConfiguredBackend {
    ConfiguredBackend { backend: Arc::new(Heap), local: None, natives: None }
}

// `is_built_in` has refused it.
#[cfg(not(feature = "rocksdb"))]
fn rocksdb(_: &Plan, options: &BackendOptions) -> Result<ConfiguredBackend> {
    Ok(heap(options))
}
