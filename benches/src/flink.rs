//! The shop's job, three times: in Java on Flink, ours in Flink, and ours in one process.
//!
//! The job in Java is `benches/flink-java`. All three read the same topic of Kafka. They keep no results, but
//! where [`equal`] compares what they compute.

mod cluster;
mod equal;
mod keys;
mod recovery;
mod throughput;
mod topics;
mod work;

use anyhow::Result;

use crate::Arguments;
use crate::report::Report;

/// Events per second of processor time.
pub(crate) fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    throughput::run(arguments, report)
}

/// Checkpoints of millions of keys in RocksDB.
pub(crate) fn keys(arguments: &Arguments, report: &mut Report) -> Result<()> {
    keys::run(arguments, report)
}

/// From the loss of a TaskManager to the next result.
pub(crate) fn recovery(arguments: &Arguments, report: &mut Report) -> Result<()> {
    recovery::run(arguments, report)
}
